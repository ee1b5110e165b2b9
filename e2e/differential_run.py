"""Runs scripts of requests against Levee and Apache Kafka at once, and compares what they answer, field by field.

    differential_run.py COVERAGE LEVEE-PORT KAFKA-PORT [--all]

As a program it judges what the runs before it have covered: of each API at least 50 requests, an error code of Kafka's,
and every version that both serve. With --all it judges every API that Levee advertises.

A script is a function of a Script. It goes step by step: both brokers have answered a step before the next begins, but
for requests that are held (a JoinGroup waits for others), which the script sends, and receives when it is time."""
import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import re
import select
import struct
import sys
import threading
import time
import traceback

import differential_records
import messages
import wire
from differential_values import Each, Normal, TEXT, codes, flat, resolve

# A broker that has not answered by then won't. Joins are held for seconds, and dead members are waited for.
SILENCE_S = 20
PATIENCE_S = 20
POLL_S = 0.02
MIN_REQUESTS = 50
WORKERS = 6
# Coordinators are loading, or their internal topics are being made: the request is sent again, as clients do.
LOADING = {14, 15, 16}
CONCURRENT_TRANSACTIONS = 51
SETTLING = LOADING | {CONCURRENT_TRANSACTIONS}
# Kafka has its coordinator verify what is not in a transaction yet, several at once, and answers all that were asked
# together with the code that suits one of them: INVALID_TXN_STATE or TRANSACTION_ABORTABLE. So these go one by one.
VERIFIED, ONE_BY_ONE = {"Produce", "TxnOffsetCommit"}, threading.Lock()
# Answers that tell of all groups or transactions; a script looks at its own only.
MINE = {"ListGroups": ("groups", "group_id"), "ListTransactions": ("transaction_states", "transactional_id")}
# APIs for which Kafka has no error code without ACLs and other brokers, and why; closing the connection counts.
NO_ERROR_CODE = {
    "DescribeLogDirs": "topics and partitions that are not there are left out of the answer",
    "ListGroups": "unknown states and types filter everything away, and that is all one can ask wrongly",
}
LIBS = pathlib.Path(os.environ.get("LEVEE_TOOLS_CACHE") or pathlib.Path(
    os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "levee-tools"), "kafka", "libs")


class Stuck(Exception):
    """A broker did not come to what the script waits for."""


class Report:
    """What was sent, compared and found different, by all scripts together."""

    def __init__(self, expected):
        self.lock, self.expected = threading.Lock(), expected
        self.coverage, self.differences, self.texts, self.seen = {}, [], set(), set()
        self.broken, self.missing = [], set()
        for _, field in expected:
            if "error_code" in field:
                raise ValueError("an error code may never differ")

    def covered(self, api, version, found, compared):
        with self.lock:
            row = self.coverage.setdefault(api, {"requests": 0, "codes": [], "versions": [], "compared": 0})
            row["requests"] += 1
            row["compared"] += compared
            row["codes"] = sorted({*row["codes"], *found} - {0}, key=lambda code: (isinstance(code, str), code))
            row["versions"] = sorted({*row["versions"], version} - {None})

    def expects(self, api, case, path):
        for (of, field) in self.expected:
            if field in re.split(r"[.\[#]", path) and (of == f"{api} {case}" or of == f"{api} *"):
                self.seen.add((of, field))
                return True
        return False


class Side:
    """One broker in one script: its connections by name, and the ids that it has told."""

    def __init__(self, port):
        self.port, self.connections, self.normal, self.correlation = port, {}, Normal(), 0

    def at(self, name):
        if name not in self.connections:
            self.connections[name] = wire.Connection(self.port, SILENCE_S)
        return self.connections[name]

    def send(self, at, api, version, values, body=None):
        self.correlation += 1
        try:
            self.at(at).send(api.request(version, values, self.correlation, body=body))
        except OSError:  # what it closed it tells when the answer is read
            pass
        return self.correlation

    def receive(self, at, api, version, correlation):
        try:
            return api.answer(version, self.at(at).frame(), correlation)
        except (OSError, EOFError, ValueError, struct.error, UnicodeDecodeError) as error:
            if broken := self.connections.pop(at, None):
                broken.close()
            how = "silent" if isinstance(error, TimeoutError) else "closed"
            return {"connection": how if isinstance(error, (OSError, EOFError)) else f"not understood: {error}"}

    def close(self):
        for connection in self.connections.values():
            connection.close()


class Script:
    """One script's way to both brokers. Names that it makes begin with `tag`, so scripts may run side by side."""

    def __init__(self, name, tag, ports, catalogue, report, seed):
        self.name, self.tag, self.report, self.catalogue = name, f"{tag}{name}-", report, catalogue
        self.sides, self.random = [Side(port) for port in ports], random.Random(f"{seed} {name}")
        self.held, self.step, self.differs, self.own_epochs = {}, 0, 0, False

    def named(self, name):
        return self.tag + name

    def api(self, name):
        if name not in self.catalogue:
            self.catalogue[name] = messages.Api(self.catalogue["messages"], name)
        return self.catalogue[name]

    def versions(self, name, first=0):
        """Every version of an API that Kafka serves."""
        low, high = self.catalogue["served"][self.api(name).key]
        return range(max(low, first), high + 1)

    def latest(self, name):
        return self.versions(name)[-1]

    def ask(self, case, api, version, values=None, at="main", retry=SETTLING, body=None):
        """Sends one request and compares the answers, which it returns. It is sent again while a code of `retry` comes."""
        with ONE_BY_ONE if api in VERIFIED else contextlib.nullcontext():
            answers = self.exchange(api, version, values, at, retry, body)
        return self.compare(case, api, version, values, answers)

    def exchange(self, api, version, values, at="main", retry=SETTLING, body=None):
        kind, answers = self.api(api), []
        sent = [side.send(at, kind, version, resolve(values or {}, index), body)
                for index, side in enumerate(self.sides)]
        for index, side in enumerate(self.sides):
            answer, until = side.receive(at, kind, version, sent[index]), time.monotonic() + PATIENCE_S
            while not set(retry).isdisjoint(codes(answer)):
                if time.monotonic() > until:
                    raise Stuck(f"{('Levee', 'Kafka')[index]} answers {api} v{version} of {resolve(values, index)} with "
                                f"{sorted(codes(answer))} for {PATIENCE_S} s")
                time.sleep(POLL_S)
                again = side.send(at, kind, version, resolve(values or {}, index), body)
                answer = side.receive(at, kind, version, again)
            answers.append(answer)
        return answers

    def send(self, case, api, version, values, at):
        """Sends a request whose answer is received later."""
        kind = self.api(api)
        sent = [side.send(at, kind, version, resolve(values, index)) for index, side in enumerate(self.sides)]
        self.held.setdefault(at, []).append((case, api, version, values, sent))

    def receive(self, at, compare=True):
        case, api, version, values, sent = self.held[at].pop(0)
        answers = [side.receive(at, self.api(api), version, one) for side, one in zip(self.sides, sent)]
        return self.compare(case, api, version, values, answers) if compare else answers

    def still_held(self, *ats):
        """The requests sent there have not been answered, which is compared."""
        for at in ats:
            answered = [bool(select.select([side.at(at).socket], [], [], 0)[0]) for side in self.sides]
            if any(answered):
                self.differ("held", self.held[at][0], "answered at once", *answered)

    def race(self, case, requests, retry=SETTLING):
        """Sends requests at once, each on a connection of its own; compared is what came, not who got it."""
        answers = [[] for _ in self.sides]
        for index, side in enumerate(self.sides):
            sent = [side.send(f"race{at}", self.api(api), version, resolve(values, index))
                    for at, (api, version, values) in enumerate(requests)]
            for at, (api, version, values) in enumerate(requests):
                answer, until = side.receive(f"race{at}", self.api(api), version, sent[at]), time.monotonic() + PATIENCE_S
                while not set(retry).isdisjoint(codes(answer)):
                    if time.monotonic() > until:
                        raise Stuck(f"the race {case} does not settle: {answer}")
                    time.sleep(POLL_S)
                    again = side.send(f"race{at}", self.api(api), version, resolve(values, index))
                    answer = side.receive(f"race{at}", self.api(api), version, again)
                answers[index].append(answer)
        for side, got in zip(self.sides, answers):
            got.sort(key=lambda answer: repr(side.normal.value("", "", answer, False)))
        return [self.compare(f"{case} ({at + 1} of {len(requests)})", api, version, values, [got[at] for got in answers])
                for at, (api, version, values) in enumerate(requests)]

    def until(self, api, version, values, ready, at="watch"):
        """Asks each broker until `ready` of its answer; what it answers is not compared."""
        out = []
        for index, side in enumerate(self.sides):
            end = time.monotonic() + PATIENCE_S
            while True:
                sent = side.send(at, self.api(api), version, resolve(values, index))
                answer = side.receive(at, self.api(api), version, sent)
                if "connection" not in answer and ready(self.mine(api, answer)):
                    break
                if time.monotonic() > end:
                    who = ("Levee", "Kafka")[index]
                    raise Stuck(f"{who} does not come to what is waited for: {api} v{version} {values}: {answer}")
                time.sleep(POLL_S)
            out.append(answer)
        return Each(*out)

    def mine(self, api, answer):
        if api in MINE and "connection" not in answer:
            array, name = MINE[api]
            answer[array] = [one for one in answer[array] if one[name].startswith(self.tag)]
        return answer

    def compare(self, case, api, version, values, answers):
        self.step += 1
        answers = [self.mine(api, answer) for answer in answers]
        left, right = (dict(flat(side.normal.of(api, answer))) for side, answer in zip(self.sides, answers))
        found = set(codes(answers[1])) | ({answers[1]["connection"]} if "connection" in answers[1] else set())
        self.report.covered(api, version if version in self.versions(api) else None, found, 1)
        if self.api(api).key not in self.catalogue["ours"]:
            self.report.missing.add(api)
            return Each(*answers)
        for path in sorted(set(left) | set(right), key=lambda path: (not path.endswith("error_code"), path)):
            if left.get(path, "absent") == right.get(path, "absent"):
                continue
            if not self.report.expects(api, case, path):
                self.differ(case, (case, api, version, values, None), path, left.get(path, "absent"),
                            right.get(path, "absent"))
        words = [dict(flat(answer)) for answer in answers]
        for path in words[0].keys() & words[1].keys():
            if path.rsplit(".", 1)[-1] in TEXT:
                ours, kafkas = (side.normal.value(api, "", answer[path], False) if answer[path] is not None else None
                                for side, answer in zip(self.sides, words))
                if ours != kafkas:
                    with self.report.lock:
                        self.report.texts.add((api, *(str(one).replace(self.tag, "") for one in (ours, kafkas))))
        return Each(*answers)

    def differ(self, case, what, path, ours, kafkas):
        _, api, version, values, _ = what
        self.differs += 1
        one = {"script": self.name, "step": self.step, "case": case, "api": api, "version": version, "path": path,
               "levee": repr(ours), "kafka": repr(kafkas), "request": repr(resolve(values, 1)),
               "nth": self.differs}
        with self.report.lock:
            self.report.differences.append(one)
            print(f"  DIFFERS  {self.name} {self.step}, {api} v{version} {case}: {path}: Levee {ours!r}, "
                  f"Kafka {kafkas!r}", flush=True)

    def run(self, function):
        try:
            function(self)
        except Stuck as stuck:
            self.fail(str(stuck))
        except Exception:  # a script that fails must not take the others with it
            self.fail(traceback.format_exc())

    def close(self):
        for side in self.sides:
            side.close()

    def fail(self, why):
        with self.report.lock:
            self.report.broken.append((self.name, why))
            print(f"  BROKEN  {self.name} {self.step}: {why}", flush=True)


def served(port, catalogue):
    """The versions of each API that a broker advertises, by key."""
    side, kind = Side(port), messages.Api(catalogue, "ApiVersions")
    sent = side.send("main", kind, 4, {"client_software_name": "levee", "client_software_version": "1"})
    answer = side.receive("main", kind, 4, sent)
    side.close()
    return {one["api_key"]: (one["min_version"], one["max_version"]) for one in answer["api_keys"]}


def awake(script):
    """The internal topics exist on both brokers, and their partitions are led."""
    for kind in (0, 1):
        script.until("FindCoordinator", 4, {"key_type": kind, "coordinator_keys": [str(at) for at in range(64)]},
                     lambda answer: not any(one["error_code"] for one in answer["coordinators"]))
    for at in range(64):
        script.until("OffsetFetch", 8, {"groups": [{"group_id": str(at), "topics": None}]},
                     lambda answer: not answer["groups"][0]["error_code"])
        script.until("DescribeTransactions", 0, {"transactional_ids": [str(at)]},
                     lambda answer: answer["transaction_states"][0]["error_code"] not in LOADING)


def add_coverage(path, coverage):
    """Adds what a run has covered to the file that the judge reads."""
    all_of = json.loads(path.read_text()) if path.exists() else {}
    for api, row in coverage.items():
        old = all_of.get(api, {"requests": 0, "codes": [], "versions": [], "compared": 0})
        all_of[api] = {"requests": old["requests"] + row["requests"], "compared": old["compared"] + row["compared"],
                       "codes": sorted({*old["codes"], *row["codes"]}, key=lambda code: (isinstance(code, str), code)),
                       "versions": sorted({*old["versions"], *row["versions"]})}
    path.write_text(json.dumps(all_of, indent=1))


def summary(report):
    """Each kind of difference once, the first of each script before those that may follow from it.

    Of an answer only the first field is told here, and that is an error code if one differs."""
    kinds, told = {}, set()
    for one in report.differences:
        if (one["script"], one["step"]) in told:
            continue
        told.add((one["script"], one["step"]))
        key = (one["api"], one["path"], one["levee"], one["kafka"])
        kinds.setdefault(key, []).append(one)
    for key, ones in sorted(kinds.items(), key=lambda kind: (min(one["nth"] for one in kind[1]), -len(kind[1]))):
        first = min(ones, key=lambda one: one["nth"])
        print(f"{len(ones)} times, {first['nth']}. of its script: {key[0]} {key[1]}: Levee {key[2]}, Kafka {key[3]}\n"
              f"    e.g. {first['script']} {first['step']} v{first['version']} {first['case']}: {first['request']}")
    for api, ours, kafkas in sorted(report.texts):
        print(f"text of {api}:\n    Levee: {ours}\n    Kafka: {kafkas}")


def main(scripts, expected):
    """Runs the scripts, which are (name, function), those of the names given, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("levee", type=int)
    parser.add_argument("kafka", type=int)
    parser.add_argument("parts", nargs="*", help="beginnings of scripts' names")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tag", default="d-", help="what all names begin with, for brokers that were used before")
    parser.add_argument("--coverage", type=pathlib.Path)
    parser.add_argument("--workers", type=int, default=WORKERS)
    options = parser.parse_intermixed_args()
    definitions = messages.load(LIBS)
    catalogue = {"messages": definitions, "served": served(options.kafka, definitions),
                 "ours": served(options.levee, definitions)}
    report, ports = Report(expected), (options.levee, options.kafka)
    chosen = [(name, function) for name, function in scripts
              if not options.parts or any(name.startswith(part) for part in options.parts)]
    started = time.monotonic()
    waking = Script("awake", options.tag, ports, catalogue, report, options.seed)
    waking.run(awake)
    waking.close()
    scripts = [Script(name, options.tag, ports, catalogue, report, options.seed) for name, _ in chosen]
    with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
        for script, (_, function) in zip(scripts, chosen):
            pool.submit(script.run, function)
    written = differential_records.compare(scripts, definitions, lambda script, key, path, ours, kafkas: script.differ(
        key, (key, "records", 0, None, None), path, ours, kafkas)) if scripts else 0
    for script in scripts:
        script.close()
    summary(report)
    stale = set() if options.parts else set(expected) - report.seen
    for key in sorted(stale):
        print(f"an expected difference does not show any more: {key}")
    if options.coverage:
        add_coverage(options.coverage, report.coverage)
    else:
        table(report.coverage)
    for name, why in report.broken:
        print(f"broken: {name}: {why.strip().splitlines()[-1][:300]}")
    for api in sorted(report.missing):
        print(f"not served by Levee: {api}")
    print(f"{written} records in the coordinators' topics compared")
    print(f"seed {options.seed}: {sum(row['requests'] for row in report.coverage.values())} requests to both in "
          f"{len(chosen)} scripts and {time.monotonic() - started:.0f} s: {len(report.differences)} differences, "
          f"{len(report.broken)} scripts broken, {len(report.texts)} messages in other words")
    sys.exit(1 if report.differences or report.broken or report.missing or stale else 0)


def table(coverage):
    print(f"{'API':<24}{'requests':>9}{'compared':>9}  versions   error codes seen from Kafka")
    for api, row in sorted(coverage.items()):
        span = "-".join(map(str, sorted({row["versions"][0], row["versions"][-1]}))) if row["versions"] else ""
        print(f"{api:<24}{row['requests']:>9}{row['compared']:>9}  {span:<9}  {' '.join(map(str, row['codes']))}")


def judge():
    parser = argparse.ArgumentParser()
    parser.add_argument("coverage", type=pathlib.Path)
    parser.add_argument("levee", type=int)
    parser.add_argument("kafka", type=int)
    parser.add_argument("--all", action="store_true", help="every API that Levee advertises, not only those in the file")
    options = parser.parse_intermixed_args()
    definitions = messages.load(LIBS)
    coverage, problems = json.loads(options.coverage.read_text()), []
    table(coverage)
    keys = {name.removesuffix("Request"): one.key for name, one in definitions.items() if name.endswith("Request")}
    ours, kafkas = served(options.levee, definitions), served(options.kafka, definitions)
    judged = {name for name, key in keys.items() if key in ours} if options.all else set(coverage)
    for api in sorted(judged):
        row = coverage.get(api, {"requests": 0, "codes": [], "versions": []})
        low, high = ours.get(keys[api], (0, -1)), kafkas.get(keys[api], (0, -1))
        both = {version for version in definitions[api + "Request"].versions[:99]
                if max(low[0], high[0]) <= version <= min(low[1], high[1])}
        if row["requests"] < MIN_REQUESTS:
            problems.append(f"{api}: {row['requests']} requests, of at least {MIN_REQUESTS}")
        if not any(isinstance(code, int) or api in NO_ERROR_CODE for code in row["codes"]):
            problems.append(f"{api}: no error code was seen from Kafka")
        if missing := sorted(both - set(row["versions"])):
            problems.append(f"{api}: not sent in the versions {missing}")
    for problem in problems:
        print(f"NOT COVERED  {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    judge()
