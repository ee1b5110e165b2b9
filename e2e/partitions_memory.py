"""A broker's memory by the number of its partitions.

grow BROKER HTTP PID WHERE COUNT RECORDS     makes COUNT partitions, then puts RECORDS records of 1 KiB into each
again BROKER HTTP PID WHERE COUNT LOG        asks a broker that was started again for the ends of all of them
table FILE                                   what these printed, as a table
"""

import json
import re
import sys
import time
from pathlib import Path

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from measure import Counters, memory_mib, settle, shown, table

STEP, QUIET = 1000, 3


def topics(count):
    """Names of topics of STEP partitions at most, with how many each has."""
    return [(f"memory-{first}", min(STEP, count - first)) for first in range(0, count, STEP)]


def ends(admin, count):
    """Asks for the next offset of each partition, a topic after the other; returns the seconds that it took."""
    began = time.monotonic()
    for topic, partitions in topics(count):
        asked = {TopicPartition(topic, p): OffsetSpec.latest() for p in range(partitions)}
        for answer in admin.list_offsets(asked, request_timeout=60).values():
            answer.result()
    return time.monotonic() - began


def row(where, count, **figures):
    print(json.dumps({"where": where, "count": int(count), **figures}))


def grow(broker, http, pid, where, count, records):
    count, records = int(count), int(records)
    admin = AdminClient({"bootstrap.servers": broker})
    none = memory_mib(pid, "VmRSS")
    before, began = Counters(http), time.monotonic()
    for topic, partitions in topics(count):
        for created in admin.create_topics([NewTopic(topic, partitions)], request_timeout=120).values():
            created.result()
    create = time.monotonic() - began
    ends(admin, count)
    time.sleep(QUIET)
    requests = sum(n for key, n in Counters(http).since(before).requests.items() if key != ("get", "look"))
    empty = memory_mib(pid, "VmRSS")
    failures = []
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 100, "queue.buffering.max.messages": 200_000})
    for _ in range(records):
        for topic, partitions in topics(count):
            for partition in range(partitions):
                producer.produce(topic, bytes(1024), partition=partition,
                                 on_delivery=lambda error, _: failures.append(error) if error else None)
            producer.poll(0)
        producer.flush(120)
    if failures or len(producer):
        sys.exit(f"{len(producer)} records are not acknowledged, {failures[:3]}")
    settle(http)
    filled, buffers = memory_mib(pid, "VmRSS"), Counters(http).plain["buffer_bytes"] / 2**20
    row(where, count, none=none, create=create, requests=requests, empty=empty, filled=filled, buffers=buffers)


def again(broker, http, pid, where, count, log):
    last = ends(AdminClient({"bootstrap.servers": broker}), int(count))
    settle(http)
    ready = int(re.findall(r"ready_ms=(\d+)", Path(log).read_text())[-1]) / 1000
    row(where, count, ready=ready, last=last, again=memory_mib(pid, "VmRSS"))


def tabled(file):
    rows = {}
    for line in Path(file).read_text().splitlines():
        figures = json.loads(line)
        rows.setdefault((figures["where"], figures["count"]), {}).update(figures)
    lines, before = [], {}
    for (where, count), of in rows.items():
        # One partition's share: what the partitions beyond the row above have added.
        fewer, base = before.get(where, (0, dict.fromkeys(("empty", "filled", "again"), of["none"])))
        own = lambda row, name: row[name] - (row.get("buffers", 0) if name == "filled" else 0)
        share = lambda name: f"{(own(of, name) - own(base, name)) * 1024 / (count - fewer):.1f}"
        before[where] = count, of
        lines.append([
            f"{where}, {count:,} partitions", shown(of["none"]), shown(of["empty"]), share("empty"), shown(of["filled"]),
            shown(of["buffers"]), share("filled"), shown(of["again"]), share("again"), shown(of["create"]),
            f"{of['requests']:,}", shown(of["ready"]), shown(of["last"]),
        ])
    print(table(["", "without any: RSS MiB", "idle: RSS MiB", "KiB a partition", "with records: RSS MiB", "of it buffers, MiB",
                 "KiB a partition without buffers", "started again: RSS MiB", "KiB a partition", "creating, s",
                 "store requests for that", "start to serving, s", "then all ends, s"], lines))


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {"grow": grow, "again": again, "table": tabled}[name](*arguments)
