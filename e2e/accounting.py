"""Counts a broker's requests to its store three ways and compares them.

accounting.py folder|s3 LOG STORE BROKER METRICS-URL IDLE-SECONDS BEFORE

LOG is a trace of system calls of a folder's broker (STORE is the folder), or the access log of the S3 server (STORE is
what stands before the object's key there, and BEFORE the number of its lines before the broker started). The broker's own counters come from METRICS-URL. Windows begin and end when
every request that was counted has ended and nothing is counted while LOG's length is read, so both sides count
the same requests.
"""

import collections
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

from syscalls import calls

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = re.compile(r'(\w+)(?:\{operation="(\w+)",purpose="(\w+)"\})? (\d+)$', re.MULTILINE)
S3_OPERATIONS = {
    "s3_PutObject": "create",
    "s3_GetObject": "get",
    "s3_ListObjectsV2": "list",
    "s3_DeleteObject": "delete",
}
QUIET = 0.1

Request = collections.namedtuple("Request", "operation key failed")
Edge = collections.namedtuple("Edge", "time line flushes sent given_up")


def metrics(url):
    """Flushes, requests by operation and purpose, those given up by operation, and whether all of them have ended."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    flushes, sent, ended, given_up = 0, {}, collections.Counter(), collections.Counter()
    for name, operation, purpose, value in SAMPLE.findall(text):
        if name == "levee_wal_flushes_total":
            flushes = int(value)
        elif name == "levee_store_requests_total":
            sent[operation, purpose] = int(value)
        elif name in ("levee_store_request_seconds_count", "levee_store_unanswered_total"):
            ended[operation, purpose] += int(value)
            given_up[operation] += int(value) if name == "levee_store_unanswered_total" else 0
    return flushes, sent, given_up, sent == ended


def edge(log, url):
    """A moment at which nothing is under way."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        before = metrics(url)
        time.sleep(QUIET)
        with open(log, "rb") as file:
            line = file.read().count(b"\n")
        if before[3] and before == metrics(url):
            return Edge(time.monotonic(), line, *before[:3])
    sys.exit("the broker's requests do not come to rest")


def s3_requests(lines, prefix):
    """`OWNER BUCKET [DATE ZONE] IP REQUESTER ID OPERATION KEY URI STATUS ...`"""
    for line in lines:
        words = line.split(" ")
        if words[7] not in S3_OPERATIONS:
            sys.exit(f"the broker has asked for {words[7]}, which it is not known to do: {line}")
        yield Request(S3_OPERATIONS[words[7]], words[8].removeprefix(prefix + "/"), words[10] != "200")


def folder_requests(lines, store):
    """One link is one create; opening a file to read it, there or not, is one get.

    After a link that failed the name is opened by the same thread, and not read, to see whether it is a directory.
    """
    taken = {}
    for call in calls(lines):
        _, directory = call.descriptor()
        if call.result is None or not (directory + "/").startswith(store + "/"):
            continue
        directory = (directory + "/").removeprefix(store + "/")
        names = call.arguments.split('"')[1::2]
        if call.name == "linkat":
            operation, name = "create", names[1]
            taken[call.thread] = directory + name if call.result < 0 else None
        elif call.name == "openat" and not re.search("O_WRONLY|O_RDWR|O_DIRECTORY|O_TMPFILE", call.arguments):
            operation, name = "get", names[0]
            if taken.pop(call.thread, None) == directory + name:
                continue
        elif call.name == "unlinkat":
            operation, name = "delete", names[0]
        elif call.name == "getdents64" and call.result == 0:
            operation, name = "list", ""
        else:
            continue
        yield Request(operation, directory + name, call.result < 0)


def compare(what, first, last, logged):
    """Prints both counts and returns the differences and the broker's."""
    sent = collections.Counter(last.sent) - collections.Counter(first.sent)
    flushes = last.flushes - first.flushes
    log = collections.Counter(request.operation for request in logged)
    creates = [request.key for request in logged if request.operation == "create"]
    wal = {key for key in creates if key.startswith("wal/")}
    other = {key for key in creates if not key.startswith("wal/")}
    missed = sum(request.failed for request in logged if request.operation == "get")

    def of(operation, *purposes):
        return sum(n for (op, purpose), n in sent.items() if op == operation and purpose in (purposes or [purpose]))

    rows = [
        ("objects created below wal/", flushes, of("create", "wal"), len(wal)),
        ("other objects created", None, of("create") - of("create", "wal", "hedge"), len(other)),
        ("creates sent again: hedges", None, of("create", "hedge"), len(creates) - len(wal | other)),
        ("looks, which find nothing", None, of("get", "look"), missed),
        ("doubt reads and all other gets", None, of("get") - of("get", "look"), log["get"] - missed),
        ("lists", None, of("list"), log["list"]),
        ("deletes", None, of("delete"), log["delete"]),
    ]
    print(f"\n{what}\n{'':34}{'flushes':>10}{'counters':>10}{'log':>10}")
    faults = []
    for name, *counts in rows:
        print(f"  {name:32}" + "".join(f"{'' if n is None else n:>10}" for n in counts))
        if len({n for n in counts if n is not None}) > 1:
            faults.append(f"{what}: {name}")
    print("  by purpose: " + ", ".join(f"{op} {purpose} {n}" for (op, purpose), n in sorted(sent.items())))
    return faults, flushes, sent


def compare_start(first, logged):
    """The same of all requests since the broker started, listings among them, by operation alone."""
    counters, log = collections.Counter(), collections.Counter(request.operation for request in logged)
    for (operation, _), n in first.sent.items():
        counters[operation] += n
    print(f"\nstarting, and the first record\n{'':34}{'given up':>10}{'counters':>10}{'log':>10}")
    faults = []
    for operation in sorted(counters | log):
        given_up, sent, logged = first.given_up[operation], counters[operation], log[operation]
        print(f"  {operation:32}{given_up:>10}{sent:>10}{logged:>10}")
        # What was given up may never have been sent.
        if not sent - given_up <= logged <= sent:
            faults.append(f"starting: {operation}")
    return faults if counters["list"] and counters["delete"] else [*faults, "starting: nothing was listed or deleted"]


def main(kind, log, store, broker, url, idle, before):
    store = os.path.realpath(store) if kind == "folder" else store
    faults, edges = [], []

    def produce(requests, in_flight, connections):
        with tempfile.NamedTemporaryFile() as out:
            arguments = [broker, "accounting", requests, in_flight, connections, 1024, out.name]
            subprocess.run([sys.executable, f"{HERE}/produce_raw.py", *map(str, arguments)], check=True)
            return sum(len(connection["answers"]) for connection in json.load(out))

    runs = [
        ("one request at a time", lambda: produce(50, 1, 1)),
        ("pipelined, 4 connections", lambda: produce(100, 8, 4)),
        (f"idle for {idle} s", lambda: time.sleep(float(idle))),
    ]
    produce(1, 1, 1)  # opens what is opened once
    edges.append(edge(log, url))
    answers = []
    for _, run in runs:
        answers.append(run())
        edges.append(edge(log, url))
    with open(log, errors="replace") as file:
        lines = file.read().split("\n")
    for (what, _), acknowledged, first, last in zip(runs, answers, edges, edges[1:]):
        requests = folder_requests if kind == "folder" else s3_requests
        logged = list(requests(lines[first.line : last.line], store))
        title = f"{what}, {acknowledged} requests acknowledged" if acknowledged else what
        found, flushes, sent = compare(title, first, last, logged)
        faults += found
        if acknowledged and not 0 < flushes <= acknowledged:
            faults.append(f"{what}: {flushes} flushes")
        if what.startswith("one") and flushes != acknowledged:
            faults.append(f"{what}: {flushes} flushes for {acknowledged} requests")
    if kind == "s3":
        faults += compare_start(edges[0], s3_requests(lines[int(before) : edges[0].line], store))
    seconds = edges[-1].time - edges[-2].time
    hourly = ", ".join(f"{op} {purpose} {n * 3600 / seconds:,.0f}" for (op, purpose), n in sorted(sent.items()))
    print(f"\nan idle broker's requests an hour, from {seconds:.1f} s: {hourly}")
    if faults:
        sys.exit("counts differ: " + "; ".join(faults))
    print("accounting: one create and no read for each flush; the counters and the log agree")


if __name__ == "__main__":
    main(*sys.argv[1:])
