"""A producer at full load that writes down every acknowledgement it gets.

ledger_produce.py BROKER TOPIC NAME idempotent|plain LEDGER STOP

Each record is 1 KiB of text, `ID:CRC:BODY`, with the id `NAME-NUMBER` also as its key. A line of LEDGER is
`partition offset id crc`, the CRC-32 being that of the whole value as it was handed to the client. It runs until the
file STOP exists, then waits until every record has been acknowledged, so that nothing is left undecided.
"""

import base64
import os
import random
import sys
import zlib

from confluent_kafka import Producer

PARTITIONS = 12
VALUE_BYTES = 1024
BURST = 500


def main(broker, topic, name, how, path, stop):
    producer = Producer({
        "bootstrap.servers": broker,
        "enable.idempotence": how == "idempotent",
        "acks": "all",
        "linger.ms": 1,
        "batch.size": 64 * 1024,
        "message.timeout.ms": 600_000,
        "queue.buffering.max.messages": 20_000,
        # Load comes back soon after the broker does.
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 100,
        "retry.backoff.ms": 50,
        "log_level": 2,
    })
    noise = base64.b64encode(random.Random(name).randbytes(1 << 20)).decode()
    crcs = {}  # of what is not acknowledged yet
    failed = []
    acknowledged = 0
    parent = os.getppid()

    with open(path, "w") as ledger:

        def delivered(error, message):
            nonlocal acknowledged
            if error is not None:
                failed.append(f"{message.key().decode()}: {error}")
                return
            record = message.key().decode()
            print(message.partition(), message.offset(), record, crcs.pop(record), file=ledger)
            acknowledged += 1

        number = 0
        while not os.path.exists(stop) and not failed:
            if os.getppid() != parent:
                sys.exit("whoever started this has gone")
            for _ in range(BURST):
                record = f"{name}-{number}"
                at = (number * 769) % (len(noise) - VALUE_BYTES)
                head = f"{record}:"
                body = noise[at : at + VALUE_BYTES - len(head) - 9]
                value = f"{head}{zlib.crc32(body.encode()):08x}:{body}".encode()
                crcs[record] = zlib.crc32(value)
                while True:
                    try:
                        producer.produce(
                            topic, value, record, partition=number % PARTITIONS, on_delivery=delivered
                        )
                        break
                    except BufferError:
                        producer.poll(0.02)
                        ledger.flush()
                number += 1
            producer.poll(0)
            ledger.flush()
        left = producer.flush(120)
    if failed or left or acknowledged != number:
        sys.exit(f"{name}: {left} of {number} records undecided, {len(failed)} refused: {failed[:3]}")
    print(f"{name} ({how}): {acknowledged} records acknowledged")


if __name__ == "__main__":
    main(*sys.argv[1:])
