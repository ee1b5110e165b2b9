"""Transactional producers of librdkafka's, each committing one transaction after the other.

    transaction_load.py BROKER TOPIC PARTITIONS RECORDS PRODUCERS OFFSETS EVERY-MS WARM-UP SECONDS

Each transaction has RECORDS records of 1 KiB, by turns to PARTITIONS partitions, and (OFFSETS is 1) the offset of a
consumer. A producer begins one every so many milliseconds, or (0) as soon as the last one is committed. Prints
"begin" when the producers have worked for WARM-UP seconds since each has committed one, "end" after SECONDS more, and
then, as JSON, how many transactions ended in between, the seconds in between, and how long each commit took, in
microseconds, from when all records were handed over (sending the offset is part of it). TransactionLoad.java
is the same with Java's producer."""

import json
import sys
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition

RECORD, READY_S, COMMIT_S = bytes(1024), 60, 60
# syslog's; the retries that go with transactions are warnings.
ERRORS = 3


class Load(threading.Thread):
    """One producer."""

    def __init__(self, broker, topic, partitions, records, number, offsets, every_ms):
        super().__init__(daemon=True)
        self.topic, self.partitions, self.records, self.every = topic, partitions, records, every_ms / 1000
        name = f"{topic}-{number}"
        common = {"bootstrap.servers": broker, "log_level": ERRORS}
        self.producer = Producer(common | {"transactional.id": name})
        self.producer.init_transactions(READY_S)
        self.committed = []
        self.consumer = Consumer(common | {"group.id": name}) if offsets else None
        self.first, self.ending, self.error = threading.Event(), threading.Event(), None

    def run(self):
        try:
            at, due = 0, time.perf_counter()
            while not self.ending.is_set():
                at, due = at + 1, due + self.every
                self.transaction(at)
                time.sleep(max(0, due - time.perf_counter()))
        except Exception as error:
            self.error = error
        # Nobody waits for one that has failed.
        self.first.set()

    def transaction(self, at):
        self.producer.begin_transaction()
        for index in range(self.records):
            self.producer.produce(self.topic, RECORD, partition=index % self.partitions)
        began = time.perf_counter()
        if self.consumer:
            group = self.consumer.consumer_group_metadata()
            self.producer.send_offsets_to_transaction([TopicPartition(self.topic, 0, at)], group, COMMIT_S)
        self.producer.commit_transaction(COMMIT_S)
        now = time.perf_counter()
        self.committed.append((now, now - began))
        self.first.set()


def main(broker, topic, partitions, records, producers, offsets, every_ms, warm_up, seconds):
    loads = [Load(broker, topic, int(partitions), int(records), number, int(offsets), int(every_ms))
             for number in range(int(producers))]
    for load in loads:
        load.start()
    for load in loads:
        if not load.first.wait(READY_S):
            sys.exit(f"nothing is committed after {READY_S} s")
    time.sleep(float(warm_up))
    begin = time.perf_counter()
    print("begin", flush=True)
    time.sleep(float(seconds))
    end = time.perf_counter()
    print("end", flush=True)
    for load in loads:
        load.ending.set()
        load.join()
        if load.error:
            sys.exit(f"{load.topic}: {load.error}")
    took = [took for load in loads for at, took in load.committed if begin <= at < end]
    print(json.dumps({"transactions": len(took), "seconds": end - begin, "commit us": [round(t * 1e6) for t in took]}))


main(*sys.argv[1:])
