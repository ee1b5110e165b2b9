"""Writes the same keyed records to several brokers, has them compacted, and compares what is left.

    keyed_compaction.py [--transactions] [--seed N] NAME=HOST:PORT...

The input is a list of steps, made from the seed; an oracle says from it which records must be left. Record timestamps
are made up, so that segments roll by the input and not by how fast it was written. They are ahead of the clock:
transaction markers have the broker's, and one that began a segment would keep older records from rolling it.

Nobody says when a cleaner is done, so the log tells: a sentinel is a segment of its own that holds a key twice, and when
the first of the two is gone, a pass has covered the sentinel and all before it. Since the active segment is never
cleaned, that takes the next sentinel.

Fails unless on every broker what is left below the first sentinel is what the oracle says, (offset, key, value) by
(offset, key, value), at least half of the records are gone, and there were tombstones and all have expired."""
import argparse
import random
import sys
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "keyed-transactions" if "--transactions" in sys.argv else "keyed"
SEGMENT_MS = 10_000
DELETE_RETENTION_MS = 3_000
CONFIG = {"cleanup.policy": "compact", "segment.ms": str(SEGMENT_MS), "min.cleanable.dirty.ratio": "0.01",
          "delete.retention.ms": str(DELETE_RETENTION_MS)}
# Less than message.timestamp.after.max.ms, an hour, by more than the whole input takes.
AHEAD_MS = 1_200_000
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
KEYS = 300
STEPS = 600
# What a cleaner may take for one pass, and how many sentinels tombstones may take to expire.
PASS_S = 60
EXPIRY_SENTINELS = 5


class Input:
    """Steps: ("send", producer, [(key, value, timestamp)...]), ("begin" | "commit" | "abort", producer)."""

    def __init__(self, seed, transactions):
        self.random, self.steps, self.now_ms = random.Random(seed), [], int(time.time() * 1000) + AHEAD_MS
        self.producers = {codec: {"compression.type": codec, "enable.idempotence": True} for codec in CODECS}
        self.producers["plain"] = {"compression.type": "none", "enable.idempotence": False, "acks": "all"}
        if transactions:
            for name, codec in ("one", "lz4"), ("two", "none"):
                self.producers[name] = {"compression.type": codec, "transactional.id": f"keyed-{name}"}
        open_transactions = set()
        for _ in range(STEPS):
            producer = self.random.choice(list(self.producers))
            if "transactional.id" in self.producers[producer]:
                if producer not in open_transactions:
                    self.steps.append(("begin", producer))
                    open_transactions.add(producer)
                elif self.random.random() < 0.3:
                    self.end(producer)
                    open_transactions.remove(producer)
                    continue
            self.steps.append(("send", producer, [self.record() for _ in range(self.random.randint(1, 12))]))
        for producer in sorted(open_transactions):
            self.end(producer)

    def end(self, producer):
        self.steps.append((self.random.choice(["commit", "abort"]), producer))

    def record(self):
        # Few keys change often and many seldom; the last tenth is written early on only.
        reach = KEYS if len(self.steps) < STEPS / 4 else KEYS * 9 // 10
        key = min(int(self.random.expovariate(1 / 40)), reach - 1) if self.random.random() < 0.7 \
            else self.random.randrange(reach)
        value = None
        if self.random.random() < 0.8:
            size = 2_000 if self.random.random() < 0.02 else self.random.randint(0, 80)
            value = bytes(self.random.choices(b"abcdef", k=size))
        self.now_ms += self.random.randint(0, 60)
        return f"key {key}".encode(), value, self.now_ms

    def sentinel(self, number):
        """A segment of its own: it comes SEGMENT_MS after the one before it. Its size makes it dirty enough."""
        self.now_ms += SEGMENT_MS + 1
        key, filler = f"sentinel {number}".encode(), self.random.randbytes(20_000)
        return [(key, b"first", self.now_ms), (key, filler, self.now_ms)]


def oracle(written):
    """What is left of (offset, key, value, aborted) when all of it is clean and every tombstone has expired."""
    latest = {key: offset for offset, key, _, aborted in written if not aborted}
    return [(offset, key, value) for offset, key, value, _ in written if latest.get(key) == offset and value is not None]


class Side:
    """One broker, and what was written to it."""

    def __init__(self, name, address, producers):
        self.name, self.address, self.written = name, address, []
        admin = AdminClient({"bootstrap.servers": address})
        admin.create_topics([NewTopic(TOPIC, 1, config=CONFIG)])[TOPIC].result(30)
        # One batch for each flush: what lingers is sent by it.
        self.producers = {
            producer: Producer({"bootstrap.servers": address, "linger.ms": 5_000} | config)
            for producer, config in producers.items()}
        for producer, config in producers.items():
            if "transactional.id" in config:
                self.producers[producer].init_transactions(60)
        self.open = {}
        self.reader = Consumer({"bootstrap.servers": address, "group.id": "none", "enable.auto.commit": False,
                                "isolation.level": "read_uncommitted"})

    def end(self):
        return self.reader.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=60, cached=False)[1]

    def take(self, step):
        kind, name = step[:2]
        producer = self.producers[name]
        if kind == "begin":
            producer.begin_transaction()
            self.open[name] = []
        elif kind == "send":
            self.send(producer, step[2], self.open.get(name))
        else:
            for place in self.open.pop(name):
                self.written[place] += (kind == "abort",)
            # Kafka answers before it has written the marker, which takes an offset: the next record waits for it.
            marked, until = self.end() + 1, time.monotonic() + 60
            (producer.commit_transaction if kind == "commit" else producer.abort_transaction)(60)
            while self.end() < marked:
                if time.monotonic() > until:
                    sys.exit(f"{self.name}: no transaction marker was written in 60 s")

    def send(self, producer, records, transaction=None):
        """Writes `records`, and the places where they were noted to `transaction`, which says later how they ended."""
        offsets = []

        def delivered(error, message):
            if error:
                sys.exit(f"{self.name}: a record was not taken: {error}")
            offsets.append(message.offset())

        for key, value, timestamp in records:
            producer.produce(TOPIC, value, key, partition=0, timestamp=timestamp, on_delivery=delivered)
        if producer.flush(60) or len(offsets) != len(records):
            sys.exit(f"{self.name}: records were not acknowledged in 60 s")
        for offset, (key, value, _) in zip(offsets, records):
            if transaction is None:
                self.written.append((offset, key, value, False))
            else:
                transaction.append(len(self.written))
                self.written.append((offset, key, value))
        return offsets[0]

    def read(self):
        """All that is there as (offset, key, value), aborted records too."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "none", "enable.auto.commit": False,
                             "enable.partition.eof": True, "isolation.level": "read_uncommitted"})
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        records, end = [], time.monotonic() + 60
        while time.monotonic() < end:
            message = consumer.poll(1)
            if message is None:
                continue
            if not message.error():
                records.append((message.offset(), message.key(), message.value()))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                consumer.close()
                return records
            else:
                sys.exit(f"{self.name}: reading failed: {message.error()}")
        sys.exit(f"{self.name}: the log's end was not reached in 60 s")

    def wait(self, gone):
        """Reads until the record at the offset `gone` is no more, and then once again: a pass may have ended while the
        log was being read."""
        end = time.monotonic() + PASS_S
        while True:
            records = self.read()
            if all(offset != gone for offset, _, _ in records):
                return self.read()
            if time.monotonic() > end:
                sys.exit(f"{self.name}: the cleaner has not passed offset {gone} after {PASS_S} s; "
                         f"{len(records)} of {len(self.written)} records are left")
            time.sleep(0.2)


def differences(what, got, expected):
    print(f"{what}: {len(got)} records, expected {len(expected)}")
    for sign, records in ("+", set(got) - set(expected)), ("-", set(expected) - set(got)):
        for offset, key, value in sorted(records, key=lambda record: record[0])[:10]:
            print(f"  {sign} {offset} {key} {value if value is None or len(value) < 50 else len(value)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--transactions", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("sides", nargs="+")
    args = parser.parse_args()
    given = Input(args.seed, args.transactions)
    sides = [Side(*side.split("=", 1), given.producers) for side in args.sides]
    for step in given.steps:
        for side in sides:
            side.take(step)
    written = [len(side.written) for side in sides]
    below = [list(side.written) for side in sides]
    assert len(set(map(tuple, below))) == 1, f"the same input got different offsets: {written}"
    expected = oracle(below[0])
    latest = {key: value for _, key, value, aborted in below[0] if not aborted}
    tombstones = {key for key, value in latest.items() if value is None}
    aborted = sum(record[3] for record in below[0])
    print(f"{len(below[0])} records of {len(latest)} keys, {aborted} of them aborted; {len(expected)} must be left, and "
          f"{len(tombstones)} keys end with a tombstone (seed {args.seed})")
    assert len(expected) * 2 < len(below[0]) and tombstones, "this input proves nothing"

    # What rolls what is there to clean.
    firsts = []

    def sentinel():
        records = given.sentinel(len(firsts))
        firsts.append([side.send(side.producers["plain"], records) for side in sides])

    sentinel()
    ends = firsts[0]
    failed = False
    # All has expired when a pass that began after every horizon is over. Its sentinel is written after the retention,
    # and a pass that began before that one was written can't cover it.
    for turn in range(EXPIRY_SENTINELS):
        sentinel()
        lefts = [side.wait(first) for side, first in zip(sides, firsts[-2])]
        lefts = [[record for record in left if record[0] < end] for left, end in zip(lefts, ends)]
        old = [[record for record in left if record[2] is None] for left in lefts]
        print("a pass over: " + ", ".join(f"{side.name} has {len(left)} records left, {len(dead)} of them tombstones"
                                          for side, left, dead in zip(sides, lefts, old)))
        for side, left in zip(sides, lefts):
            # From the first pass on: every key once at most, and every value that must be left.
            alive = [record for record in left if record[2] is not None]
            keys = [key for _, key, _ in left]
            if alive != expected or len(set(keys)) != len(keys) or {k for _, k, v in left if v is None} - tombstones:
                differences(f"{side.name}, turn {turn}", alive, expected)
                failed = True
        if failed or (turn and not any(old)):
            break
        time.sleep(DELETE_RETENTION_MS / 1000)
    for side, left, count in zip(sides, lefts, written):
        if left != expected:
            differences(side.name, left, expected)
            failed = True
        gone = count - len(left)
        print(f"{side.name}: {gone} of {count} records are gone, {sum(value is None for _, _, value in left)} tombstones left")
        failed |= gone * 2 < count
    if failed:
        sys.exit("keyed compaction: not as it must be")
    print(f"keyed compaction: {' and '.join(side.name for side in sides)} "
          f"{'have' if len(sides) > 1 else 'has'} the same {len(expected)} records left")


main()
