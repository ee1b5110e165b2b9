"""Runs the clients of a history against a broker that is killed and started again, and ends them one after the other.

run.py FOLDER PORT BROKER-PORT ROUNDS SEED COMMAND...

COMMAND starts the broker, which must listen on BROKER-PORT and tell clients to come to PORT, where the proxy is. The
history is written into FOLDER (client.py says how it looks); check.py judges it. This fails only if the run itself did
not go as it should: a client that ended by an exception, or a broker that does not start.
"""

import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

from client import Client, part
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from consumers import HANGS_CODE, HOLD, LEAVING
from observers import asker, fetch
from proxy import Proxy

here = pathlib.Path(__file__).parent
KEPT, OUT, LEFT, SHORT = "kept", "out", "left", "short"
TOPICS = {KEPT: 6, OUT: 3, LEFT: 1, SHORT: 2}
RETENTION_MS = 6_000
GROUPS = ("classic", "modern", "transform")

ANSWER_LATE_S = 0.03
# As in check_progress.py.
PATIENCE = float(os.environ.get("PATIENCE", "1"))
# From one fault's end to the next: longer than clients are given to make progress.
CALM_S = 10.5 * PATIENCE
UP_S = 60
SWALLOWED_S = 0.3
# How a client ends by the fault of librdkafka, which hangs or crashes: its next incarnation goes on.
GAVE_UP = (HANGS_CODE, -signal.SIGABRT, -signal.SIGSEGV)
# How long the run waits for what check.py judges; more than its deadlines, so that it is there to be judged.
BEGIN_S = 45 * PATIENCE
SETTLE_S = 45 * PATIENCE
ENDED_S = 90 * PATIENCE

PROGRESS = {"producers.py": ("acked", "committed"), "consumers.py": ("read",), "observers.py": ("fetched", "times")}


def clients():
    """Script, name, and arguments of all that run from the beginning."""
    kept = KEPT, str(TOPICS[KEPT])
    for number in (1, 2):
        yield "producers.py", f"idempotent-{number}.1", "idempotent", *kept
        yield "producers.py", f"transactional-{number}.1", "transactional", *kept
        yield "consumers.py", f"transform-{number}.1", "transform", "transform", "classic", KEPT, OUT, str(TOPICS[OUT])
    for number in (1, 2, 3):
        yield "consumers.py", f"classic-{number}.1", "member", "classic", "classic", "read_uncommitted", KEPT
    for number in (1, 2):
        yield "consumers.py", f"modern-{number}.1", "member", "modern", "consumer", "read_committed", KEPT
    yield "consumers.py", "modern-3", "visitor", "modern", "consumer", "read_committed", KEPT
    yield "producers.py", "plain-1.1", "plain", *kept
    yield "producers.py", "stamps-1.1", "stamps", SHORT, str(TOPICS[SHORT])
    yield "consumers.py", "tail-committed.1", "tail", "read_committed"
    yield "consumers.py", "tail-uncommitted.1", "tail", "read_uncommitted"
    yield "observers.py", "watcher.1", "watcher", *kept, *GROUPS
    yield "observers.py", "looker.1", "looker", SHORT, str(TOPICS[SHORT])


class Broker:
    def __init__(self, command, port, log):
        self.command, self.port, self.log, self.process = command, port, log, None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + UP_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"the broker does not listen; see {self.log.name}")

    def kill(self, how=signal.SIGKILL):
        if self.process.poll() is not None:
            raise RuntimeError(f"the broker ended by itself, {self.process.returncode}; see {self.log.name}")
        self.process.send_signal(how)
        self.process.wait(UP_S)


class Run(Client):
    def __init__(self, folder, port, broker_port, rounds, seed, command):
        super().__init__(folder, f"127.0.0.1:{port}", "harness", seed, role="harness")
        self.rounds, self.seed = int(rounds), seed
        self.broker = Broker(command, int(broker_port), open(self.folder / "broker.log", "ab"))
        self.proxy = Proxy(int(port), int(broker_port), ANSWER_LATE_S)
        self.load = {}  # by name: the process, its script and arguments
        self.faults = 0

    def launch(self, script, who, *arguments):
        log = open(self.folder / f"{who}.log", "ab")
        command = [sys.executable, here / script, self.folder, self.bootstrap, who, self.seed, *arguments]
        process = subprocess.Popen([str(each) for each in command], stdout=log, stderr=log)
        self.load[who] = process, script, arguments
        return who

    def wait(self, names, seconds=ENDED_S):
        """Until clients have ended. One that failed fails the run."""
        end = time.monotonic() + seconds
        for who in names:
            process = self.load[who][0]
            try:
                code = process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"{who} does not end; see {self.folder}/{who}.jsonl") from None
            if code and code not in GAVE_UP:
                raise RuntimeError(f"{who} ended with {code}; see {self.folder}/{who}.log")
            del self.load[who]

    def alive(self):
        """Sees to those who have ended by themselves. Without whoever started this it ends, too."""
        self.going("never")
        for who, (process, *_) in list(self.load.items()):
            if process.poll() in GAVE_UP:
                print(f"{who} ended with {process.returncode} and is started again", file=sys.stderr)
                self.again(who)
            elif process.poll() and not who.startswith("left-"):
                raise RuntimeError(f"{who} ended with {process.returncode}; see {self.folder}/{who}.log")

    def sleep(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.alive()
            time.sleep(min(0.2, left))

    def until(self, what, holds, seconds):
        """Waits until something holds. If it never does, that is for check.py to say."""
        end = time.monotonic() + seconds
        while not holds():
            self.alive()
            if time.monotonic() > end:
                print(f"{what}: not so after {seconds} s", file=sys.stderr)
                return
            time.sleep(0.2)

    def create(self):
        admin = AdminClient(self.config())
        configs = {
            # Less than producers.py sends where it is to be refused.
            KEPT: {"max.message.bytes": "20000"},
            SHORT: {"retention.ms": str(RETENTION_MS), "segment.ms": "1000"},
        }
        topics = [NewTopic(topic, count, config=configs.get(topic, {})) for topic, count in TOPICS.items()]
        for created in admin.create_topics(topics, operation_timeout=20).values():
            created.result(30)
        for topic, count in TOPICS.items():
            retention = RETENTION_MS if topic == SHORT else None
            self.note("topic", topic=topic, partitions=count, retention_ms=retention)
        (self.folder / "topics.json").write_text(json.dumps(TOPICS))

    def has_begun(self, who, script):
        files = self.folder.glob(f"{who}*.jsonl")
        text = "".join(file.read_text() for file in files)
        return any(f'"do": "{kind}"' in text for kind in PROGRESS[script])

    def begin(self):
        self.broker.start()
        self.create()
        waiting = {self.launch(*each): each[0] for each in clients()}

        def all_have():
            for who, script in list(waiting.items()):
                if self.has_begun(who, script):
                    del waiting[who]
            return not waiting

        self.until("every client has begun", all_have, BEGIN_S)
        self.note("healed", n=0)

    def kill_client(self, name):
        """Kills a client with -9 and starts its next incarnation."""
        who = next(each for each in self.load if each.startswith(f"{name}."))
        self.load[who][0].kill()
        self.again(who)

    def again(self, who):
        """Starts a client's next incarnation."""
        process, script, arguments = self.load.pop(who)
        process.wait()
        self.note("client-killed", client=who)
        name, number = who.rsplit(".", 1)
        self.launch(script, f"{name}.{int(number) + 1}", *arguments)

    def round(self, number):
        calm = CALM_S + self.random.uniform(0, 0.5)
        steps = [
            (self.random.uniform(1, 3), lambda: self.launch("producers.py", f"left-{number}.1", "leaver", LEFT, "1")),
            (self.random.uniform(3, 6), self.cut),
            (self.random.uniform(4, calm), lambda: self.kill_client("transactional-2")),
            (self.random.uniform(4, 6), lambda: self.kill_client(("transform-2", "classic-3")[number % 2])),
        ]
        began = time.monotonic()
        for at, step in sorted(steps, key=lambda each: each[0]):
            self.sleep(began + at - time.monotonic())
            step()
        self.sleep(began + calm - time.monotonic())
        with self.held():
            # One kill of two meets requests that have been carried out and not answered, the others answers that have
            # just been given.
            if number % 2:
                self.swallow()
            self.kill_broker(self.random.uniform(0, 0.5))
        self.reap_leaver(f"left-{number}.1")

    def cut(self):
        with self.held():
            self.swallow()
            self.note("cut")
            self.proxy.cut()

    def swallow(self):
        self.proxy.swallow()
        time.sleep(SWALLOWED_S)

    @contextlib.contextmanager
    def held(self):
        """Nobody leaves a group meanwhile; who is about to does so first."""
        (self.folder / HOLD).touch()
        self.until("nobody leaves a group", lambda: not (self.folder / LEAVING).exists(), SETTLE_S)
        yield
        (self.folder / HOLD).unlink()

    def kill_broker(self, down_s):
        self.faults += 1
        self.note("kill", n=self.faults)
        began = time.monotonic()
        self.broker.kill()
        self.proxy.cut()
        time.sleep(down_s)
        self.broker.start()
        self.note("healed", n=self.faults)
        print(f"kill -9 number {self.faults}: back after {time.monotonic() - began:.1f} s", flush=True)

    def reap_leaver(self, who):
        process, *_ = self.load.pop(who)
        if process.wait(ENDED_S) != -signal.SIGKILL:
            raise RuntimeError(f"{who} did not die by its own hand; see {self.folder}/{who}.log")
        self.note("client-killed", client=who)

    def named(self, *prefixes):
        return [who for who in self.load if who.startswith(prefixes)]

    def touch(self, name):
        (self.folder / name).touch()

    def ends(self, *topics):
        """Where the parts of topics end; retried, as any client would."""
        consumer = Consumer(self.config(**{"group.id": "none", "isolation.level": "read_uncommitted"}))
        ends = {}
        for topic in topics:
            for partition in range(TOPICS[topic]):
                at = TopicPartition(topic, partition)
                ends[part(topic, partition)] = self.patiently(lambda: consumer.get_watermark_offsets(at, timeout=5))
        consumer.close()
        return ends

    def patiently(self, call):
        end = time.monotonic() + SETTLE_S
        while True:
            try:
                return call()
            except KafkaException:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def mark(self, *topics):
        self.wait([self.launch("producers.py", f"mark-{topic}.1", "mark", topic, str(TOPICS[topic]))
                   for topic in topics])

    def stable(self, *topics):
        """Waits until no transaction is open any more, and writes down how the last stable offsets come on."""
        committed = Consumer(self.config(**{"group.id": "none", "isolation.level": "read_committed"}))
        open_parts = {at: high for at, (_, high) in self.ends(*topics).items()}

        def all_are():
            for at, high in list(open_parts.items()):
                topic, partition = at.split("/")
                try:
                    _, last_stable = committed.get_watermark_offsets(TopicPartition(topic, int(partition)), timeout=5)
                except KafkaException:
                    return False
                self.note("stable", part=at, last_stable=last_stable, high=high)
                if last_stable >= high:
                    del open_parts[at]
            return not open_parts

        self.until(f"no transaction is open in {topics}", all_are, SETTLE_S)
        committed.close()

    def drained(self):
        """Waits until groups have committed to the end of what they read."""
        ends = {at: high for at, (_, high) in self.ends(KEPT).items()}
        self.note("producers-ended", ends=ends, groups=GROUPS)
        askers = {group: asker(self, group) for group in GROUPS}

        def have():
            for group, consumer in askers.items():
                offsets = fetch(self, consumer, group, KEPT, TOPICS[KEPT]) or {}
                if any(offsets.get(at, -1) < end for at, end in ends.items()):
                    return False
            return True

        self.until("every group has read all", have, SETTLE_S)

    def finish(self):
        """Ends those who write, lets those who read come to the end, and reads everything from another broker."""
        self.sleep(CALM_S)
        self.touch("stop-producers")
        self.wait(self.named("idempotent", "plain", "transactional", "stamps"))
        self.mark(KEPT, LEFT, SHORT)
        self.drained()
        self.stable(KEPT, LEFT)
        self.touch("stop-transforms")
        self.wait(self.named("transform"))
        self.mark(OUT)
        self.stable(OUT)
        ends = {at: high for at, (_, high) in self.ends(KEPT, OUT, LEFT).items()}
        (self.folder / "ends.new").write_text(json.dumps(ends))
        os.rename(self.folder / "ends.new", self.folder / "ends.json")
        self.wait(self.named("tail"))
        self.touch("stop-members")
        self.wait(self.named(""))
        self.kill_broker(0)
        self.wait([self.launch("consumers.py", f"final-{isolation}.1", "final", isolation)
                   for isolation in ("read_committed", "read_uncommitted")])
        for at, (low, _) in self.ends(*TOPICS).items():
            self.note("final-low", part=at, low=low)
        for group in GROUPS:
            consumer = asker(self, group)
            self.until(f"what {group} has committed is known",
                       lambda: fetch(self, consumer, group, KEPT, TOPICS[KEPT]) is not None, SETTLE_S)
        self.broker.kill(signal.SIGTERM)
        self.note("end")

    def stop(self):
        for process, *_ in self.load.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        if self.broker.process and self.broker.process.poll() is None:
            self.broker.process.kill()
            self.broker.process.wait()


def main(folder, port, broker_port, rounds, seed, *command):
    run = Run(folder, port, broker_port, rounds, seed, command)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("history: told to end"))
    try:
        run.begin()
        for number in range(1, run.rounds + 1):
            run.round(number)
        run.finish()
    except RuntimeError as error:
        sys.exit(f"history: {error}")
    finally:
        run.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
