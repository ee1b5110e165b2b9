"""Filling the write-ahead log up to a limit, and measuring how long a restart takes.

fill BROKER HTTP PID bytes|objects LIMIT   produces until so much is un-trimmed, and kills the broker with -9
measure BROKER COMMAND...                  starts the command; prints the milliseconds from then to the first record
                                           that is acknowledged and read back, and the process id
added PORT PROXY-PORT                      prints what the proxy adds to one request, in milliseconds
silent PORT                                accepts connections there and never answers
table FILE                                 prints the measured rows as a table: `case ms` a line
"""

import collections
import http.client
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

TOPIC = "restart"
PARTITIONS = 12
OFFSET_TAIL_1 = -2001  # librdkafka's RD_KAFKA_OFFSET_TAIL(1)


def metric(address, name):
    connection = http.client.HTTPConnection(address, timeout=5)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return int(re.search(rf"^{name} (\d+)$", text, re.M).group(1))


def fill(broker, address, pid, kind, limit):
    from confluent_kafka import Producer

    name = {"bytes": "levee_wal_untrimmed_bytes", "objects": "levee_wal_untrimmed_objects"}[kind]
    limit, small = int(limit), kind == "objects"
    settings = {"linger.ms": 0, "batch.size": 4096} if small else {"linger.ms": 20, "batch.size": 1000000}
    producer = Producer({"bootstrap.servers": broker, "acks": "all", "queue.buffering.max.messages": 50000,
                         "log_level": 0, **settings})
    value = os.urandom(100 if small else 1024)
    sent, reached, seen = 0, 0, 0.0
    while True:
        try:
            producer.produce(TOPIC, value, partition=sent % PARTITIONS)
            sent += 1
        except BufferError:
            producer.poll(0.01)
        if small:
            # One record at a time on its way: nearly each is an object of its own.
            producer.flush(5)
        producer.poll(0)
        if time.monotonic() - seen >= 0.005:
            reached, seen = metric(address, name), time.monotonic()
            # The log ends a little before trimming begins.
            if reached >= limit * 0.97:
                break
    os.kill(int(pid), signal.SIGKILL)
    print(f"{reached} un-trimmed {kind} of {limit}, {sent} records sent")


def measure(broker, *command):
    from confluent_kafka import Consumer, Producer, TopicPartition

    eager = {"bootstrap.servers": broker, "reconnect.backoff.ms": 5, "reconnect.backoff.max.ms": 10, "log_level": 0}
    began = time.monotonic()
    process = subprocess.Popen(command)
    host, port = broker.rsplit(":", 1)
    # The broker listens before it serves. A client that is refused even once would wait for timers of its own.
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.001)
    producer = Producer({**eager, "linger.ms": 0, "acks": "all", "message.timeout.ms": 60000})
    consumer = Consumer({**eager, "group.id": "unused", "enable.auto.commit": False, "fetch.wait.max.ms": 10})
    # From the last record that there is on: the one that is sent now, or the one before it and then this one. So the
    # client, whose timers are of a second, has found the partition's leader when the record is there.
    consumer.assign([TopicPartition(TOPIC, 0, OFFSET_TAIL_1)])
    delivered = []
    value = f"{began}".encode()
    producer.produce(TOPIC, value, partition=0, on_delivery=lambda error, message: delivered.append((error, message)))
    while not delivered:
        assert process.poll() is None, "the broker ended"
        producer.poll(0.05)
    error, message = delivered[0]
    assert error is None, error
    read = None
    while read is None or read.offset() < message.offset():
        read = consumer.poll(0.05)
        assert read is None or not read.error(), read.error()
    assert read.value() == value and read.offset() == message.offset(), read.offset()
    print(round((time.monotonic() - began) * 1000), process.pid)
    sys.stdout.flush()
    os._exit(0)  # The clients' threads have nothing left to do, and the broker goes on.


def added(port, proxy):
    def median(port):
        connection = http.client.HTTPConnection("127.0.0.1", int(port))
        took = []
        for _ in range(51):
            began = time.monotonic()
            connection.request("GET", "/health")
            connection.getresponse().read()
            took.append(time.monotonic() - began)
        return statistics.median(took[1:]) * 1000

    print(f"{median(proxy) - median(port):.2f}")


def silent(port):
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=64)
    held = []
    while True:
        held.append(listener.accept())


def table(path):
    rows = collections.defaultdict(list)
    with open(path) as file:
        for line in file:
            case, ms = line.rstrip("\n").rsplit(" ", 1)
            rows[case].append(int(ms))
    print("| un-trimmed write-ahead log | median | least to most | runs |")
    print("|---|---|---|---|")
    for case, ms in rows.items():
        print(f"| {case} | {statistics.median(ms):.0f} ms | {min(ms)} to {max(ms)} ms | {len(ms)} |")


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {f.__name__: f for f in (fill, measure, added, silent, table)}[name](*arguments)
