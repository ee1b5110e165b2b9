"""Catching up, and the tail meanwhile; e2e/catch-up says what for. All but `tables` print one row of JSON.

fill BROKER HTTP COUNT BATCH                        COUNT records of 1 KiB to the old topic
raw WHERE PROGRAM STORE MIB                         so much by the store's own client
read WHERE CONSUMERS BROKER ...                     all of the old topic
tail BESIDE SECONDS FOLDER LEVEE BROKER ...         latencies, with or without a consumer that catches up BESIDE it;
                                                    RAW="PROGRAM STORE" in the environment: with that reading BESIDE it
tables FILE MS LIMIT

The dots are HTTP PID PARTITIONS COUNT: the broker's address for /metrics, its process, and what the old topic has.
"""

import collections
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from measure import (
    GIB, Counters, consumed, consumer, cpu_seconds, delivered, producer, quantile, run, settle, spread, table, together,
)

OLD, RATE, WARM, PRODUCERS = "old", 500, 2, 4
READS = ("catch_up", "tail", "recovery")


def row(what, **figures):
    print(json.dumps({"what": what, **figures}))


def fill(broker, http, count, batch):
    each = int(count) // PRODUCERS
    # Each record goes to any partition.
    options = ["-X", "sticky.partitioning.linger.ms=0", "-X", "linger.ms=100", "-X", f"batch.size={batch}"]
    said = together([producer(broker, OLD, each, *options)] * PRODUCERS)
    seconds = max(delivered(text, each) for text in said)
    settle(http)
    row("fill", seconds=seconds)


def raw(where, program, store, mib):
    size, seconds, requests = map(float, run([program, store, "4096", "16", mib]).split())
    row(f"raw {where}", mbs=size / seconds / 1e6, gets=requests / (size / GIB))


def read(where, consumers, broker, http, pid, partitions, count):
    consumers, partitions, count = int(consumers), int(partitions), int(count)
    before, cpu = Counters(http), cpu_seconds(pid)
    said = together([consumer(broker, OLD, range(first, partitions, consumers)) for first in range(consumers)])
    cpu, asked = cpu_seconds(pid) - cpu, Counters(http).since(before)
    size, seconds = consumed(said, count)
    of = lambda counts: sum(n for (operation, purpose), n in counts.items() if operation == "get" and purpose in READS)
    row(f"read {where} {consumers}", mbs=size / seconds / 1e6, cpu=cpu / (size / GIB), gets=of(asked.requests) / (size / GIB),
        amplified=of(asked.read) / size)


def tail(beside, seconds, folder, levee, broker, http, pid, partitions, count):
    count = RATE * int(seconds)
    received, acknowledged = Path(folder, "received"), Path(folder, "acknowledged")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    topic = f"tail-{time.time_ns()}"
    run([levee, "topic", "--bootstrap-server", broker, "create", topic])
    all_of_it = ["-o", "beginning", "-c", str(count), "-l", "-A", received]
    follower = subprocess.Popen(consumer(broker, topic, [0], *all_of_it), **quiet)
    reader, done, raw_rates = None, threading.Event(), []

    def again_and_again():
        nonlocal reader
        # As many requests at once as bring about what a consumer gets.
        raw_reads = [*os.environ.get("RAW", "").split(), "4096", "3", "512"]
        reads = raw_reads if beside == "raw" else consumer(broker, OLD, range(int(partitions)))
        while not done.is_set():
            reader = subprocess.Popen(reads, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            said = reader.communicate()[0]
            if reader.returncode and not done.is_set():
                sys.exit(f"what reads beside it has failed: {reads}")
            if beside == "raw" and not reader.returncode:
                size, took, _ = map(float, said.split())
                raw_rates.append(size / took / 1e6)

    reading = threading.Thread(target=again_and_again)
    try:
        if beside != "alone":
            reading.start()
        # By then the consumer waits for the first record.
        time.sleep(WARM)
        before, cpu, began = Counters(http), cpu_seconds(pid), time.monotonic()
        options = ["-r", str(RATE), "-l", "-A", str(acknowledged), "-X", "linger.ms=0"]
        together([producer(broker, topic, count, *options)])
        took, cpu, asked = time.monotonic() - began, cpu_seconds(pid) - cpu, Counters(http).since(before)
        follower.wait(60)
        if beside != "alone" and not reading.is_alive():
            sys.exit(1)
    finally:
        done.set()
        follower.kill()
        if reading.is_alive():
            reader.kill()
            reading.join()
    figures = {}
    for name, file in (("received", received), ("acknowledged", acknowledged)):
        # The first seconds are the connections', and the clients'.
        values = [float(line) / 1000 for line in file.read_text().split()[WARM * RATE :]]
        figures.update({f"{name} p{part}": quantile(values, part / 100) for part in (50, 99)})
        file.unlink()
    from_store = sum(n for (_, purpose), n in asked.read.items() if purpose == "catch_up") / took / 1e6
    store = statistics.median(raw_rates) if beside == "raw" else from_store
    row(f"tail {beside}", **figures, store=store, cpu=cpu / took)


def tables(file, ms, limit):
    rows = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in Path(file).read_text().splitlines():
        figures = json.loads(line)
        for name, value in figures.items():
            if name != "what":
                rows[figures["what"]][name].append(value)
    places = {"direct": "S3 server beside it", "late": f"{ms} ms late"}
    lines = []
    for where, place in places.items():
        if f"raw {where}" not in rows:
            continue
        server = rows[f"raw {where}"]
        lines.append([f"{place}: range GETs of 4 MiB, 16 at once", spread(server["mbs"]), "", "", spread(server["gets"]), "1.00"])
        for consumers in (1, 3):
            own = rows[f"read {where} {consumers}"]
            ratios = [mine / its for mine, its in zip(own["mbs"], server["mbs"])]
            who = "1 consumer" if consumers == 1 else f"{consumers} consumers"
            lines.append([f"{place}: {who}", spread(own["mbs"]), spread(ratios), spread(own["cpu"]), spread(own["gets"]),
                          spread(own["amplified"])])
    for time_of in ("first", "second", "third"):
        if own := rows.get(f"read disk-{time_of} 1"):
            lines.append([f"{ms} ms late, with a disk cache: 1 consumer, the {time_of} time", spread(own["mbs"]), "", spread(own["cpu"]),
                          spread(own["gets"]), spread(own["amplified"])])
    if lines:
        print(table(["catching up", "MB/s", "of the server's", "broker CPU s/GiB", "GETs a GiB", "bytes read by bytes sent"], lines))
        print()
    titles = {"alone": "alone", "raw": "beside raw reads of the store, 3 at once, without the broker", "beside": "beside a consumer that catches up", "limited": f"the same, held to {limit} MiB/s"}
    names = [f"{what} p{part}" for what in ("received", "acknowledged") for part in (50, 99)]
    lines = [[title, *(spread(rows[f"tail {key}"][name]) for name in names), spread(rows[f"tail {key}"]["store"]),
              spread(rows[f"tail {key}"]["cpu"])] for key, title in titles.items() if f"tail {key}" in rows]
    if lines:
        head = [f"{RATE} records/s, {ms} ms late", *(f"{name}, ms" for name in names), "read from the store, MB/s", "broker CPU, cores"]
        print(table(head, lines))


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {f.__name__: f for f in (fill, raw, read, tail, tables)}[name](*arguments)
