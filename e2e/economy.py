"""What a broker asked its store for, under a load and without one, as tables.

load BROKER HTTP RATE COUNT     sends COUNT records of 1 KiB to the topic, RATE a second or (0) as fast as it goes, waits
                                until uploads and compaction have nothing to do, and prints what was counted as JSON
idle HTTP SECONDS OBJECTS       prints what is counted while nobody asks; OBJECTS are in the bucket
tables FILE...                  all that as tables
"""

import collections
import json
import sys
import time
from pathlib import Path

from measure import GIB, RECORD, Counters, delivered, producer, settle, shown, table, together

TOPIC, PRODUCERS = "economy", 4
ORDER = ["low", "long", "spread", "dozen", "few", "idle"]
# S3 Standard's list prices a request, us-east-1; DELETEs cost nothing.
DOLLARS = {"create": 0.005 / 1000, "list": 0.005 / 1000, "get": 0.0004 / 1000, "delete": 0}
METHODS = {"create": "PUT", "get": "GET", "list": "LIST", "delete": "DELETE"}
MONTH = 30 * 86400


def printed(counters, **more):
    pairs = {name: [[*key, n] for key, n in getattr(counters, name).items()] for name in ("requests", "written", "read")}
    print(json.dumps({**more, **pairs, "plain": counters.plain}))


def load(broker, http, rate, count):
    rate, count = int(rate), int(count)
    before = Counters(http)
    # Each record goes to any partition; at a low rate it is sent at once, at a high one in batches of what is the
    # default size of Kafka's own producer.
    options = ["-X", "sticky.partitioning.linger.ms=0"]
    if rate:
        commands, each = [producer(broker, TOPIC, count, "-r", str(rate), "-X", "linger.ms=0", *options)], count
    else:
        each = count // PRODUCERS
        options += ["-X", "linger.ms=100", "-X", "batch.size=16384"]
        commands = [producer(broker, TOPIC, each, *options)] * PRODUCERS
    seconds = max(delivered(text, each) for text in together(commands))
    if not rate:
        settle(http)
    printed(Counters(http).since(before), seconds=seconds, acknowledged=each * len(commands) * RECORD)


def idle(http, seconds, objects):
    settle(http)
    before, began = Counters(http), time.monotonic()
    time.sleep(float(seconds))
    printed(Counters(http).since(before), seconds=time.monotonic() - began, objects=int(objects))


def of(case, name):
    return {(operation, purpose): n for operation, purpose, n in case[name]}


def dollars(case):
    return sum(DOLLARS[operation] * n for (operation, _), n in of(case, "requests").items())


def by_case(cases, first, keys, value, totals):
    """A table with a row a key, and a column a case."""
    named = lambda key: f"{METHODS[key[0]]} {key[1]}"
    rows = [[named(key), *(value(case, key) for case in cases.values())] for key in keys]
    return table([first, *cases], rows + [[name, *map(total, cases.values())] for name, total in totals])


def tables(*files):
    cases = {Path(file).stem: json.loads(Path(file).read_text()) for file in files}
    cases = {name: cases[name] for name in ORDER if name in cases}
    quiet = cases.pop("idle", None)
    if cases:
        gib = lambda case: case["acknowledged"] / GIB
        total = lambda case, name: sum(of(case, name).values())

        def keys(name):
            sums = collections.Counter()
            for case in cases.values():
                sums.update({key: n / gib(case) for key, n in of(case, name).items()})
            return [key for key, _ in sums.most_common()]

        print("Bytes put for one byte of records acknowledged, and the load\n")
        plain = lambda name: lambda case: f"{case['plain'][name]:,.0f}"
        part = lambda name: lambda case: f"{case['plain'][name] / case['acknowledged']:.2f}"
        amplified = lambda case, key: f"{of(case, 'written').get(key, 0) / case['acknowledged']:.3f}"
        asked = lambda case, key: shown(of(case, "requests").get(key, 0) / gib(case))
        print(by_case(cases, "", keys("written"), amplified, [
            ("**bytes put, all**", lambda case: f"**{total(case, 'written') / case['acknowledged']:.2f}**"),
            ("bytes of batches, as clients sent them", part("wal_batch_bytes")),
            ("bytes read by the broker itself", lambda case: f"{total(case, 'read') / case['acknowledged']:.2f}"),
            ("promoted: bytes of batches left where they are", part("promoted_bytes")),
            ("moved by compaction: bytes of batches", part("compacted_bytes")),
            ("GiB of records acknowledged", lambda case: shown(gib(case))),
            ("MB/s", lambda case: shown(case["acknowledged"] / case["seconds"] / 1e6)),
            ("KiB a flush", lambda case: shown(case["plain"]["wal_flushed_bytes"] / case["plain"]["wal_flushes"] / 1024)),
            ("uploads", plain("uploads")), ("compactions", plain("compactions")), ("trims", plain("wal_trims")),
        ]))
        print("\nRequests for a GiB of records acknowledged\n")
        month = lambda case: dollars(case) / case["seconds"] * MONTH
        print(by_case(cases, "", keys("requests"), asked, [
            ("**requests, all**", lambda case: f"**{shown(total(case, 'requests') / gib(case))}**"),
            ("**$ a GiB**", lambda case: f"**{dollars(case) / gib(case):.4f}**"),
            ("$ a month at this rate", lambda case: shown(month(case))),
        ]))
    if quiet:
        hours = quiet["seconds"] / 3600
        rows = [[f"{METHODS[op]} {purpose}", shown(n / hours)] for (op, purpose), n in sorted(of(quiet, "requests").items())]
        print(f"\nAn idle broker, counted for {quiet['seconds']:.0f} s, {quiet['objects']} objects in the bucket\n")
        print(table(["", "requests an hour"], rows + [["**$ a month**", f"**{dollars(quiet) / quiet['seconds'] * MONTH:.2f}**"]]))


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {f.__name__: f for f in (load, idle, tables)}[name](*arguments)
