"""Sends the same requests, valid and invalid, to Levee and to Apache Kafka, and compares the answers field by field.

    differential.py LEVEE-PORT KAFKA-PORT

What may differ is said in EXPECTED, each with its reason; docs/kafka-differences.md is the same in words. Anything
else that differs fails the run, and so does an expected difference that no longer shows."""
import os
import pathlib
import sys
import time
import uuid

import differential_run
import wire
from differential_values import flat
from wire import batch, create, fetch, list_offsets, new_topic, produce

# A broker that has not answered by then won't.
SILENCE_S = 5
COORDINATOR_LOAD_IN_PROGRESS = 14
NIL = uuid.UUID(int=0)
# Fields whose values are each broker's own: compared by whether they are set. Error messages are shown, not compared.
OWN = {"topic_id", "cluster_id", "host", "port", "log_dir", "producer_id", "session_id", "log_append_time_ms", "throttle_time_ms"}
TEXT = {"error_message", "message", "documentation"}
# (API and case, field) -> why it differs. A case that ends in '*' begins so; a field is a path, a name, or '*' for all.
EXPECTED = {
    ("ApiVersions *", "tags.0"): "features: those that Levee has, at their one level",
    ("ApiVersions *", "tags.1"): "features: the epoch",
    ("ApiVersions *", "tags.2"): "features: those that Levee has",
    ("CreateTopics replication factor 3 on one broker", "*"): "replication is the store's: any factor is taken",
    ("CreateTopics colliding in a request", "*"): "Kafka makes both of two names that collide; Levee the first",
    ("CreateTopics config retention.ms=' 5 '", "value"): "values are stored trimmed",
    ("CreateTopics *", "config_source"): "Kafka sets min.insync.replicas for the cluster (KIP-966)",
    ("CreateTopics *", "topic_id"): "validate_only: Kafka draws an id for the topic that it doesn't make",
    ("Metadata neither", "*"): "Kafka fails (UNKNOWN_SERVER_ERROR)",
    ("Metadata id too early", "*"): "refused alike, but Kafka leaves out the brokers",
    ("Produce null records", "*"): "Kafka never answers",
    ("Produce unknown codec 5", "*"): "Kafka fails (UNKNOWN_SERVER_ERROR)",
    ("Produce unknown codec 7", "*"): "Kafka fails (UNKNOWN_SERVER_ERROR)",
    ("Produce gzip of garbage", "*"): "batches are not opened",
    ("Produce records of garbage", "*"): "batches are not opened",
    ("Produce count 5 of 1", "*"): "batches are not opened",
    ("Produce count 1 of 2", "*"): "batches are not opened",
    ("Produce no payload", "*"): "batches are not opened",
    ("Produce *", "error_message"): "Levee says why",
    ("Produce duplicate*", "log_append_time_ms"): "Kafka gives a duplicate the batch's timestamp",
    ("Fetch isolation 2", "*"): "Kafka fails (UNKNOWN_SERVER_ERROR); taken for read_uncommitted",
    ("Fetch isolation -1", "*"): "the same",
    ("Fetch negative max_bytes", "*"): "Kafka fails (UNKNOWN_SERVER_ERROR); taken for 0",
    ("Fetch last fetched epoch ahead", "*"): "only replicas send it, and there are none",
    ("ListOffsets isolation 2", "*"): "Kafka fails (UNKNOWN_SERVER_ERROR)",
    ("DescribeConfigs cluster", "*"): "Kafka sets min.insync.replicas for the cluster (KIP-966)",
    ("DescribeLogDirs *", "total_bytes"): "a store has no size that could be told",
    ("DescribeLogDirs *", "usable_bytes"): "the same",
    ("DescribeTopicPartitions an empty name", "*"): "Kafka fails (UNKNOWN_SERVER_ERROR), and with it the other topics",
    ("ElectLeaders no time", "*"): "Kafka never does what may take no time; here there is nothing to do",
    ("UpdateFeatures transaction.version 1 *", "*"): "Levee has one level of each feature",
    ("UpdateFeatures kraft.version *", "*"): "Levee doesn't have all features",
    ("IncrementalAlterConfigs metrics match=client_id=[", "*"): "patterns that nobody uses are not compiled",
    ("IncrementalAlterConfigs operation*", "*"): "Kafka fails (UNKNOWN_SERVER_ERROR)",
    ("AlterConfigs a topic twice", "*"): "Kafka never answers",
}


def name_of(path):
    return path.rsplit(".", 1)[-1]


def comparable(path, value):
    name = name_of(path)
    if name in OWN:
        return "unset" if value in (None, "", -1, 0, NIL) else "set"
    if name in TEXT:
        return "none" if value is None else "some"
    return value


class Side:
    """One broker, and what was made on it."""

    def __init__(self, port):
        self.port, self.connection, self.ids, self.known = port, wire.Connection(port, SILENCE_S), {}, {}

    def ask(self, api, version, values):
        try:
            return self.connection.ask(api, version, values)
        except (EOFError, ConnectionError, TimeoutError) as error:
            self.connection.close()
            self.connection = wire.Connection(self.port, SILENCE_S)
            return {"connection": "silent" if isinstance(error, TimeoutError) else "closed"}

    def id(self, topic):
        if topic not in self.ids:
            answer = self.ask("Metadata", 12, {"topics": [{"name": topic}]})
            self.ids[topic] = answer["topics"][0]["topic_id"]
        return self.ids[topic]


sides = []
report = differential_run.Report({})
cases = differences = texts = 0
seen = set()
problems = []


def why(case, path):
    for cases_of, field in EXPECTED:
        name = path.rsplit(".", 1)[-1]
        matches = case.startswith(cases_of[:-1]) if cases_of.endswith("*") else case == cases_of
        if matches and field in ("*", path, name):
            seen.add((cases_of, field))
            return True
    return False


def check(case, api, version, values, settle=None):
    """`values` may be a function of the side, where the request names its topic ids or sessions."""
    global cases, differences, texts
    cases += 1
    answers = [side.ask(api, version, values(side) if callable(values) else values) for side in sides]
    if settle:
        answers = [settle(answer) for answer in answers]
    report.covered(api, version, set(differential_run.codes(answers[1])), 1)
    ours, kafkas = [dict(flat(answer)) for answer in answers]
    label = f"{api} v{version} {case}"
    for path in sorted(set(ours) | set(kafkas)):
        left, right = ours.get(path, "absent"), kafkas.get(path, "absent")
        if name_of(path) in TEXT and left != right and "absent" not in (left, right):
            texts += 1
            print(f"  text  {label}: {path}\n          Levee: {left}\n          Kafka: {right}")
        if comparable(path, left) == comparable(path, right):
            continue
        if why(f"{api} {case}", path):
            differences += 1
        else:
            problems.append(label)
            print(f"  DIFFERS  {label}: {path}: Levee {left!r}, Kafka {right!r}")
    return answers


def setup(*topics):
    """Creates topics, and waits until both brokers lead their partitions: Kafka answers before it does."""
    check("setup", "CreateTopics", 7, create(*topics), by_name)
    for side in sides:
        for topic in topics:
            for index in range(topic["num_partitions"]):
                ask = list_offsets(topic["name"], index, -1)
                while side.ask("ListOffsets", 10, ask)["topics"][0]["partitions"][0]["error_code"]:
                    time.sleep(0.02)


def by_name(answer):
    for key in ("topics", "responses"):
        if isinstance(answer.get(key), list):
            answer[key].sort(key=lambda topic: (topic.get("name") or "", str(topic.get("topic_id"))))
            for topic in answer[key]:
                if isinstance(topic.get("configs"), list):
                    topic["configs"].sort(key=lambda config: config["name"])
                if isinstance(topic.get("partitions"), list):
                    topic["partitions"].sort(key=lambda partition: partition.get("partition_index", 0))
    return answer


def versions_served(answer):
    """Only the APIs that both may serve, of the versions that Levee says."""
    ours = set(wire.NAMES.values())
    answer["api_keys"] = sorted((key for key in answer["api_keys"] if key["api_key"] in ours),
                                key=lambda key: key["api_key"])
    return answer


def api_versions():
    good = {"client_software_name": "levee", "client_software_version": "1"}
    for version in range(5):
        check("", "ApiVersions", version, good, versions_served)
    for name, number in (("", "1"), ("a", ""), ("-a", "1"), ("a b", "1"), ("a", "1."), ("ä", "1"), ("a_b", "1")):
        check(f"name {name!r} version {number!r}", "ApiVersions", 3,
              {"client_software_name": name, "client_software_version": number}, versions_served)
    cases_before = []
    for side in sides:
        side.connection.send(wire.request(18, 99, {}))
        cases_before.append(wire.answer(18, 0, side.connection.frame()))
    assert cases_before[0]["error_code"] == cases_before[1]["error_code"] == 35
    for api, version in ((0, 2), (0, 99), (3, 99), (19, 1), (22, 99), (999, 0), (-1, 0)):
        ours, kafkas = ([] for _ in range(2))
        for side, out in zip(sides, (ours, kafkas)):
            with wire.Connection(side.port) as one:
                one.send(b"\0\0\0\x0a" + api.to_bytes(2, "big", signed=True) + version.to_bytes(2, "big") + b"\0\0\0\1\xff\xff")
                out.append(one.closed())
        if ours != kafkas:
            problems.append(f"api {api} v{version}")
            print(f"  DIFFERS  api {api} v{version}: closed: Levee {ours}, Kafka {kafkas}")


NAMES = ["", ".", "..", "a b", "a/b", "ä", "x" * 249, "x" * 250, "a.b", "a_b", "__cluster_metadata",
         "__consumer_offsets_x", "-", "a\0b"]


def create_topics():
    for version in (2, 4, 5, 6, 7):
        tag = f"v{version}-"
        check("plain", "CreateTopics", version, create(new_topic(tag + "plain", 2)), by_name)
        check("again", "CreateTopics", version, create(new_topic(tag + "plain", 2)), by_name)
        check("default partitions", "CreateTopics", version, create(new_topic(tag + "default", -1, -1)), by_name)
        check("validate only", "CreateTopics", version, create(new_topic(tag + "dry", 3), validate_only=True), by_name)
        check("was not created", "Metadata", 9, {"topics": [{"name": tag + "dry"}]}, by_name)
        check("configs", "CreateTopics", version, create(new_topic(tag + "configs", 1, 1, configs=[
            ("retention.ms", "1000"), ("cleanup.policy", "compact,delete"), ("max.message.bytes", "2000")])), by_name)
    for partitions in (0, -2, -1000):
        check(f"{partitions} partitions", "CreateTopics", 7, create(new_topic("few", partitions)), by_name)
    for factor in (0, -2):
        check(f"replication factor {factor}", "CreateTopics", 7, create(new_topic("factor", 1, factor)), by_name)
    check("replication factor 3 on one broker", "CreateTopics", 7, create(new_topic("factor3", 1, 3)), by_name)
    for name in NAMES:
        check(f"name {name[:20]!r} {len(name)}", "CreateTopics", 7, create(new_topic(name)), by_name)
    check("twice in a request", "CreateTopics", 7, create(new_topic("twin"), new_topic("twin")), by_name)
    check("twice and another", "CreateTopics", 7,
          create(new_topic("twin"), new_topic("single"), new_topic("twin")), by_name)
    check("colliding in a request", "CreateTopics", 7, create(new_topic("c.d"), new_topic("c_d")), by_name)
    check("nothing", "CreateTopics", 7, create(), by_name)
    check("excessively many", "CreateTopics", 7, create(new_topic("many", 10_001)), by_name)
    assigned = lambda *assignments, partitions=-1, factor=-1, name="assigned": create(
        new_topic(name, partitions, factor, assignments))
    check("assigned", "CreateTopics", 7, assigned((0, [1]), (1, [1])), by_name)
    check("partitions and assignments", "CreateTopics", 7, assigned((0, [1]), partitions=1, name="a1"), by_name)
    check("factor and assignments", "CreateTopics", 7, assigned((0, [1]), factor=1, name="a2"), by_name)
    check("unknown broker", "CreateTopics", 7, assigned((0, [77]), name="a3"), by_name)
    check("empty replicas", "CreateTopics", 7, assigned((0, []), name="a4"), by_name)
    check("a replica twice", "CreateTopics", 7, assigned((0, [1, 1]), name="a5"), by_name)
    check("a partition twice", "CreateTopics", 7, assigned((0, [1]), (0, [1]), name="a6"), by_name)
    check("a gap", "CreateTopics", 7, assigned((0, [1]), (2, [1]), name="a7"), by_name)
    check("from 1", "CreateTopics", 7, assigned((1, [1]), name="a8"), by_name)
    check("negative", "CreateTopics", 7, assigned((-1, [1]), name="a9"), by_name)
    for key, value in (("nonsense", "1"), ("retention.ms", "soon"), ("retention.ms", None), ("retention.ms", "-2"),
                       ("cleanup.policy", "keep"), ("compression.type", "brotli"), ("max.message.bytes", "-1"),
                       ("min.insync.replicas", "0"), ("segment.bytes", "1"), ("preallocate", "yes"),
                       ("message.timestamp.type", "Never"), ("min.cleanable.dirty.ratio", "2"), ("", "1"),
                       ("cleanup.policy", ""), ("retention.ms", " 5 "), ("compression.zstd.level", "99")):
        check(f"config {key}={value!r}", "CreateTopics", 7,
              create(new_topic("config", configs=[(key, value)]), validate_only=True), by_name)
    check("a config twice", "CreateTopics", 7,
          create(new_topic("cc", 1, 1, configs=[("retention.ms", "1"), ("retention.ms", "2")])), by_name)


def metadata():
    one = {"topics": [{"name": "m"}], "allow_auto_topic_creation": False}
    setup(new_topic("m", 3))
    for version in range(14):
        check("one topic", "Metadata", version, one, by_name)
        if version >= 4:
            check("unknown", "Metadata", version,
                  {"topics": [{"name": "nobody"}], "allow_auto_topic_creation": False}, by_name)
        if version >= 1:
            check("none", "Metadata", version, {"topics": []}, by_name)
    for name in NAMES:
        if name not in ("a.b", "a_b", "x" * 249, "-", "__consumer_offsets_x"):
            check(f"name {name[:20]!r}", "Metadata", 12,
                  {"topics": [{"name": name}], "allow_auto_topic_creation": True}, by_name)
    check("twice", "Metadata", 9, {"topics": [{"name": "m"}, {"name": "m"}]}, by_name)
    check("by id", "Metadata", 12, lambda side: {"topics": [{"name": None, "topic_id": side.id("m")}]}, by_name)
    check("unknown id", "Metadata", 12, {"topics": [{"name": None, "topic_id": uuid.UUID(int=99)}]}, by_name)
    check("neither", "Metadata", 12, {"topics": [{"name": None}]}, by_name)
    check("both", "Metadata", 12, lambda side: {"topics": [{"name": "m", "topic_id": side.id("m")}]}, by_name)
    check("id too early", "Metadata", 10, lambda side: {"topics": [{"name": None, "topic_id": side.id("m")}]}, by_name)
    check("null name too early", "Metadata", 9, {"topics": [{"name": None}]}, by_name)
    for version in (8, 10, 11):
        check("operations", "Metadata", version, one | {"include_topic_authorized_operations": True} | (
            {"include_cluster_authorized_operations": True} if version < 11 else {}), by_name)


def producer_ids():
    ask = {"transactional_id": None, "transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1}
    for side in sides:
        # Kafka fetches its first block of ids when it is asked for one, and says so.
        while side.ask("InitProducerId", 4, ask)["error_code"] == COORDINATOR_LOAD_IN_PROGRESS:
            time.sleep(0.05)
    for version in range(6):
        values = ask if version >= 3 else {key: ask[key] for key in list(ask)[:2]}
        check("idempotent", "InitProducerId", version, values)
    check("an epoch without an id", "InitProducerId", 4, ask | {"producer_epoch": 3})
    check("an id without an epoch", "InitProducerId", 4, ask | {"producer_id": 3})
    check("both", "InitProducerId", 4, ask | {"producer_id": 3, "producer_epoch": 5})
    check("an empty transactional id", "InitProducerId", 4, ask | {"transactional_id": ""})
    check("negative timeout", "InitProducerId", 4, ask | {"transaction_timeout_ms": -5})


def settle_records(answer):
    for topic in answer.get("responses") or []:
        for partition in topic["partitions"]:
            records = partition["records"] or b""
            partition["records"] = (None if partition["records"] is None else len(records))
            partition["base offset"] = int.from_bytes(records[:8], "big") if records else None
            partition["batch epoch"] = int.from_bytes(records[12:16], "big") if records else None
            partition["crc"] = records[17:21].hex()
    return by_name(answer)


def produce_cases():
    setup(new_topic("p", 2), new_topic("pl"), new_topic("pc", 1, 1, configs=[
        ("cleanup.policy", "compact")]), new_topic("pt", 1, 1, configs=[("message.timestamp.type", "LogAppendTime")]),
        new_topic("pm", 1, 1, configs=[("max.message.bytes", "200")]),
        new_topic("pb", 1, 1, configs=[("message.timestamp.before.max.ms", "1000")]))
    for version in range(3, 14):
        name = (lambda side: side.id("p")) if version >= 13 else (lambda side: "p")
        check("plain", "Produce", version, lambda side: produce(name(side), 0, batch(), version))
        check("unknown partition", "Produce", version, lambda side: produce(name(side), 7, batch(), version))
        check("negative partition", "Produce", version, lambda side: produce(name(side), -1, batch(), version))
        unknown = uuid.UUID(int=77) if version >= 13 else "nobody"
        check("unknown topic", "Produce", version, produce(unknown, 0, batch(), version))
        check("bad CRC", "Produce", version, lambda side: produce(name(side), 0, batch(crc=1), version))
    good = batch()
    for case, records in {
        "null records": None, "no records": b"", "cut short": good[:-1], "header only, cut": good[:30],
        "two batches": good + good, "trailing bytes": good + b"xyz", "magic 0": batch(magic=0),
        "magic 1": batch(magic=1), "magic 3": batch(magic=3), "magic -1": batch(magic=-1),
        "unknown codec 5": batch(attributes=5), "unknown codec 7": batch(attributes=7),
        "length too small": batch(length=5), "length negative": batch(length=-1), "length too large": batch(length=900),
        "count 0": batch(count=0), "count -1": batch(count=-1), "count 5 of 1, delta 0": batch(count=5, last_delta=0), "delta 4 of 1": batch(count=1, last_delta=4),
        "negative delta": batch(count=1, last_delta=-1),
        "base offset 7": batch(base_offset=7), "control batch": batch(attributes=0x20),
        "transactional": batch(attributes=0x10, producer=(5, 0, 0)),
        "producer without sequence": batch(producer=(5, 0, -1)), "sequence without producer": batch(producer=(-1, 0, 4)),
        "LogAppendTime set": batch(attributes=8),
        "far future": batch(timestamp=4_000_000_000_000), "timestamp -1": batch(timestamp=-1),
        "timestamp -5": batch(timestamp=-5), "max timestamp lies": batch(max_timestamp=5),
        "delete horizon": batch(attributes=0x40),
    }.items():
        for version in (3, 9, 11):
            check(case, "Produce", version, produce("p", 1, records, version))
    for case, records in {
        "count 5 of 1": batch(count=5), "count 1 of 2": batch((b"a", b"b"), count=1),
        "gzip of garbage": batch(attributes=1, payload=b"garbage"), "records of garbage": batch(payload=b"garbage"),
        "no payload": batch(payload=b""),
    }.items():
        check(case, "Produce", 9, produce("pl", 0, records))
    check("without key", "Produce", 9, produce("pc", 0, batch()))
    check("with key", "Produce", 9, produce("pc", 0, batch(key=b"k")))
    check("LogAppendTime", "Produce", 9, produce("pt", 0, batch()))
    check("too large", "Produce", 9, produce("pm", 0, batch((b"x" * 300,))))
    check("too old", "Produce", 9, produce("pb", 0, batch((b"a", b"b"))))
    check("too large for all", "Produce", 9, produce("p", 0, batch((b"x" * 1_100_000,))))
    for acks in (2, -2, 7):
        check(f"acks {acks}", "Produce", 9, produce("p", 0, batch(), acks=acks))
    check("acks 1", "Produce", 9, produce("p", 0, batch(), acks=1))
    for side in sides:
        side.connection.send(wire.request("Produce", 9, produce("p", 0, batch(), acks=0)))
    check("after acks 0", "Metadata", 9, {"topics": []}, by_name)
    check("a transactional id", "Produce", 9, produce("p", 0, batch()) | {"transactional_id": "t"})
    twice = produce("p", 0, batch())
    twice["topics"][0]["partitions"] *= 2
    check("nothing", "Produce", 9, twice | {"topics": []})
    check("empty transactional id", "Produce", 9, produce("p", 0, batch()) | {"transactional_id": ""})


def sequences():
    setup(new_topic("s", 2))
    pid = 900_001  # neither broker has given it; Kafka accepts a producer that it has not seen

    def send(case, sequence, epoch=0, count=1, partition=0, producer=pid):
        check(case, "Produce", 9, produce("s", partition, batch([b"v"] * count, producer=(producer, epoch, sequence))))

    send("first", 0)
    send("duplicate", 0)
    for sequence in range(1, 8):
        send(f"sequence {sequence}", sequence)
    send("duplicate of the last", 7)
    send("duplicate of the fifth last", 3)
    send("duplicate beyond the fifth", 2)
    send("first again", 0)
    send("a gap", 20)
    send("a duplicate with another count", 7, count=2)
    send("old epoch, none before", 0, epoch=0, partition=1)
    send("new epoch, not from 0", 3, epoch=1)
    send("new epoch", 0, epoch=1)
    send("old epoch", 8, epoch=0)
    send("new epoch goes on", 1, epoch=1)
    send("unknown producer, not from 0", 5, producer=900_002)
    send("and a gap then", 9, producer=900_002)
    send("sequence wraps", 2**31 - 1, producer=900_003)
    send("after the wrap", 0, producer=900_003)
    send("negative epoch", 0, epoch=-1, producer=900_004)


def fetches():
    setup(new_topic("f", 2))
    for n in range(3):
        check("fill", "Produce", 9, produce("f", 0, batch([b"%d" % n] * 3, timestamp=1_000 * (n + 1))))
    for version in range(4, 18):
        def ask(offset, partition=0, topic="f", version=version, **options):
            def values(side):
                if version < 13:
                    name = topic
                else:
                    name = side.id(topic) if topic == "f" else uuid.UUID(int=99)
                request = fetch(name, partition, offset, version, **options)
                return {key: value for key, value in request.items()
                        if any(field[0] == key and field[2] <= version <= field[3] for field in wire.REQUEST[1])} | {
                            "topics": [trim(topic_, version) for topic_ in request["topics"]]}
            return values
        for case, values in {
            "from 0": ask(0), "inside a batch": ask(4), "at the end": ask(9), "beyond": ask(10), "negative": ask(-1),
            "unknown partition": ask(0, 9), "unknown topic": ask(0, topic="nobody"),
            "max_bytes 0": ask(0, max_bytes=0), "partition_max_bytes 0": ask(0, partition_max_bytes=0),
            "max_bytes 1": ask(0, max_bytes=1), "negative max_bytes": ask(0, max_bytes=-1),
            "min_bytes 0": ask(9, min_bytes=0), "read committed": ask(0, isolation=1),
            "isolation 2": ask(0, isolation=2), "isolation -1": ask(0, isolation=-1),
            "negative wait": ask(9, max_wait_ms=-1),
        }.items():
            check(case, "Fetch", version, values, settle_records)
        if version >= 9:
            for epoch in (0, 1, 99, -2):
                check(f"leader epoch {epoch}", "Fetch", version, ask(0, epoch=epoch), settle_records)
        if version >= 12:
            for case, last in (("ahead", 99), ("the same", 0)):
                def diverging(side, ask=ask, last=last):
                    values = ask(3)(side)
                    values["topics"][0]["partitions"][0]["last_fetched_epoch"] = last
                    return values
                check(f"last fetched epoch {case}", "Fetch", version, diverging, settle_records)
    for version in (7, 12, 13, 17):
        sessions(version)


def trim(topic, version):
    fields = dict((field[0], field) for field in wire.REQUEST[1])["topics"][1]
    partition_fields = dict((field[0], field) for field in fields)["partitions"][1]
    known = {field[0] for field in partition_fields if field[2] <= version <= field[3]}
    return topic | {"partitions": [{key: value for key, value in partition.items() if key in known}
                                   for partition in topic["partitions"]]}


def sessions(version):
    def named(side, name="f"):
        return side.id(name) if version >= 13 else name

    def ask(case, epoch, offset=None, partition=0, session=None, forgotten=None, topic="f", wait=0):
        def values(side):
            number = side.known.get("session", 0) if session is None else session
            request = fetch(named(side, topic), partition, offset or 0, version, session=(number, epoch),
                            max_wait_ms=wait)
            topics = [] if offset is None else [trim(request["topics"][0], version)]
            if forgotten is not None:
                key = "topic_id" if version >= 13 else "topic"
                request["forgotten"] = [{key: named(side), "partitions": forgotten}]
            if version < 11:
                request.pop("rack_id")
            return request | {"topics": topics}

        answers = check(f"session: {case}", "Fetch", version, values, settle_records)
        for side, answer in zip(sides, answers):
            if answer.get("session_id"):
                side.known["session"] = answer["session_id"]

    ask("made", 0, 0, session=0)
    ask("goes on, unchanged but for records", 1)
    ask("moved to the end", 2, 9)
    ask("nothing new", 3)
    ask("wrong epoch", 3)
    ask("wrong epoch ahead", 44)
    ask("unknown session", 1, 0, session=12345)
    ask("another partition", 4, 0, partition=1)
    ask("out of range", 5, 77)
    ask("the error again", 6)
    ask("an unknown partition", 7, 0, partition=9)
    ask("the unknown partition again", 8)
    ask("forgotten", 9, forgotten=[9, 0])
    ask("all forgotten", 10, forgotten=[1])
    ask("gone then", 11)
    ask("a full one again", 0, 0, session=0)
    ask("ended", -1, 0)
    ask("after its end", 1)
    ask("empty and new", 0, session=0)
    ask("epoch without a session", 5, 0, session=0)
    ask("final without a session", -1, 0, session=0)


def offsets():
    setup(new_topic("o", 2))
    for n in range(3):
        check("fill", "Produce", 9, produce("o", 0, batch([b"%d" % n] * 3, timestamp=1_000 * (n + 1))))
    for version in range(1, 11):
        def ask(timestamp, partition=0, topic="o", **options):
            values = list_offsets(topic, partition, timestamp, **options)
            if version < 4:
                del values["topics"][0]["partitions"][0]["current_leader_epoch"]
            if version < 2:
                del values["isolation_level"]
            if version < 10:
                del values["timeout_ms"]
            return values
        for timestamp in (-1, -2, -3, -4, -5, -6, -7, -100, 0, 1, 1_000, 1_001, 2_000, 3_000, 3_001, 2**62):
            check(f"timestamp {timestamp}", "ListOffsets", version, ask(timestamp))
            if timestamp in (-1, -2, -3, 0):
                check(f"empty, timestamp {timestamp}", "ListOffsets", version, ask(timestamp, 1))
        check("unknown partition", "ListOffsets", version, ask(-1, 9))
        check("unknown topic", "ListOffsets", version, ask(-1, topic="nobody"))
        check("read committed", "ListOffsets", version, ask(-1, isolation=1) if version >= 2 else ask(-1))
        if version >= 2:
            check("isolation 2", "ListOffsets", version, ask(-1, isolation=2))
        if version >= 4:
            for epoch in (0, 1, 99, -2):
                check(f"leader epoch {epoch}", "ListOffsets", version, ask(-1, epoch=epoch))
        twice = ask(-1)
        twice["topics"][0]["partitions"] *= 2
        check("twice", "ListOffsets", version, twice)
        check("a replica asks", "ListOffsets", version, ask(-1, replica=5))


def coordinators():
    # Kafka has nobody coordinate until the topic of it is there, which the first to ask has it make.
    for side in sides:
        while side.ask("FindCoordinator", 0, {"key": "x"})["error_code"]:
            time.sleep(0.02)
    for version in range(7):
        ask = (lambda key, kind=0: {"key": key} if version == 0 else
               {"key": key, "key_type": kind} if version < 4 else {"key_type": kind, "coordinator_keys": [key]})
        check("empty key", "FindCoordinator", version, ask(""))
        if version > 0:
            for kind in (2, 3, -1, 99):
                check(f"key type {kind}", "FindCoordinator", version, ask("x", kind))
    check("no keys", "FindCoordinator", 4, {"key_type": 0, "coordinator_keys": []})


def delete_topics():
    for version in (1, 3, 4, 5, 6):
        def ask(*names):
            return ({"topics": [{"name": name} for name in names]} if version >= 6 else
                    {"topic_names": list(names)}) | {"timeout_ms": 10_000}
        setup(new_topic(f"d{version}"), new_topic(f"e{version}"))
        check("one", "DeleteTopics", version, ask(f"d{version}"), by_name)
        check("again", "DeleteTopics", version, ask(f"d{version}"), by_name)
        check("twice", "DeleteTopics", version, ask(f"e{version}", f"e{version}"), by_name)
        check("nothing", "DeleteTopics", version, ask(), by_name)
        check("empty name", "DeleteTopics", version, ask(""), by_name)
    by_id = lambda *topics: {"topics": list(topics), "timeout_ms": 10_000}
    check("unknown id", "DeleteTopics", 6, by_id({"name": None, "topic_id": uuid.UUID(int=5)}), by_name)
    check("neither", "DeleteTopics", 6, by_id({"name": None}), by_name)
    check("both", "DeleteTopics", 6, lambda side: by_id({"name": "e6", "topic_id": side.id("e6")}), by_name)
    check("name and id of one", "DeleteTopics", 6,
          lambda side: by_id({"name": "e6"}, {"name": None, "topic_id": side.id("e6")}), by_name)
    check("by id", "DeleteTopics", 6, lambda side: by_id({"name": None, "topic_id": side.id("e5")}), by_name)
    check("Cluster metadata", "DeleteTopics", 6, by_id({"name": "__cluster_metadata"}), by_name)


TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)


def resource(kind, name, keys=None):
    return {"resource_type": kind, "resource_name": name, "configuration_keys": keys}


def by_config(answer):
    """Without what KRaft sets for the whole cluster (min.insync.replicas, KIP-966)."""
    for result in answer.get("results") or []:
        result["configs"].sort(key=lambda config: config["name"])
        for config in result["configs"]:
            if result["resource_type"] == TOPIC and config["config_source"] == 3:
                config["config_source"] = 5
                config["synonyms"] = [one for one in config["synonyms"] if one["source"] != 3]
    return answer


def settled(topic):
    """What a topic's own configurations are once both brokers have taken them up: Kafka answers before it does."""
    time.sleep(0.2)
    check("what it became", "DescribeConfigs", 4, {"resources": [resource(TOPIC, topic)]}, lambda answer: {"own": {
        config["name"]: config["value"] for config in by_config(answer)["results"][0]["configs"]
        if config["config_source"] == 1}})


def describe_configs():
    setup(new_topic("dc", 1, 1, configs=[("retention.ms", "1000"), ("cleanup.policy", "compact,delete")]))

    def ask(*resources, version=4, synonyms=True, documentation=False):
        values = {"resources": list(resources), "include_synonyms": synonyms}
        return values | ({"include_documentation": documentation} if version >= 3 else {})

    for version in range(1, 5):
        check("topic", "DescribeConfigs", version, ask(resource(TOPIC, "dc"), version=version), by_config)
        check("topic, no synonyms", "DescribeConfigs", version,
              ask(resource(TOPIC, "dc"), version=version, synonyms=False), by_config)
        check("unknown topic", "DescribeConfigs", version, ask(resource(TOPIC, "nobody"), version=version), by_config)
    check("topic, documentation", "DescribeConfigs", 4,
          ask(resource(TOPIC, "dc", ["retention.ms"]), documentation=True), by_config)
    for keys in ([], ["retention.ms"], ["retention.ms", "nonsense"], ["segment.ms", "segment.ms"]):
        check(f"keys {keys}", "DescribeConfigs", 4, ask(resource(TOPIC, "dc", keys)), by_config)
    for name in ("", ".", "a b", "__cluster_metadata"):
        check(f"name {name!r}", "DescribeConfigs", 4, ask(resource(TOPIC, name)), by_config)
    check("twice", "DescribeConfigs", 4,
          ask(resource(TOPIC, "dc", ["retention.ms"]), resource(TOPIC, "dc", ["segment.ms"])), by_config)
    check("nothing", "DescribeConfigs", 4, ask(), by_config)
    for kind in (0, 1, 3, 99, -1):
        check(f"type {kind}", "DescribeConfigs", 4, ask(resource(TOPIC, "dc"), resource(kind, "dc")), by_config)
    for name in ("1", "01", "+1", " 1", "2", "-1", "x"):
        check(f"broker {name!r}", "DescribeConfigs", 4,
              ask(resource(BROKER, name, ["node.id", "num.partitions", "message.max.bytes", "log.cleanup.policy",
                                          "broker.session.timeout.ms", "producer.id.expiration.ms"])), by_config)
    check("cluster", "DescribeConfigs", 4, ask(resource(BROKER, "")), by_config)
    for name in ("", "2"):
        check(f"logger of {name!r}", "DescribeConfigs", 4, ask(resource(LOGGER, name)), by_config)
    check("no metrics", "DescribeConfigs", 4, ask(resource(METRICS, "")), by_config)
    check("no group", "DescribeConfigs", 4, ask(resource(GROUP, "")), by_config)
    check("metrics", "DescribeConfigs", 4, ask(resource(METRICS, "m")), by_config)
    check("group", "DescribeConfigs", 4, ask(resource(GROUP, "g")), by_config)


def incremental_alter_configs():
    setup(new_topic("ia"), new_topic("ib"))

    def change(*operations, kind=TOPIC, name="ia"):
        return {"resource_type": kind, "resource_name": name, "configs": [
            {"name": key, "config_operation": operation, "value": value} for key, operation, value in operations]}

    def ask(case, *resources, version=1, validate_only=False):
        check(case, "IncrementalAlterConfigs", version, {"resources": list(resources), "validate_only": validate_only})
        settled("ia")

    for version in (0, 1):
        ask("set", change(("retention.ms", SET, "5000")), version=version)
        ask("blanks", change(("retention.ms", SET, " +06000 ")), version=version)
        ask("validate only", change(("retention.ms", SET, "7")), version=version, validate_only=True)
        ask("delete", change(("retention.ms", DELETE, None)), version=version)
        ask("delete again", change(("retention.ms", DELETE, "5")), version=version)
    ask("delete nonsense", change(("nonsense", DELETE, None)))
    for key, value in (("nonsense", "1"), ("retention.ms", "x"), ("retention.ms", ""), ("retention.ms", None),
                       ("cleanup.policy", "keep"), ("cleanup.policy", ""), ("cleanup.policy", "delete,delete"),
                       ("cleanup.policy", "compact, delete"), ("cleanup.policy", "delete,"), ("segment.bytes", "14"),
                       ("min.cleanable.dirty.ratio", "0.50"), ("min.cleanable.dirty.ratio", "1e-5"),
                       ("preallocate", "TRUE"), ("preallocate", "yes"), ("remote.storage.enable", "true"),
                       ("min.insync.replicas", "3"), ("retention.bytes", "-5"), ("max.message.bytes", "1_000"),
                       ("leader.replication.throttled.replicas", "junk"),
                       ("leader.replication.throttled.replicas", "0:1,1:1"),
                       ("leader.replication.throttled.replicas", "*"), ("internal.segment.bytes", "100")):
        ask(f"set {key}={value!r}", change((key, SET, value)))
    ask("a list deleted", change(("cleanup.policy", DELETE, None)))
    for operation, value in ((APPEND, "compact"), (APPEND, "compact,delete"), (SUBTRACT, "delete"), (SUBTRACT, "delete"),
                             (SUBTRACT, "compact"), (APPEND, "delete"), (APPEND, ""), (APPEND, "keep"), (APPEND, None),
                             (APPEND, " compact"), (SUBTRACT, "keep")):
        ask(f"{('append', 'subtract')[operation - APPEND]} {value!r}", change(("cleanup.policy", operation, value)))
    for key in ("retention.ms", "compression.type", "nonsense"):
        ask(f"append to {key}", change((key, APPEND, "1")))
        ask(f"subtract from {key}", change((key, SUBTRACT, "1")))
    ask("lags that conflict", change(("min.compaction.lag.ms", SET, "100"), ("max.compaction.lag.ms", SET, "50")))
    ask("one good, one not", change(("retention.ms", SET, "77"), ("segment.ms", SET, "junk")))
    ask("a key twice", change(("retention.ms", SET, "1"), ("retention.ms", DELETE, None)))
    ask("a topic twice", change(("retention.ms", SET, "1")), change(("segment.ms", SET, "7")))
    ask("two topics", change(("retention.ms", SET, "88")), change(("retention.ms", SET, "x"), name="ib"))
    ask("an unknown topic", change(("retention.ms", SET, "89")), change(("retention.ms", SET, "1"), name="nobody"))
    ask("an unknown topic, validate only", change(("retention.ms", SET, "1"), name="nobody"), validate_only=True)
    ask("no changes", change())
    ask("nothing")
    for operation in (4, -1):
        ask(f"operation {operation}", change(("retention.ms", operation, "1")))
    for name in ("", "a b", "."):
        ask(f"name {name!r}", change(("retention.ms", SET, "1"), name=name))
    for kind in (0, 1, 99, -3):
        ask(f"type {kind}", change(("a", SET, "1"), kind=kind, name="x"))
    for name in ("2", "x"):
        ask(f"broker {name}", change(("log.retention.ms", SET, "1"), kind=BROKER, name=name))
    ask("a broker's id", change(("node.id", SET, "5"), kind=BROKER, name="1"))
    ask("a logger of another", change(("root", SET, "INFO"), kind=LOGGER, name="2"))
    ask("no metrics", change(("interval.ms", SET, "100"), kind=METRICS, name=""))
    ask("no group", change(("a", SET, "1"), kind=GROUP, name=""))


def alter_configs():
    setup(new_topic("la"))

    def change(*configs, kind=TOPIC, name="la"):
        return {"resource_type": kind, "resource_name": name,
                "configs": [{"name": key, "value": value} for key, value in configs]}

    def ask(case, *resources, version=2, validate_only=False):
        check(case, "AlterConfigs", version, {"resources": list(resources), "validate_only": validate_only})
        settled("la")

    for version in range(3):
        ask("two", change(("retention.ms", "5"), ("cleanup.policy", "compact")), version=version)
        ask("another", change(("segment.ms", " 7 ")), version=version)
        ask("validate only", change(("segment.ms", "8")), version=version, validate_only=True)
        ask("none", change(), version=version)
    for key, value in (("nonsense", "1"), ("retention.ms", None), ("retention.ms", "x")):
        ask(f"{key}={value!r}", change((key, value)))
    ask("a key twice", change(("retention.ms", "1"), ("retention.ms", "2")))
    ask("a topic twice", change(("retention.ms", "1")), change(("segment.ms", "2")))
    ask("an unknown topic", change(("retention.ms", "1"), name="nobody"))
    ask("no name", change(("retention.ms", "1"), name=""))
    for kind in (0, LOGGER, 99):
        ask(f"type {kind}", change(("a", "1"), kind=kind, name="1"))
    ask("a broker's id", change(("node.id", "5"), kind=BROKER, name="1"))
    ask("nothing")


def delete_records():
    setup(new_topic("dr", 2), new_topic("drc", 1, 1, configs=[("cleanup.policy", "compact")]),
          new_topic("drb", 1, 1, configs=[("cleanup.policy", "compact,delete")]),
          new_topic("drn", 1, 1, configs=[("cleanup.policy", "")]))
    for topic in ("dr", "drc", "drb", "drn"):
        for n in range(8):
            check("fill", "Produce", 9, produce(topic, 0, batch([b"%d" % n] * 3, key=b"k", timestamp=1_000 * (n + 1))))

    def ask(case, *partitions, version=2, timeout_ms=10_000):
        topics = [{"name": name, "partitions": [{"partition_index": index, "offset": offset}]}
                  for name, index, offset in partitions]
        check(case, "DeleteRecords", version, {"topics": topics, "timeout_ms": timeout_ms}, by_name)
        for timestamp in (-2, -1, 0, 4_000):
            check("what is left", "ListOffsets", 7, {key: value for key, value in list_offsets(
                "dr", 0, timestamp).items() if key != "timeout_ms"})

    for version in range(3):
        ask("within a batch", ("dr", 0, 2 + 3 * version), version=version)
        ask("less", ("dr", 0, 1), version=version)
        ask("beyond", ("dr", 0, 25), version=version)
    check("what is gone", "Fetch", 12, fetch("dr", 0, 7), settle_records)
    check("what begins within a batch", "Fetch", 12, fetch("dr", 0, 8), settle_records)
    for offset in (-2, -100, 2**62):
        ask(f"offset {offset}", ("dr", 0, offset))
    ask("an empty one", ("dr", 1, 0))
    ask("an empty one, the end", ("dr", 1, -1))
    ask("an empty one, beyond", ("dr", 1, 1))
    for index in (9, -1):
        ask(f"partition {index}", ("dr", index, 0))
    for name in ("nobody", "", "a b", "__cluster_metadata"):
        ask(f"topic {name!r}", (name, 0, 0))
    ask("compacted", ("drc", 0, 1))
    ask("compacted, beyond", ("drc", 0, 99))
    ask("compacted and deleted", ("drb", 0, 1))
    ask("neither", ("drn", 0, 1))
    ask("twice", ("dr", 0, 9), ("dr", 0, 10))
    ask("two topics", ("dr", 0, 11), ("drb", 0, 2))
    ask("nothing")
    check("no partitions", "DeleteRecords", 2, {"topics": [{"name": "dr", "partitions": []}], "timeout_ms": 1_000})
    ask("no time", ("dr", 0, 12), timeout_ms=0)
    ask("negative time", ("dr", 0, 13), timeout_ms=-5)
    ask("the end", ("dr", 0, -1))
    check("after the end", "Produce", 9, produce("dr", 0, batch((b"v",), timestamp=99_000)))
    ask("the start", ("dr", 0, 0))


def sorted_results(answer):
    """Of answers whose order is that of a hash table: by name, and their partitions by number."""
    for result in answer.get("results") or []:
        for topic in result.get("topics") or []:
            topic["partitions"].sort(key=lambda one: one["partition_index"])
        if "topics" in result:
            result["topics"].sort(key=lambda topic: topic["name"])
    if isinstance(answer.get("results"), list):
        answer["results"].sort(key=lambda one: (one.get("name") or one.get("topic") or one.get("feature") or "",
                                                str(one.get("partitions"))))
    if isinstance(answer.get("config_resources"), list):
        answer["config_resources"].sort(key=lambda one: (one.get("resource_type", 0), one["resource_name"]))
    return answer


def only(prefix):
    """Without the topics that other parts have made."""
    def settle(answer):
        sorted_results(answer)
        for key, name in (("results", "topic"), ("config_resources", "resource_name")):
            if isinstance(answer.get(key), list):
                answer[key] = [one for one in answer[key] if one.get(name, prefix).startswith(prefix)]
        for result in answer.get("results") or []:
            if "topics" in result:
                result["topics"] = [topic for topic in result["topics"] if topic["name"].startswith(prefix)]
        return answer
    return settle


def create_partitions():
    setup(new_topic("cpa", 2), new_topic("cpb", 1), new_topic("cpc", 1))

    def ask(case, *topics, version=3, validate_only=False, timeout_ms=10_000):
        topics = [{"name": name, "count": count, "assignments": None if brokers is None else
                   [{"broker_ids": ids} for ids in brokers]} for name, count, brokers in topics]
        check(case, "CreatePartitions", version,
              {"topics": topics, "timeout_ms": timeout_ms, "validate_only": validate_only}, sorted_results)
        time.sleep(0.2)
        check("what it became", "Metadata", 12, {"topics": [{"name": "cpa"}, {"name": "cpb"}]}, by_name)

    for version in range(4):
        ask("one more", ("cpb", version + 2, None), version=version)
    for count in (2, 1, 0, -1):
        ask(f"{count} of 2", ("cpa", count, None))
    for name in ("nobody", "", "a b", "__cluster_metadata"):
        ask(f"topic {name!r}", (name, 3, None))
    ask("a topic twice", ("cpa", 3, None), ("cpa", 4, None), ("cpb", 6, None))
    for brokers in ([], [[1], [1]], [[]], [[2]], [[1, 1]], [[1, 2]]):
        ask(f"brokers {brokers}", ("cpa", 3, brokers))
    ask("no increase, and brokers that are not there", ("cpa", 2, [[9]]))
    ask("validate only", ("cpa", 3, [[1]]), validate_only=True)
    ask("brokers", ("cpa", 4, [[1], [1]]))
    for timeout_ms in (0, -1):
        ask(f"time {timeout_ms}", ("cpc", 2, None), timeout_ms=timeout_ms)
    ask("nothing")


def describe_cluster():
    for version in range(3):
        for operations in (False, True):
            values = {"include_cluster_authorized_operations": operations} | ({"endpoint_type": 1} if version else {})
            check(f"operations {operations}", "DescribeCluster", version, values)
    for kind in (0, 2, 3, -1):
        check(f"endpoint {kind}", "DescribeCluster", 2, {"endpoint_type": kind, "include_fenced_brokers": True})


def describe_log_dirs():
    setup(new_topic("lda", 3), new_topic("ldb", 1))
    ask = lambda *topics: {"topics": [{"topic": name, "partitions": list(indexes)} for name, indexes in topics]}
    for version in range(1, 6):
        check("some", "DescribeLogDirs", version, ask(("lda", (0, 2, 9)), ("nobody", (0,))), sorted_results)
        check("all", "DescribeLogDirs", version, {"topics": None}, only("ld"))
    check("twice", "DescribeLogDirs", 5, ask(("lda", (0, 0)), ("lda", (0, 1))), sorted_results)
    check("nothing", "DescribeLogDirs", 5, ask(), sorted_results)
    check("no partitions", "DescribeLogDirs", 5, ask(("lda", ())), sorted_results)
    check("partition -1", "DescribeLogDirs", 5, ask(("lda", (-1,))), sorted_results)


def describe_topic_partitions():
    setup(new_topic("tpa", 5), new_topic("tpb", 3))

    def ask(case, *names, limit=2_000, cursor=None):
        cursor = cursor and {"topic_name": cursor[0], "partition_index": cursor[1]}
        check(case, "DescribeTopicPartitions", 0, {
            "topics": [{"name": name} for name in names], "response_partition_limit": limit, "cursor": cursor})

    ask("two", "tpb", "tpa")
    ask("one twice", "tpb", "tpb")
    for names in (("nobody",), ("a b",), ("x" * 250,), ("nobody", "tpa", "a b")):
        ask(f"names {names}", *names)
    ask("an empty name", "tpa", "")
    for limit in (-1, 0, 1, 3, 4, 5, 6, 8, 9):
        ask(f"limit {limit}", "tpa", "tpb", limit=limit)
    ask("limit, then one that is not there", "tpa", "tpz", limit=5)
    for cursor in (("tpa", 0), ("tpa", 3), ("tpa", 9), ("tpa", -1), ("tpb", 1), ("tpz", 0), ("", 0), ("tpaa", 1)):
        ask(f"cursor {cursor}", "tpa", "tpb", cursor=cursor)
        ask(f"cursor {cursor}, limit", "tpa", "tpb", cursor=cursor, limit=3)
    ask("from a cursor on", cursor=("tpa", 2), limit=5)
    ask("from a cursor before the start of one", cursor=("tpa", -1), limit=5)


def elect_leaders():
    setup(new_topic("ela", 2))
    for version in range(3):
        def ask(kind, *topics, timeout_ms=10_000):
            topics = [{"topic": name, "partitions": list(indexes)} for name, indexes in topics]
            return {"topic_partitions": topics, "timeout_ms": timeout_ms} | ({"election_type": kind} if version else {})
        check("some", "ElectLeaders", version, ask(0, ("ela", (0, 1, 9, -1, 0)), ("nobody", (0,))), sorted_results)
        check("all", "ElectLeaders", version, {"topic_partitions": None, "timeout_ms": 10_000}, only("el"))
        check("nothing", "ElectLeaders", version, ask(0), sorted_results)
        check("no partitions", "ElectLeaders", version, ask(0, ("ela", ())), sorted_results)
        for kind in (1, 2, -1) if version else ():
            check(f"type {kind}", "ElectLeaders", version, ask(kind, ("ela", (0,)), ("nobody", (0,))), sorted_results)
            check(f"type {kind}, all", "ElectLeaders", version,
                  {"election_type": kind, "topic_partitions": None, "timeout_ms": 10_000}, only("el"))
    check("no time", "ElectLeaders", 2, ask(0, ("ela", (0,)), timeout_ms=0), sorted_results)


def update_features():
    for version in range(3):
        def ask(*updates):
            updates = [{"feature": name, "max_version_level": level} | ({"upgrade_type": kind} if version else {})
                       for name, level, kind in updates]
            return {"timeout_ms": 10_000, "feature_updates": updates} | ({"validate_only": True} if version else {})
        check("where it is", "UpdateFeatures", version, ask(("transaction.version", 2, 1)), sorted_results)
        check("two", "UpdateFeatures", version, ask(("transaction.version", 2, 1), ("group.version", 1, 1)), sorted_results)
        for name, level in (("transaction.version", 3), ("transaction.version", -1), ("nothing.version", 1), ("", 1),
                            ("metadata.version", 1), ("metadata.version", 31)):
            check(f"{name} {level}", "UpdateFeatures", version, ask((name, level, 1)), sorted_results)
            check(f"{name} {level} and a good one", "UpdateFeatures", version,
                  ask(("group.version", 1, 1), (name, level, 1)), sorted_results)
        check("nothing", "UpdateFeatures", version, ask(), sorted_results)
    for kind in (0, 4, -1):
        check(f"type {kind}", "UpdateFeatures", 2, ask(("transaction.version", 2, kind)), sorted_results)
    check("transaction.version 1 downward", "UpdateFeatures", 2, ask(("transaction.version", 1, 2)), sorted_results)
    check("kraft.version where it is", "UpdateFeatures", 2, ask(("kraft.version", 1, 1)), sorted_results)


def other_configs():
    """Configurations of what is no topic."""
    def changed(kind, name, keys):
        time.sleep(0.3)
        check("what it became", "DescribeConfigs", 4,
              {"resources": [resource(kind, name, keys)], "include_synonyms": True}, by_config)

    def change(kind, name, case, *operations, api="IncrementalAlterConfigs"):
        configs = [{"name": key, "value": value} | ({"config_operation": operation} if api[0] == "I" else {})
                   for key, operation, value in operations]
        check(case, api, 1, {"resources": [{"resource_type": kind, "resource_name": name, "configs": configs}]})

    session, heartbeat = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
    for key, value in ((session, "50000"), (session, "1"), (session, "100000"), (session, "x"), (heartbeat, "6000"),
                       (heartbeat, "4000"), (heartbeat, "60000"), ("nonsense", "1"), ("share.isolation.level", "x"),
                       ("share.isolation.level", "read_committed"), ("share.auto.offset.reset", "by_duration:PT1H"),
                       ("share.auto.offset.reset", "none"), ("share.record.lock.duration.ms", "1"),
                       ("share.delivery.count.limit", "11"), ("share.renew.acknowledge.enable", "false"),
                       ("streams.num.standby.replicas", "2"), ("streams.num.standby.replicas", "3"),
                       ("consumer.assignment.interval.ms", "-1")):
        change(GROUP, "g", f"group {key}={value}", (key, SET, value))
    changed(GROUP, "g", None)
    change(GROUP, "g", "group append", (session, APPEND, "1"))
    change(GROUP, "g", "group delete", (session, DELETE, None), ("nonsense", DELETE, None))
    change(GROUP, "g", "group replaced", (session, SET, "46000"), api="AlterConfigs")
    changed(GROUP, "g", None)
    for key, value in (("interval.ms", "100"), ("interval.ms", "1"), ("interval.ms", "3600001"), ("interval.ms", "x"),
                       ("metrics", "a.,b."), ("metrics", ""), ("match", "client_id=a.*"), ("match", "client_id=["),
                       ("match", "nonsense=a"), ("match", "client_id"), ("match", ""), ("nonsense", "1")):
        change(METRICS, "m", f"metrics {key}={value}", (key, SET, value))
    changed(METRICS, "m", None)
    change(METRICS, "m", "metrics append", ("metrics", APPEND, "c"))
    for kinds in ([], [GROUP], [METRICS], [LOGGER], [BROKER], [GROUP, METRICS, GROUP], [0], [1], [64], [GROUP, 5]):
        check(f"kinds {kinds}", "ListConfigResources", 1, {"resource_types": kinds},
              sorted_results if kinds and TOPIC not in kinds else lambda answer: {"error_code": answer["error_code"]})
    check("metrics", "ListConfigResources", 0, {}, sorted_results)
    change(METRICS, "m", "metrics delete", ("interval.ms", DELETE, None), ("metrics", DELETE, None), ("match", DELETE, None))
    changed(METRICS, "m", None)
    check("metrics that are gone", "ListConfigResources", 0, {}, sorted_results)
    setup(new_topic("oc", 1))
    keys = ["log.retention.ms", "log.cleanup.policy", "message.max.bytes", "num.io.threads", "my.own", "num.partitions"]
    for name in ("", "1"):
        who = "cluster" if name == "" else "broker"
        for key, operation, value in (
                ("log.retention.ms", SET, "x"), ("log.retention.ms", SET, "0"), ("log.retention.ms", SET, "123456789"),
                ("log.retention.ms", APPEND, "1"), ("log.cleanup.policy", APPEND, "compact"), ("my.own", SET, "3"),
                ("log.cleanup.policy", SUBTRACT, "delete"), ("log.cleanup.policy", SET, "nonsense"),
                ("my.own", APPEND, "4"), ("message.max.bytes", SET, "1000012"), ("num.io.threads", SET, "9"),
                ("num.io.threads", SET, "0"), ("num.partitions", SET, "3"), ("ssl.keystore.location", SET, "/x"),
                ("log.roll.ms", SET, "0"), ("compression.type", SET, "nonsense")):
            case = key if key.startswith("ssl") else f"{key} {operation} {value}"
            change(BROKER, name, f"{who} {case}", (key, operation, value))
        changed(BROKER, name, keys)
        changed(TOPIC, "oc", ["retention.ms", "cleanup.policy", "max.message.bytes", "segment.ms"])
    for name in ("1", ""):
        change(BROKER, name, "delete", *((key, DELETE, None) for key in keys))
    changed(BROKER, "1", keys)
    changed(TOPIC, "oc", ["retention.ms", "cleanup.policy", "max.message.bytes", "segment.ms"])
    change(LOGGER, "1", "a logger that is not there", ("nonsense", SET, "INFO"))
    change(LOGGER, "1", "a logger, append", ("nonsense", APPEND, "INFO"))
    change(LOGGER, "1", "no logger")


def main():
    sides.extend(Side(int(port)) for port in sys.argv[1:3])
    for part in (api_versions, create_topics, metadata, producer_ids, produce_cases, sequences, fetches, offsets,
                 coordinators, describe_configs, incremental_alter_configs, alter_configs, other_configs, delete_records, create_partitions,
                 describe_cluster, describe_log_dirs, describe_topic_partitions, elect_leaders, update_features,
                 delete_topics):
        if len(sys.argv) > 3 and part.__name__ not in sys.argv[3:]:
            continue
        print(part.__name__)
        part()
    stale = set(EXPECTED) - seen if len(sys.argv) == 3 else set()
    for key in sorted(stale):
        print(f"  an expected difference does not show any more: {key}")
    print(f"{cases} requests to both: {len(problems)} unexpected differences, {differences} expected ones, "
          f"{texts} messages in other words")
    if path := os.environ.get("COVERAGE"):
        differential_run.add_coverage(pathlib.Path(path), report.coverage)
    sys.exit(1 if problems or stale else 0)


main()
