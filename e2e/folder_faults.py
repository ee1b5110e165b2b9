"""Records whose bytes follow from their numbers, a ledger of those that were acknowledged, and the comparison.

produce BROKER TOPIC LEDGER COUNT BYTES   sends COUNT records, or until some fail; appends `offset number` to LEDGER
check BROKER TOPIC LEDGER                 every acknowledged record is where the ledger says, and whole
"""

import collections
import random
import sys
import time


def value(number, size):
    return f"{number} {size} ".encode() + random.Random(number).randbytes(size)


def produce(broker, topic, ledger, count, size):
    from confluent_kafka import Producer

    count, size = int(count), int(size)
    # Without retries each record shows what the broker said of it.
    producer = Producer({
        "bootstrap.servers": broker, "acks": "all", "retries": 0, "linger.ms": 1, "request.timeout.ms": 5000,
        "message.timeout.ms": 20000, "queue.buffering.max.kbytes": 8192, "compression.type": "none",
    })
    acknowledged, failed = 0, collections.Counter()
    first = time.time_ns()

    with open(ledger, "a") as file:
        def delivered(number):
            def callback(error, message):
                nonlocal acknowledged
                if error:
                    failed[error.name()] += 1
                else:
                    acknowledged += 1
                    print(message.offset(), number, file=file)
            return callback

        for number in range(first, first + count):
            # Failures come in one by one while there is no room; a hundred show the picture.
            if failed.total() >= 100:
                break
            while True:
                try:
                    producer.produce(topic, value(number, size), on_delivery=delivered(number), partition=0)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        assert producer.flush(60) == 0, "records without an answer"
    print(f"acknowledged {acknowledged}", *(f"{name} {n}" for name, n in sorted(failed.items())))


def check(broker, topic, ledger):
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    with open(ledger) as file:
        wanted = dict(map(int, line.split()) for line in file)
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "unused", "enable.auto.commit": False})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), 10)
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    for position in range(end):
        message = consumer.poll(30)
        assert message is not None, f"nothing at {position} of {end} for 30 s"
        assert not message.error(), message.error()
        assert message.offset() == position, f"offset {message.offset()} where {position} is due"
        number, size, _ = message.value().split(b" ", 2)
        assert message.value() == value(int(number), int(size)), f"offset {position} has wrong bytes"
        due = wanted.pop(position, int(number))
        assert due == int(number), f"offset {position} was acknowledged as {due} and holds {int(number)}"
    assert not wanted, f"{len(wanted)} acknowledged records are missing"
    print(f"{topic}: {end} records, every acknowledged one in its place")


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {"produce": produce, "check": check}[name](*arguments)
