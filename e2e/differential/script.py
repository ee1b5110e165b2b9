"""Scripts of requests that go to Levee and Apache Kafka at once, and whose answers are compared field by field.

A script is a function of a Script. It goes step by step: both brokers have answered a step before the next begins, but
for requests that are held (a JoinGroup waits for others), which the script sends, and receives when it is time."""
import contextlib
import random
import select
import struct
import threading
import time
import traceback

import messages
import wire
from coverage import Coverage
from expected import Expected
from values import Each, Normal, TEXT, codes, flat, resolve

# A broker that has not answered by then won't. Joins are held for seconds, and dead members are waited for.
SILENCE_S = 20
PATIENCE_S = 20
POLL_S = 0.02
# Coordinators are loading, or their internal topics are being made: the request is sent again, as clients do.
LOADING = {14, 15, 16}
CONCURRENT_TRANSACTIONS = 51
SETTLING = LOADING | {CONCURRENT_TRANSACTIONS}
# Kafka has its coordinator verify what is not in a transaction yet, several at once, and answers all that were asked
# together with the code that suits one of them: INVALID_TXN_STATE or TRANSACTION_ABORTABLE. So these go one by one.
VERIFIED, ONE_BY_ONE = {"Produce", "TxnOffsetCommit"}, threading.Lock()
# Answers that tell of all groups or transactions; a script looks at its own only.
MINE = {"ListGroups": ("groups", "group_id"), "ListTransactions": ("transaction_states", "transactional_id")}


class Stuck(Exception):
    """A broker did not come to what the script waits for."""


class Report:
    """What was sent, compared and found different, by all scripts together."""

    def __init__(self):
        self.lock, self.expected, self.coverage = threading.Lock(), Expected(), Coverage()
        self.differences, self.texts, self.broken, self.missing = [], set(), [], set()


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
        """Without what other scripts have made, and without the APIs that only Kafka serves (docs/kafka-apis.md)."""
        if api in MINE and "connection" not in answer:
            array, name = MINE[api]
            answer[array] = [one for one in answer[array] if one[name].startswith(self.tag)]
        if api == "ApiVersions" and "connection" not in answer:
            answer["api_keys"] = sorted((one for one in answer["api_keys"] if one["api_key"] in self.catalogue["ours"]),
                                        key=lambda one: one["api_key"])
        return answer

    def compare(self, case, api, version, values, answers):
        self.step += 1
        answers = [self.mine(api, answer) for answer in answers]
        left, right = (dict(flat(side.normal.of(api, answer))) for side, answer in zip(self.sides, answers))
        found = set(codes(answers[1])) | ({answers[1]["connection"].split(":")[0]} if "connection" in answers[1] else set())
        self.report.coverage.add(api, version if version in self.versions(api) else None, found)
        if self.api(api).key not in self.catalogue["ours"]:
            self.report.missing.add(api)
            return Each(*answers)
        for path in sorted(set(left) | set(right), key=lambda path: (not path.endswith("error_code"), path)):
            if left.get(path, "absent") == right.get(path, "absent"):
                continue
            if not self.report.expected.excuses(f"{api} {case}", path):
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
