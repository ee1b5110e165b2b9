"""Load, weather and measurements for e2e/storms.

storms.py run PLAN FOLDER BOOTSTRAP HTTP CONTROL BROKER-PID RSS-MIB-MAX
storms.py side-check FOLDER BOOTSTRAP

PLAN is `full` or `short`. `run` starts the load (the commands `produce`, `consume` and `side`, a process each), leads
the proxy at port CONTROL through the phases, writes a line a second to FOLDER/seconds.tsv, prints a table, and fails
if something is not as it must be. Ledgers are for ledger_check.py, one for each producer and topic.
"""

import base64
import collections
import json
import math
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time
import urllib.request
import zlib

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TOPICS, PARTITIONS = ("storm-0", "storm-1", "storm-2"), 4
SHORT, KEYED, KEYS = "short", "keyed", 500
PRODUCERS = ("i1", "i2", "i3")
VALUE_BYTES = 400
BURST = 200
WARM_UP = 4  # seconds of the first phase that are not what is usual
BACK_WITHIN = 10  # seconds
# Name, seconds, what the proxy is told.
PLANS = {
    "full": [
        ("calm", 20, "pass"), ("stall", 30, "stall"), ("calm", 20, "pass"), ("503, half", 30, "503?share=0.5"),
        ("calm", 20, "pass"), ("lost, a fifth", 30, "lost?share=0.2"), ("calm", 20, "pass"),
    ],
    "short": [
        ("calm", 8, "pass"), ("stall", 6, "stall"), ("calm", 10, "pass"), ("503, half", 6, "503?share=0.5"),
        ("calm", 10, "pass"), ("lost, a fifth", 5, "lost?share=0.2"), ("calm", 10, "pass"),
    ],
}
STATES = ("broker_rss", "wal_untrimmed", "buffer", "wal_in_flight")


def bucket(seconds):
    return round(16 * math.log2(1 + seconds * 1000))


def unbucket(index):
    return (2 ** (index / 16) - 1) / 1000


class Seconds:
    """A line for each second in which something came: when, how many, their latencies by buckets, the longest."""

    def __init__(self, path):
        self.file, self.second = open(path, "w"), 0
        self.buckets, self.longest = collections.Counter(), 0.0

    def add(self, latency):
        now = int(time.time())
        if now != self.second:
            self.flush()
            self.second = now
        self.buckets[bucket(latency)] += 1
        self.longest = max(self.longest, latency)

    def flush(self):
        if self.buckets:
            print(json.dumps([self.second, self.longest, self.buckets]), file=self.file, flush=True)
        self.buckets, self.longest = collections.Counter(), 0.0


def producer(bootstrap, failures, **more):
    def failed(error):
        # All brokers down, a connection lost: what is counted here is what ends a producer.
        if error.fatal():
            failures.append(f"fatal: {error}")

    return Producer({
        "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 5,
        "message.timeout.ms": 600_000, "error_cb": failed, "log_level": 2, **more,
    })


def going(folder, parent):
    return os.getppid() == parent and not (folder / "stop").exists()


def produce(folder, bootstrap, name):
    """Writes as fast as it goes, and every acknowledgement into a ledger, until FOLDER/stop is there."""
    failures, crcs, parent = [], {}, os.getppid()
    client = producer(bootstrap, failures, **{"queue.buffering.max.messages": 5_000, "batch.size": 256 << 10})
    noise = base64.b64encode(random.Random(name).randbytes(1 << 20)).decode()
    ledgers = {topic: open(folder / f"{topic}.{name}.ledger", "w") for topic in TOPICS}
    seconds = Seconds(folder / f"{name}.seconds")

    def delivered(error, message):
        if error is not None:
            failures.append(str(error))
            return
        record = message.key().decode()
        print(message.partition(), message.offset(), record, crcs.pop(record), file=ledgers[message.topic()])
        seconds.add(message.latency())

    number = 0
    while going(folder, parent) and not failures:
        for _ in range(BURST):
            record = f"{name}-{number}"
            at = (number * 769) % (len(noise) - VALUE_BYTES)
            body = noise[at : at + VALUE_BYTES - len(record) - 10]
            value = f"{record}:{zlib.crc32(body.encode()):08x}:{body}".encode()
            crcs[record] = zlib.crc32(value)
            topic, partition = TOPICS[number % len(TOPICS)], number // len(TOPICS) % PARTITIONS
            while True:
                try:
                    client.produce(topic, value, record, partition=partition, on_delivery=delivered)
                    break
                except BufferError:
                    client.poll(0.05)
                    if os.getppid() != parent:
                        sys.exit("whoever started this has gone")
            number += 1
        client.poll(0)
    left = client.flush(120)
    seconds.flush()
    for ledger in ledgers.values():
        ledger.close()
    if failures or left:
        sys.exit(f"{name}: {left} of {number} records undecided, {len(failures)} failures: {failures[:3]}")
    (folder / f"{name}.sent").write_text(str(number))


def consume(folder, bootstrap):
    """Reads at the end of all partitions, each record once and in order, until all that was acknowledged has come."""
    parent = os.getppid()
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False,
        "auto.offset.reset": "error", "check.crcs": True, "log_level": 2,
    })
    all_of = [TopicPartition(topic, partition, OFFSET_BEGINNING) for topic in TOPICS for partition in range(PARTITIONS)]
    consumer.assign(all_of)
    ends, seconds, idle = collections.Counter(), Seconds(folder / "tail.seconds"), 0
    while os.getppid() == parent:
        messages = consumer.consume(2_000, 1)
        for message in messages:
            assert not message.error(), message.error()
            place = message.topic(), message.partition()
            assert message.offset() == ends[place], f"{place}: offset {message.offset()} where {ends[place]} is due"
            ends[place] += 1
            seconds.add(max(0.0, time.time() - message.timestamp()[1] / 1000))
        idle = 0 if messages else idle + 1
        sent = list(folder.glob("*.sent"))
        if len(sent) == len(PRODUCERS):
            due = sum(int(path.read_text()) for path in sent)
            if sum(ends.values()) == due:
                break
            assert idle < 60, f"nothing came for a minute: {sum(ends.values())} of {due} records were read"
    seconds.flush()
    consumer.close()


def side(folder, bootstrap):
    """A little for a topic that retention keeps short, and for one with keyed compaction."""
    failures, parent, number = [], os.getppid(), 0
    client = producer(bootstrap, failures)

    def delivered(error, _):
        if error is not None:
            failures.append(str(error))

    while going(folder, parent) and not failures:
        for _ in range(50):
            client.produce(SHORT, bytes(4096), on_delivery=delivered)
            client.produce(KEYED, f"{number}".ljust(500, "."), f"{number % KEYS}", on_delivery=delivered)
            number += 1
        client.poll(0.1)
    left = client.flush(120)
    if failures or left:
        sys.exit(f"side: {left} records undecided, {len(failures)} failures: {failures[:3]}")
    (folder / "side.total").write_text(str(number))


def side_check(folder, bootstrap):
    """The short topic has lost its beginning, and of each key of the other the last record is there."""
    number = int((folder / "side.total").read_text())
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False, "auto.offset.reset": "error",
    })
    low, high = consumer.get_watermark_offsets(TopicPartition(SHORT, 0), timeout=30)
    assert high == number and low > 0, f"the short topic has the offsets {low} to {high} of {number}"
    _, end = consumer.get_watermark_offsets(TopicPartition(KEYED, 0), timeout=30)
    assert end == number, f"the keyed topic ends at {end}, not {number}"
    consumer.assign([TopicPartition(KEYED, 0, OFFSET_BEGINNING)])
    last, read, position = {}, 0, 0
    deadline = time.monotonic() + 60
    while position < end:
        assert time.monotonic() < deadline, f"the keyed topic was read up to {position} of {end}"
        for message in consumer.consume(5_000, 1):
            assert not message.error(), message.error()
            last[message.key()], position = message.value(), message.offset() + 1
            read += 1
    for key in range(min(KEYS, number)):
        due = (number - 1 - key) // KEYS * KEYS + key
        assert last[b"%d" % key] == f"{due}".ljust(500, ".").encode(), f"key {key}: not its last value"
    consumer.close()
    print(f"the short topic begins at {low} of {high}; of {number} records of {KEYS} keys {read} are left, "
          "the last of each among them")


class Run:
    def __init__(self, plan, folder, bootstrap, http, control, pid, rss_mib):
        self.plan, self.folder, self.bootstrap = PLANS[plan], pathlib.Path(folder), bootstrap
        self.http, self.control, self.pid, self.rss_max = http, int(control), int(pid), int(rss_mib) << 20
        self.samples = {}  # by second
        self.load, self.faults = {}, []
        self.phases = []  # name, beginning, end, what became of requests

    def proxy(self, command):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.control}/{command}", timeout=10) as answer:
            return json.load(answer)

    def start(self):
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        short = {"retention.bytes": str(2 << 20), "segment.bytes": str(1 << 20)}
        keyed = {"cleanup.policy": "compact", "segment.bytes": str(1 << 20), "min.cleanable.dirty.ratio": "0.3"}
        topics = [NewTopic(topic, PARTITIONS) for topic in TOPICS]
        topics += [NewTopic(SHORT, 1, config=short), NewTopic(KEYED, 1, config=keyed)]
        for created in admin.create_topics(topics).values():
            created.result(30)
        commands = {name: ["produce", name] for name in PRODUCERS} | {"tail": ["consume"], "side": ["side"]}
        for name, command in commands.items():
            arguments = [command[0], str(self.folder), self.bootstrap, *command[1:]]
            self.load[name] = subprocess.Popen([sys.executable, __file__, *arguments])

    def sample(self):
        """One second's state of the broker, which must be alive, as all of the load."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["State"][0] not in "ZX", "the broker has ended"
        ended = {name: process.returncode for name, process in self.load.items() if process.poll()}
        assert not ended, f"failed: {ended}"
        sample = {"broker_rss": int(fields["VmRSS"].split()[0]) << 10}
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=5) as answer:
            for line in answer.read().decode().splitlines():
                name = line.split(" ")[0].removeprefix("levee_").removesuffix("_bytes")
                if name in STATES:
                    sample[name] = int(float(line.split(" ")[1]))
        return sample

    def until(self, end):
        while (now := time.time()) < end:
            self.samples[int(now)] = self.sample()
            time.sleep(max(0.0, min(end, math.floor(now) + 1.0) - time.time()))

    def go(self):
        self.start()
        counts = self.proxy("pass")
        for name, seconds, command in self.plan:
            began = time.time()
            self.proxy(command)
            self.until(began + seconds)
            after = self.proxy("counts")
            became = {what: sum(by.values()) - sum(counts.get(what, {}).values()) for what, by in after.items()}
            counts = after
            self.phases.append((name, began, time.time(), {what: n for what, n in became.items() if n}))
            print(f"{name}: {seconds} s", file=sys.stderr)
        (self.folder / "stop").touch()
        for name, process in self.load.items():
            code = process.wait(180)
            assert code == 0, f"{name} ended with {code}"

    def read_seconds(self):
        """By second: records, the buckets of their latencies, the longest."""
        acknowledged = collections.defaultdict(lambda: [0, collections.Counter(), 0.0])
        for name in PRODUCERS:
            path = self.folder / f"{name}.seconds"
            for line in path.read_text().splitlines() if path.exists() else []:
                second, longest, buckets = json.loads(line)
                all_of = acknowledged[second]
                all_of[0] += sum(buckets.values())
                all_of[1].update({int(index): n for index, n in buckets.items()})
                all_of[2] = max(all_of[2], longest)
        return acknowledged

    def write_seconds(self):
        acknowledged, phases = self.read_seconds(), self.phases
        with open(self.folder / "seconds.tsv", "w") as out:
            print("second", "phase", "acknowledged", "p99_ms", *STATES, sep="\t", file=out)
            for name, began, ended, _ in phases:
                for second in range(int(began), int(ended)):
                    count, buckets, _ = acknowledged[second]
                    state = self.samples.get(second, {})
                    print(second - int(phases[0][1]), name, count, round(1000 * quantile(buckets, 0.99)),
                          *(state.get(field, "") for field in STATES), sep="\t", file=out)

    def report(self):
        acknowledged, phases, usual = self.read_seconds(), self.phases, None
        rows = [("phase", "s", "records/s min", "median", "max", "p99", "longest", "RSS", "untrimmed", "back after",
                 "requests")]
        for at, (name, began, ended, became) in enumerate(phases):
            # A second in which one phase ends and another begins counts for no rate, and for the other's latencies.
            inside = range(int(began) + 1, int(ended))
            rates = [acknowledged[second][0] for second in inside]
            if usual is None:
                usual = statistics.median(rates[WARM_UP:])
            together, longest = collections.Counter(), 0.0
            for second in range(int(began), int(ended)):
                together.update(acknowledged[second][1])
                longest = max(longest, acknowledged[second][2])
            states = [self.samples[second] for second in inside if second in self.samples]
            mib = {field: f"{max(state[field] for state in states) >> 20} MiB" for field in STATES}
            back = ""
            if at and phases[at - 1][0] != "calm":
                back = self.back(name, began, rates, inside, usual)
            rows.append((name, round(ended - began), min(rates), round(statistics.median(rates)), max(rates),
                         f"{quantile(together, 0.99):.2f} s", f"{longest:.1f} s", mib["broker_rss"],
                         mib["wal_untrimmed"], back, ", ".join(f"{n} {what}" for what, n in sorted(became.items()))))
        print("| " + " | ".join(rows[0]) + " |")
        print("|" + "---|" * len(rows[0]))
        for row in rows[1:]:
            print("| " + " | ".join(map(str, row)) + " |")
        highest = max(state["broker_rss"] for state in self.samples.values())
        if highest > self.rss_max:
            self.faults.append(f"the broker took {highest >> 20} MiB, more than {self.rss_max >> 20}")
        sent = sum(int((self.folder / f"{name}.sent").read_text()) for name in PRODUCERS)
        print(f"\n{sent} records sent and acknowledged, no delivery error, no fatal one; "
              f"RSS {highest >> 20} MiB at most, {self.rss_max >> 20} allowed")

    def back(self, name, began, rates, inside, usual):
        """When the rate is half of the usual again, counted from the end of the fault; it must stay so."""
        again = next((at for at, n in enumerate(rates) if n >= usual / 2), None)
        stays = again is not None and statistics.median(rates[again:]) >= usual / 2
        took = inside[again] - began if stays else math.inf
        if took > BACK_WITHIN:
            self.faults.append(f"half of {usual:.0f}/s is reached again after {took:.0f} s, {BACK_WITHIN} are allowed")
        return f"{took:.0f} s" if took < math.inf else "never"


def quantile(buckets, share):
    """In seconds; 0 of nothing."""
    due = share * sum(buckets.values())
    for index in sorted(buckets):
        due -= buckets[index]
        if due <= 0:
            return unbucket(index)
    return 0


def run(*arguments):
    this = Run(*arguments)
    try:
        this.go()
        this.report()
    finally:
        this.write_seconds()
        for process in this.load.values():
            if process.poll() is None:
                process.kill()
                process.wait()
    if this.faults:
        sys.exit("\n".join(this.faults))


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "run":
        run(*rest)
    else:
        folder, *rest = rest
        commands = {"produce": produce, "consume": consume, "side": side, "side-check": side_check}
        commands[command](pathlib.Path(folder), *rest)
