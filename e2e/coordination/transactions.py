"""Transactions: how many a second, how long a commit takes, and what they cost the broker."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from brokers import HERE, KAFKA
from links import TRANSACTION, coordinated, created, opened
from measure import cpu_clock, quantile, run

BESIDE = Path(__file__).resolve().parent
WARM_UP_S, SECONDS, LEAST_S = 2, 4, 2
# Title, client, partitions, records a transaction, producers at once, whether a consumer's offset is in each, and how
# often each producer begins one, in ms; 0 is as soon as the last one is committed.
CASES = [
    ("librdkafka, 1 producer: 1 record", "librdkafka", 1, 1, 1, False, 0),
    ("librdkafka, 1 producer: 100 records", "librdkafka", 1, 100, 1, False, 0),
    ("librdkafka, 1 producer: 10 records in 10 partitions", "librdkafka", 10, 10, 1, False, 0),
    ("librdkafka, 1 producer: 100 records in 10 partitions", "librdkafka", 10, 100, 1, False, 0),
    ("librdkafka, 1 producer: 1 record, offset", "librdkafka", 1, 1, 1, True, 0),
    ("librdkafka, 1 producer: 100 records in 10 partitions, offset", "librdkafka", 10, 100, 1, True, 0),
    ("librdkafka, 8 producers: 1 record", "librdkafka", 1, 1, 8, False, 0),
    ("librdkafka, 8 producers: 100 records in 10 partitions", "librdkafka", 10, 100, 8, False, 0),
    ("librdkafka, 8 producers: 100 records in 10 partitions, offset", "librdkafka", 10, 100, 8, True, 0),
    ("librdkafka, 8 producers, every 100 ms: 100 records in 10 partitions, offset", "librdkafka", 10, 100, 8, True, 100),
    ("Java, 1 producer: 1 record", "java", 1, 1, 1, False, 0),
    ("Java, 8 producers: 100 records in 10 partitions", "java", 10, 100, 8, False, 0),
    ("Java, 8 producers: 100 records in 10 partitions, offset", "java", 10, 100, 8, True, 0),
    ("Java, 8 producers, every 100 ms: 100 records in 10 partitions, offset", "java", 10, 100, 8, True, 100),
]
# Not measured: a broker's first ones.
FIRST = ("librdkafka", 10, 100, 8, True, 0)


def command(client):
    if client == "librdkafka":
        return [sys.executable, BESIDE / "transaction_load.py"]
    libs = run([KAFKA, "libs"]).strip()
    settings = [f"-Dlog4j2.configurationFile={HERE / 'kafka/log4j2.xml'}", "-Dlog4j.level=ERROR"]
    return ["java", *settings, "-cp", f"{libs}/*", BESIDE / "TransactionLoad.java"]


async def prepare(port, topic, partitions, producers):
    """The topic is there, and the transactional ids and the groups of the same names have their coordinators."""
    link, = await opened(port, 1)
    names = [f"{topic}-{number}" for number in range(producers)]
    await created(link, topic, partitions)
    await coordinated(link, names, TRANSACTION)
    await coordinated(link, names)
    link.close()


def load(broker, topic, client, partitions, records, producers, offsets, every_ms, scale):
    asyncio.run(prepare(broker.port, topic, partitions, producers))
    arguments = [f"127.0.0.1:{broker.port}", topic, partitions, records, producers, int(offsets), every_ms,
                 WARM_UP_S / scale, max(SECONDS / scale, LEAST_S)]
    process = subprocess.Popen([*command(client), *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    cpu = {}
    for word in ("begin", "end"):
        if process.stdout.readline().strip() != word:
            break
        cpu[word] = cpu_clock(broker.pid)
    said = process.communicate()[0]
    if process.returncode or len(cpu) < 2:
        sys.exit(f"{topic} failed with {broker.name}")
    found = json.loads(said)
    count, took = found["transactions"], found["commit us"]
    if not count:
        sys.exit(f"{topic}: not a single transaction was committed with {broker.name}")
    return {"a second": count / found["seconds"], "commit p50 ms": quantile(took, 0.5) / 1e3,
            "commit p99 ms": quantile(took, 0.99) / 1e3, "broker CPU ms each": (cpu["end"] - cpu["begin"]) * 1e3 / count}


def measure(broker, scale):
    """{(case, unit): value} of one broker; `scale` is by how much the load is shortened."""
    figures = {}
    load(broker, "transactions-first", *FIRST, scale)
    for number, (title, *case) in enumerate(CASES):
        for unit, value in load(broker, f"transactions-{number}", *case, scale).items():
            figures[title, unit] = value
    return figures
