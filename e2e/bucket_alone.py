"""Fills a topic with records that follow from where they are, and checks them.

bucket_alone.py produce BOOTSTRAP MIB PARTITIONS
bucket_alone.py check BOOTSTRAP MIB PARTITIONS
"""

import hashlib
import multiprocessing
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

RECORD_BYTES = 1024
TOPIC, SHORT = "kept", "short"
SHORT_BYTES = 4 << 20
PARTITIONS_A_PRODUCER, QUEUE = 25, 160_000
CONSUMERS, QUEUED_KIB = 2, 64 << 10


def value(partition, offset):
    block = hashlib.sha256(f"{partition}/{offset}".encode()).digest()
    return block * (RECORD_BYTES // len(block))


def create(bootstrap, partitions):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    short = {"retention.bytes": str(SHORT_BYTES), "segment.bytes": str(1 << 20)}
    topics = [NewTopic(TOPIC, partitions), NewTopic(SHORT, 1, config=short)]
    for created in admin.create_topics(topics).values():
        created.result(30)


def produce_some(bootstrap, count, partitions, short, queue):
    """Writes `count` records to each of `partitions`, and for each of them `short` to the topic that is kept short."""
    producer = Producer({
        "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 20,
        "queue.buffering.max.messages": queue, "compression.type": "none",
    })
    failures = []

    def delivered(error, message):
        if error:
            failures.append(error)

    def send(topic, partition, content):
        while True:
            try:
                return producer.produce(topic, content, partition=partition, on_delivery=delivered)
            except BufferError:
                producer.poll(0.1)

    for offset in range(count):
        for partition in partitions:
            send(TOPIC, partition, value(partition, offset))
        for _ in range(short):
            send(SHORT, 0, value(-1, offset))
        producer.poll(0)
    left = producer.flush(300)
    assert not failures and left == 0, f"{left} records are not acknowledged, {failures[:3]}"


def produce(bootstrap, mib, partitions):
    """librdkafka sends each partition's batch by itself, and an idempotent producer five at a time: with many partitions
    it takes several to keep a broker busy that acknowledges ten times a second."""
    create(bootstrap, partitions)
    count, workers = mib * 1024 // partitions, max(1, partitions // PARTITIONS_A_PRODUCER)
    some = [range(first, partitions, workers) for first in range(workers)]
    side_by_side([(produce_some, (bootstrap, count, own, max(1, len(own) // 4), QUEUE // workers)) for own in some])


def check_some(bootstrap, due, partitions):
    """Reads `due` records of each of `partitions`."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False,
        "auto.offset.reset": "error", "fetch.max.bytes": 8 << 20, "check.crcs": True,
        "queued.max.messages.kbytes": QUEUED_KIB,
    })
    consumer.assign([TopicPartition(TOPIC, partition, OFFSET_BEGINNING) for partition in partitions])
    ends, idle = dict.fromkeys(partitions, 0), 0
    while sum(ends.values()) < due * len(partitions):
        messages = consumer.consume(10_000, 5)
        idle = 0 if messages else idle + 1
        assert idle < 12, f"nothing came for a minute: {sum(ends.values())} of {due * len(partitions)} records were read"
        for message in messages:
            assert not message.error(), message.error()
            partition, offset = message.partition(), message.offset()
            assert offset == ends[partition], f"partition {partition}: offset {offset} where {ends[partition]} is due"
            assert message.value() == value(partition, offset), f"partition {partition}, offset {offset}: other bytes"
            ends[partition] += 1
    consumer.close()


def check(bootstrap, mib, partitions):
    """Several consumers, as one verifies about a hundred MB a second."""
    due, workers, began = mib * 1024 // partitions, min(partitions, CONSUMERS), time.monotonic()
    side_by_side([(check_some, (bootstrap, due, range(first, partitions, workers))) for first in range(workers)])
    took = time.monotonic() - began
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none"})
    low, high = consumer.get_watermark_offsets(TopicPartition(SHORT, 0), timeout=30)
    consumer.close()
    print(f"{due * partitions} records in {partitions} partitions, each once, in order, and as it was sent, in {took:.0f} s; "
          f"the short topic begins at {low} of {high}")
    assert low > 0, "retention has removed nothing"


def side_by_side(calls):
    workers = [multiprocessing.Process(target=call, args=arguments) for call, arguments in calls]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(worker.exitcode == 0 for worker in workers), "one of them failed"


if __name__ == "__main__":
    {"produce": produce, "check": check}[sys.argv[1]](sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
