"""A producer of a few lines, which knows exactly what it asked and which bytes answered.

produce_raw.py BROKER TOPIC REQUESTS IN-FLIGHT CONNECTIONS RECORD-BYTES OUT

Each connection sends nothing but Produce requests (version 7, acks=all, one batch of one record for partition 0), at
most IN-FLIGHT without an answer. OUT gets, as JSON, a list for each connection: its own port, and for each answer, in
order, the marker that stands in the record and the number of bytes that the answer took.
"""

import json
import socket
import struct
import sys
import threading

PRODUCE, VERSION = 0, 7

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = number << 1 ^ number >> 63
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def batch(value):
    record = b"\0" + varint(0) + varint(0) + varint(-1) + varint(len(value)) + value + varint(0)
    record = varint(len(record)) + record
    # Attributes, last offset delta, two timestamps, producer id, epoch and sequence, number of records.
    body = struct.pack(">hiqqqhii", 0, 0, 1, 1, -1, -1, -1, 1) + record
    return struct.pack(">qiibI", 0, 4 + 1 + 4 + len(body), -1, 2, crc32c(body)) + body


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def request(number, topic, value):
    records = batch(value)
    body = (
        struct.pack(">hhi", PRODUCE, VERSION, number)
        + string("raw")
        + struct.pack(">hhii", -1, -1, 30_000, 1)  # no transaction, acks=all, timeout, one topic
        + string(topic)
        + struct.pack(">iii", 1, 0, len(records))  # one partition, 0
        + records
    )
    return struct.pack(">i", len(body)) + body


def receive(connection, length):
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            sys.exit("the broker closed the connection")
        data += more
    return data


def run(broker, topic, requests, in_flight, name, record_bytes, results):
    host, port = broker.split(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    markers, answers, sent = [f"<marker-{name}-{n}>" for n in range(requests)], [], 0
    while len(answers) < requests:
        while sent < requests and sent - len(answers) < in_flight:
            connection.sendall(request(sent, topic, markers[sent].encode().ljust(record_bytes, b".")))
            sent += 1
        (length,) = struct.unpack(">i", receive(connection, 4))
        answer = receive(connection, length)
        (number,) = struct.unpack_from(">i", answer)
        # Number of topics, the topic, number of partitions; partition, error, base offset.
        _, error, _ = struct.unpack_from(">ihq", answer, 4 + 4 + 2 + len(topic) + 4)
        if number != len(answers) or error:
            sys.exit(f"answer {number} with error {error} where {len(answers)} is due")
        answers.append([markers[number], 4 + length])
    results[name] = {"port": connection.getsockname()[1], "answers": answers}
    connection.close()


def main(broker, topic, requests, in_flight, connections, record_bytes, out):
    results = {}
    of_each = (broker, topic, int(requests), int(in_flight))
    threads = [
        threading.Thread(target=run, args=(*of_each, name, int(record_bytes), results))
        for name in range(int(connections))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(results) != len(threads):
        sys.exit("a connection failed")
    with open(out, "w") as file:
        json.dump(list(results.values()), file)


if __name__ == "__main__":
    main(*sys.argv[1:])
