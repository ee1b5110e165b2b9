"""Filling one partition of each internal topic, and measuring how long their coordinators take to load them.

fill PORT VERSIONS CONNECTIONS WINDOW all|groups
                                           commits 100,000 offsets of 2,000 groups, and (all) makes 100,000 transactional
                                           ids, each so many times, all in one partition of the internal topic; WINDOW
                                           requests at a time on each connection
measure PORT HTTP VERSIONS all|groups COMMAND...
                                           starts the command; prints a line of JSON: milliseconds from then until it
                                           listened and until each coordinator first answered with something other than
                                           that it is loading, what it said until then, what was asked of the store, and
                                           the process id. Fails unless everything that was filled in is there
table FILE                                 prints the measured rows, `case<TAB>JSON` a line, as a table
"""

import collections
import http.client
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import threading
import time

import wire

KEYS, TOPIC, TOPIC_PARTITIONS = 100_000, "loaded", 50
GROUPS = KEYS // TOPIC_PARTITIONS
# Of the 50 that each internal topic has.
PARTITION, INTERNAL_PARTITIONS = 7, 50
NOT_YET = {14: "COORDINATOR_LOAD_IN_PROGRESS", 15: "COORDINATOR_NOT_AVAILABLE", 16: "NOT_COORDINATOR"}
CONCURRENT_TRANSACTIONS = 51
PATIENCE_S = 120


def java_hash(text, value=0):
    for character in text:
        value = value * 31 + ord(character) & 0xFFFFFFFF
    return value


def partition_of_hash(value):
    """Where Kafka puts what has this hash."""
    return min(value, 2 ** 32 - value) % 2 ** 31 % INTERNAL_PARTITIONS


def ids(prefix, count):
    """Names of one length whose coordinator is the one of PARTITION."""
    tails = [(f"{n:04}", java_hash(f"{n:04}")) for n in range(10_000)]
    found = []
    for head in range(10_000):
        begin = f"{prefix}{head:04}"
        shifted = java_hash(begin) * 31 ** 4
        for tail, value in tails:
            if partition_of_hash(shifted + value & 0xFFFFFFFF) == PARTITION:
                found.append((begin + tail).encode())
                if len(found) == count:
                    return found


def groups():
    return ids("group-", GROUPS)


def transactional_ids():
    return ids("transaction-", KEYS)


def offset(version, partition):
    return version * 1_000 + partition


def commit_of(version):
    """A request with a place for the group's name."""
    partitions = [{"partition_index": at, "committed_offset": offset(version, at), "committed_leader_epoch": -1,
                   "committed_metadata": "at"} for at in range(TOPIC_PARTITIONS)]
    return wire.request("OffsetCommit", 7, {
        "group_id": "?" * len("group-00000000"), "generation_id": -1, "member_id": "", "group_instance_id": None,
        "topics": [{"name": TOPIC, "partitions": partitions}]})


def init_of(transactional_id):
    return wire.request("InitProducerId", 4, {
        "transactional_id": transactional_id, "transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1})


def committed(frame):
    """None if it is to be asked again."""
    codes = {partition["error_code"] for topic in wire.answer("OffsetCommit", 7, frame)["topics"]
             for partition in topic["partitions"]}
    if codes & set(NOT_YET):
        return None
    assert codes == {0}, codes
    return True


def initialized(frame):
    code = struct.unpack_from(">h", frame, 9)[0]
    assert code == 0 or code in NOT_YET or code == CONCURRENT_TRANSACTIONS, code
    return True if code == 0 else None


def send_all(port, frames, check, connections, window):
    """Each frame until its answer is good, `window` at a time on each connection. Many answers are the same bytes."""
    failed, good = [], set()

    def run(own):
        try:
            with wire.Connection(port, PATIENCE_S) as connection:
                while own:
                    some, own = own[:window], own[window:]
                    connection.send(b"".join(some))
                    for frame in some:
                        answer = connection.frame()
                        if answer in good or check(answer):
                            if len(good) < 10:
                                good.add(answer)
                        else:
                            own.append(frame)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(frames[at::connections],)) for at in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit(f"filling failed: {failed[0]!r}")


def fill(port, versions, connections, window, what):
    port, versions, connections, window = int(port), int(versions), int(connections), int(window)
    with wire.Connection(port) as connection:
        connection.ask("CreateTopics", 5, wire.create(wire.new_topic(TOPIC, TOPIC_PARTITIONS)))
        for kind in 0, 1:
            until = time.monotonic() + PATIENCE_S
            while connection.ask("FindCoordinator", 3, {"key": "any", "key_type": kind})["error_code"] in NOT_YET:
                assert time.monotonic() < until, "no coordinator is found"
                time.sleep(0.01)
    names = groups()
    transactions = [init_of(name.decode()) for name in transactional_ids()] if what == "all" else []
    began = time.monotonic()
    for version in range(versions):
        commit = commit_of(version)
        frames = [commit.replace(b"?" * len(name), name) for name in names]
        send_all(port, frames, committed, connections, window)
        send_all(port, transactions, initialized, connections, window)
    print(f"{versions * KEYS} offsets and {versions * len(transactions)} transactional ids in "
          f"{time.monotonic() - began:.0f} s")


def fetch(connection, group):
    """The offsets, and the error code."""
    values = connection.ask("OffsetFetch", 7, {"group_id": group, "topics": None, "require_stable": False})
    offsets = {partition["partition_index"]: partition["committed_offset"]
               for topic in values["topics"] for partition in topic["partitions"]}
    return values["error_code"], offsets


def init(connection, transactional_id):
    """The error code, and the epoch."""
    connection.send(init_of(transactional_id))
    values = wire.answer("InitProducerId", 4, connection.frame())
    return values["error_code"], values["producer_epoch"]


def metrics(address):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    gets, read = collections.Counter(), collections.Counter()
    for name, labels, value in re.findall(r"^(levee_store_\w+?_total)\{(.*?)\} (\d+)$", text, re.M):
        purpose = re.search(r'purpose="(\w+)"', labels).group(1)
        if 'operation="get"' in labels and name == "levee_store_requests_total":
            gets[purpose] += int(value)
        if name == "levee_store_read_bytes_total":
            read[purpose] += int(value)
    return {purpose: count for purpose, count in gets.items() if count}, read


def measure(port, address, versions, what, *command):
    port, version = int(port), int(versions) - 1
    names, transactions = groups(), transactional_ids()
    expected = {at: offset(version, at) for at in range(TOPIC_PARTITIONS)}
    began = time.monotonic()
    # Whoever reads what is printed here waits for no broker.
    process = subprocess.Popen(command, stdout=sys.stderr)
    while True:
        try:
            wire.Connection(port, 1).close()
            break
        except OSError:
            assert process.poll() is None, "the broker ended"
            time.sleep(0.001)
    took, said, failed = {"listens": time.monotonic() - began}, collections.Counter(), []

    def wait(name, ask):
        try:
            with wire.Connection(port, PATIENCE_S) as connection:
                while True:
                    code, got = ask(connection)
                    if code not in NOT_YET:
                        break
                    said[NOT_YET[code]] += 1
                    assert time.monotonic() - began < PATIENCE_S, f"still {NOT_YET[code]}"
                    time.sleep(0.002)
                took[name] = time.monotonic() - began
                assert code == 0, code
                return got
        except BaseException as error:
            failed.append(f"{name}: {error!r}")

    def wait_for_groups():
        offsets = wait("groups", lambda connection: fetch(connection, names[-1].decode()))
        if offsets != expected:
            failed.append(f"the last group's offsets: {offsets}")

    def wait_for_transactions():
        epoch = wait("transactions", lambda connection: init(connection, transactions[-1].decode()))
        if epoch != version + 1:
            failed.append(f"the last transactional id's epoch: {epoch}")

    waits = [wait_for_groups] + [wait_for_transactions] * (what == "all")
    threads = [threading.Thread(target=one) for one in waits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gets, read = metrics(address)
    assert not failed, failed
    with wire.Connection(port, PATIENCE_S) as connection:
        for name in names[::20]:
            assert fetch(connection, name.decode()) == (0, expected), name
        for name in transactions[::1_000] if what == "all" else []:
            assert init(connection, name.decode()) == (0, version + 1), name
    readers = sum(read[purpose] for purpose in ("tail", "catch_up"))
    print(json.dumps({"ms": {name: round(seconds * 1000) for name, seconds in took.items()}, "said": said, "gets": gets,
                      "read_bytes": readers, "pid": process.pid}))
    sys.stdout.flush()
    os._exit(0)  # The broker goes on.


def table(path):
    rows = collections.defaultdict(list)
    with open(path) as file:
        for line in file:
            case, row = line.rstrip("\n").split("\t")
            rows[case].append(json.loads(row))
    print("| 100,000 keys in one partition | the broker listens | offsets are loaded | transactional ids are loaded "
          "| GETs of readers | of recovery | MiB read | runs |")
    print("|---|---|---|---|---|---|---|---|")
    for case, all_ in rows.items():
        def span(values, unit=""):
            values = sorted(values)
            return f"{statistics.median(values):.0f}{unit} ({values[0]:.0f} to {values[-1]:.0f})" if values else "–"

        def ms(name):
            return span([row["ms"][name] for row in all_ if name in row["ms"]], " ms")

        def gets(*purposes):
            return span([sum(row["gets"].get(purpose, 0) for purpose in purposes) for row in all_])

        print(f"| {case} | {ms('listens')} | {ms('groups')} | {ms('transactions')} | {gets('tail', 'catch_up')} "
              f"| {gets('recovery')} | {span([row['read_bytes'] / 2 ** 20 for row in all_])} | {len(all_)} |")
    slowest = max(row["ms"][name] for all_ in rows.values() for row in all_ for name in row["ms"])
    print(f"the slowest of all took {slowest} ms")


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {f.__name__: f for f in (fill, measure, table)}[name](*arguments)
