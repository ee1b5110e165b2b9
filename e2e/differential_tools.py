"""Runs the same command lines of Apache Kafka's own tools against Levee and against Kafka, and compares what they print.

    differential_tools.py LEVEE-PORT KAFKA-PORT [--only WORD] [--tag T]

Compared are the exit code and the lines without regard to their order; ids are compared by which is which, times, ports
and the widths of columns are not. What may differ is in EXPECTED, each with its reason."""
import argparse
import collections
import concurrent.futures
import difflib
import os
import pathlib
import re
import subprocess
import sys

import differential_run
import messages
from differential_consumer import IDS, Member, beat as consumer_beat, joining, settle
from differential_requests import (add_partitions, commit, create_topic, enter, founded, init, join, leave, members_of, produce,
                                   producer_of, records, subscription, sync)
from differential_run import Report, Script
from differential_values import UUID

KAFKA = pathlib.Path(__file__).parent / "kafka" / "kafka"
# One command of a JVM takes a second or two; one that waits for what never comes is ended.
COMMAND_S = 90
SESSION_MS = 1_800_000
JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# Beginning of a command line -> why what it prints differs.
EXPECTED = {
    "broker-api-versions": "Levee serves no APIs of tiered storage's, of KRaft's own and of share and streams groups",
    "features": "each feature stands for a behaviour; see the page",
}

# @ stands for the run's tag, which all names begin with. A line after `<` is what the command reads.
COMMANDS = """
topics --create --topic @new --partitions 3
topics --create --topic @new --partitions 3
topics --create --topic @new --partitions 3 --if-not-exists
topics --create --topic @configured --partitions 1 --config retention.ms=5000 --config cleanup.policy=compact
topics --create --topic @bad --config nonsense=1
topics --create --topic @bad --config retention.ms=x
topics --create --topic bad/name
topics --create --topic @dotted.name_here --partitions 2 --replication-factor 1
topics --describe --topic @new
topics --describe --topic @configured
topics --describe --topic @configured --topics-with-overrides
topics --describe --topic @nobody
topics --describe --topic @new --unavailable-partitions
topics --describe --topic @new --under-replicated-partitions
topics --describe --topic @new --under-min-isr-partitions
topics --alter --topic @new --partitions 5
topics --alter --topic @new --partitions 2
topics --alter --topic @nobody --partitions 2
topics --describe --topic @new
topics --list --topic @.*
topics --list --topic @.* --exclude-internal
console-producer --topic @new --property parse.key=true --property key.separator=:<k1:a\\nk2:b\\nk3:c\\n
console-producer --topic @new --compression-codec zstd --property parse.key=true --property key.separator=:<k4:d\\nk5:e\\n
console-producer --topic @lines --request-required-acks all<1\\n2\\n3\\n4\\n5\\n
console-consumer --topic @lines --from-beginning --max-messages 5 --group @console
console-consumer --topic @new --from-beginning --max-messages 5 --property print.key=true
console-consumer --topic @lines --partition 0 --offset 2 --max-messages 3
console-consumer --topic @lines --from-beginning --max-messages 5 --group @console848 --consumer-property group.protocol=consumer
console-consumer --topic @open --from-beginning --timeout-ms 3000 --isolation-level read_committed
console-consumer --topic @open --from-beginning --max-messages 3
get-offsets --topic @lines
get-offsets --topic @lines --time -1
get-offsets --topic @lines --time -2
get-offsets --topic @lines --time 0
get-offsets --topic-partitions @new:0-2,@lines:0
get-offsets --topic @nobody
get-offsets --topic @open --command-config COMMITTED
consumer-groups --list
consumer-groups --list --state
consumer-groups --list --state Stable
consumer-groups --list --type
consumer-groups --list --type consumer
consumer-groups --list --type classic --state Empty
groups --list
groups --list --consumer
groups --list --group-type classic
groups --list --protocol consumer
consumer-groups --describe --group @console
consumer-groups --describe --group @console --offsets
consumer-groups --describe --group @console --members
consumer-groups --describe --group @console --state
consumer-groups --describe --group @two
consumer-groups --describe --group @two --members
consumer-groups --describe --group @two --members --verbose
consumer-groups --describe --group @two --state
consumer-groups --describe --group @two --state --verbose
consumer-groups --describe --group @new848
consumer-groups --describe --group @new848 --members
consumer-groups --describe --group @new848 --members --verbose
consumer-groups --describe --group @new848 --state --verbose
consumer-groups --describe --group @new848 --offsets --verbose
consumer-groups --describe --group @nobody
consumer-groups --describe --group @nobody --members
consumer-groups --describe --group @committed --offsets
consumer-groups --describe --all-groups --state
consumer-groups --reset-offsets --group @console --topic @lines --to-earliest
consumer-groups --reset-offsets --group @console --topic @lines --to-earliest --execute
consumer-groups --describe --group @console
consumer-groups --reset-offsets --group @console --topic @lines:0 --shift-by 2 --execute
consumer-groups --reset-offsets --group @console --topic @lines --to-offset 99 --execute
consumer-groups --reset-offsets --group @console --topic @lines --to-datetime 2020-01-01T00:00:00.000 --execute
consumer-groups --reset-offsets --group @console --topic @lines --to-current --export
consumer-groups --reset-offsets --group @console --all-topics --to-latest --execute
consumer-groups --reset-offsets --group @console --topic @nobody --to-latest --execute
consumer-groups --reset-offsets --group @fresh --topic @lines --to-earliest --execute
consumer-groups --reset-offsets --group @two --topic @work --to-earliest --execute
consumer-groups --reset-offsets --group @new848 --topic @work --to-earliest --execute
consumer-groups --delete-offsets --group @fresh --topic @lines
consumer-groups --delete-offsets --group @fresh --topic @nobody
consumer-groups --delete-offsets --group @two --topic @work
consumer-groups --delete-offsets --group @nobody --topic @work
consumer-groups --validate-regex a[
consumer-groups --validate-regex a.*
consumer-groups --delete --group @console
consumer-groups --delete --group @console
consumer-groups --delete --group @two
consumer-groups --delete --group @new848
consumer-groups --delete --group @committed --group @nobody
transactions list
transactions list --duration-filter 1000000000
transactions list --transactional-id-pattern @o.*
transactions describe --transactional-id @open
transactions describe --transactional-id @ended
transactions describe --transactional-id @nobody
transactions describe-producers --topic @open --partition 0
transactions find-hanging --topic @open --partition 0
transactions find-hanging --broker-id 1
transactions abort --topic @open --partition 0 --start-offset 3
transactions forceTerminateTransaction --transactional-id @open
transactions describe --transactional-id @open
transactions forceTerminateTransaction --transactional-id @nobody
configs --describe --entity-type topics --entity-name @configured
configs --alter --entity-type topics --entity-name @configured --add-config retention.ms=7000,segment.ms=8000
configs --alter --entity-type topics --entity-name @configured --delete-config retention.ms
configs --alter --entity-type topics --entity-name @configured --delete-config nonsense
configs --alter --entity-type topics --entity-name @configured --add-config nonsense=1
configs --alter --entity-type topics --entity-name @nobody --add-config retention.ms=1
configs --describe --entity-type topics --entity-name @configured
configs --describe --entity-type topics --entity-name @configured --all
configs --describe --entity-type topics --entity-name @nobody
configs --describe --entity-type groups --entity-name @console
configs --alter --entity-type groups --entity-name @console --add-config consumer.session.timeout.ms=50000
configs --describe --entity-type groups --entity-name @console
configs --alter --entity-type groups --entity-name @console --add-config nonsense=1
delete-records --offset-json-file RECORDS
delete-records --offset-json-file BEYOND
get-offsets --topic @lines --time -2
features describe
broker-api-versions
topics --delete --topic @new
topics --delete --topic @new
topics --delete --topic @new --if-exists
topics --delete --topic @nobody
""".strip().splitlines()


class World:
    """What the tools are to look at: groups at work and without members, an open transaction and one that has ended."""

    def __init__(self, s):
        self.s, self.producers = s, []
        lines = create_topic(s, "lines")
        work, opened = create_topic(s, "work", 3), create_topic(s, "open")
        s.ask("commits", "OffsetCommit", 9, commit(9, s.named("committed"), lines, [(0, 2, "here")]))
        two, metadata = s.named("two"), subscription(s, work[0])
        of = {"protocols": (("range", metadata),), "session": SESSION_MS}
        one = founded(s, two, 9, **of)
        enter(s, two, 9, "m2", **of)
        members_of(s, two, 2)
        s.ask("rejoins", "JoinGroup", 9, join(two, one, **of), "m1")
        other = s.receive("m2")["member_id"]
        s.ask("leader", "SyncGroup", 5, sync(two, 2, one, [(one, b"\0\1" + bytes(8)), (other, b"\0\1" + bytes(8))]), "m1")
        s.ask("follower", "SyncGroup", 5, sync(two, 2, other), "m2")
        s.ask("commits", "OffsetCommit", 9, commit(9, two, work, [(0, 0, ""), (1, 0, "")], 2, one))
        group = s.named("new848")
        self.member = Member(1, group, s.ask("joins", "ConsumerGroupHeartbeat", 1, joining(group, IDS[0], [work[0]])))
        settle(s, "settles", group, self.member)
        s.ask("commits", "OffsetCommit", 9, commit(9, group, work, [(0, 0, "")], self.member.epoch, self.member.ids))
        for name in ("ended", "open"):
            mine = s.named(name)
            me = producer_of(s.ask("init", "InitProducerId", 4, init(mine, timeout=900_000)))
            self.producers.append(me[0])
            if name == "open":
                s.ask("adds", "AddPartitionsToTxn", 3, add_partitions(3, mine, me, (opened[0], [0])))
                s.ask("produces", "Produce", 9, produce(opened[0], records(me, 0, (b"x", b"y", b"z")), 0, mine))

    def beat(self):
        """Keeps the member of the new protocol alive."""
        self.s.exchange("ConsumerGroupHeartbeat", 1, consumer_beat(self.member.group, self.member.ids, self.member.epoch))


class Lines:
    """One broker's output made comparable: what is its own is replaced, ids by which of them it is."""

    def __init__(self, port, tag):
        self.port, self.tag, self.known, self.numbers = port, tag, {}, {}

    def symbol(self, found):
        """The n-th id that is seen, but for words that only look like one."""
        if re.fullmatch(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*", found[0]):
            return found[0]
        return self.known.setdefault(found[0], f"id#{len(self.known) + 1}")

    def of(self, text):
        out = []
        for line in text.replace(self.tag, "@").splitlines():
            if line.startswith(("\tat ", "Caused by", "\t... ")) or "Picked up" in line:
                continue
            # Kafka sets this for the whole cluster (KIP-966) and so tells of it beside a topic's own.
            line = line.replace(str(self.port), "PORT").replace("min.insync.replicas=1,", "").replace("min.insync.replicas=1", "")
            line = re.sub(r"console-consumer-\d+", "console-consumer-N", UUID.sub(self.symbol, line))
            for number, name in self.numbers.items():
                line = re.sub(rf"\b{number}\b", name, line)
            line = re.sub(r"\b1[6-9]\d{11}\b|\d{4}-\d\d-\d\d[T ][\d:.,+Z]*|\d\d:\d\d:\d\d[.,]\d+", "TIME", line)
            line = re.sub(r"TIME \d+", "TIME AGO", line)
            out.append(re.sub(r"-{3,}", "---", " ".join(line.split())))
        return sorted(line for line in out if line)


def run(port, command, tag, files):
    line, _, given = command.partition("<")
    name, *arguments = line.replace("@", tag).split()
    arguments = [files.get(one, one) for one in arguments]
    server = ["--bootstrap-server", f"127.0.0.1:{port}"]
    arguments = server + arguments if name == "transactions" else arguments + server
    environment = os.environ | {"KAFKA_OPTS": JVM, "LOG_LEVEL": "ERROR"}
    try:
        done = subprocess.run([KAFKA, name, *arguments], input=given.encode().decode("unicode_escape"), timeout=COMMAND_S,
                              capture_output=True, text=True, env=environment)
        return done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        return "ended after its time", ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("levee", type=int)
    parser.add_argument("kafka", type=int)
    parser.add_argument("--only", default="", help="commands that contain this, after all that makes what they look at")
    parser.add_argument("--tag", default="tools-")
    parser.add_argument("--scratch", type=pathlib.Path, required=True, help="where the commands' files are written")
    options = parser.parse_args()
    definitions = messages.load(differential_run.LIBS)
    catalogue = {"messages": definitions, "served": differential_run.served(options.kafka, definitions),
                 "ours": differential_run.served(options.levee, definitions)}
    report, ports = Report({}), (options.levee, options.kafka)
    awake = Script("awake", options.tag, ports, catalogue, report, 1)
    awake.run(differential_run.awake)
    world = []
    script = Script("", options.tag, ports, catalogue, report, 1)
    tag = script.tag = options.tag
    try:
        world = World(script)
    except Exception as error:  # the tools that need nothing of it are still compared
        print(f"  BROKEN  what the tools are to look at was not made: {error}")
        report.broken.append(("world", str(error)))
    files = {}
    for name, text in (("RECORDS", '{"version":1,"partitions":[{"topic":"%slines","partition":0,"offset":2}]}' % tag),
                       ("BEYOND", '{"version":1,"partitions":[{"topic":"%slines","partition":0,"offset":99}]}' % tag),
                       ("COMMITTED", "isolation.level=read_committed\n")):
        files[name] = str(options.scratch / name)
        pathlib.Path(files[name]).write_text(text)
    counts, differ, lines = collections.Counter(), [], [Lines(port, tag) for port in ports]
    for command in COMMANDS:
        if options.only not in command:
            continue
        if world:
            world.beat()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda port: run(port, command, tag, files), ports))
        if command.startswith("transactions") and world:
            for side, one in enumerate(lines):
                one.numbers = {producer.values[side]: f"PRODUCER{at}" for at, producer in enumerate(world.producers)}
        ours, kafkas = (one.of(text) for one, (_, text) in zip(lines, results))
        counts[command.split()[0]] += 1
        codes = [code for code, _ in results]
        if ours != kafkas or codes[0] != codes[1]:
            if any(command.startswith(known) for known in EXPECTED):
                continue
            differ.append(command)
            print(f"  DIFFERS  {command}: exit codes {codes[0]} and {codes[1]}")
            for line in difflib.unified_diff(kafkas, ours, "Kafka", "Levee", lineterm="", n=0):
                print(f"      {line[:300]}", flush=True)
    print(f"{sum(counts.values())} commands of {len(counts)} tools to both: {len(differ)} differ")
    print("  " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    for side in script.sides:
        side.close()
    sys.exit(1 if differ or report.broken else 0)


main()
