"""Requests about topics and their partitions, for the differential test."""
import time
import uuid

from by_hand import by_name, check, setup, sorted_results
from wire import create, new_topic

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
        check(f"validate only, {key}={value!r}", "CreateTopics", 7,
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
    for name in ("m", "nobody", None, "__consumer_offsets"):
        for other in (name and "m", None):
            check(f"{name} and {other}", "Metadata", 12, {"topics": [{"name": name}, {"name": other}]}, by_name)
        check(f"{name} and an id", "Metadata", 12, lambda side, name=name: {"topics": [
            {"name": name}, {"name": None, "topic_id": side.id("m")}]}, by_name)
        check(f"{name} and an unknown id", "Metadata", 12, {"topics": [
            {"name": name}, {"name": None, "topic_id": uuid.UUID(int=99)}]}, by_name)
        check(f"{name} and an id too early", "Metadata", 10, lambda side, name=name: {"topics": [
            {"name": name}, {"name": None, "topic_id": side.id("m")}]}, by_name)
    check("id too early", "Metadata", 10, lambda side: {"topics": [{"name": None, "topic_id": side.id("m")}]}, by_name)
    check("null name too early", "Metadata", 9, {"topics": [{"name": None}]}, by_name)
    for version in (8, 10, 11):
        check("operations", "Metadata", version, one | {"include_topic_authorized_operations": True} | (
            {"include_cluster_authorized_operations": True} if version < 11 else {}), by_name)


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
    ask("only an empty name", "")
    for cursor in (("", 0), ("", -1), ("tpa", 0)):
        ask(f"an empty name, cursor {cursor}", "tpb", "", "tpa", cursor=cursor)
    for limit in (-1, 0, 1, 3, 4, 5, 6, 8, 9):
        ask(f"limit {limit}", "tpa", "tpb", limit=limit)
    ask("limit, then one that is not there", "tpa", "tpz", limit=5)
    for cursor in (("tpa", 0), ("tpa", 3), ("tpa", 9), ("tpa", -1), ("tpb", 1), ("tpz", 0), ("", 0), ("tpaa", 1)):
        ask(f"cursor {cursor}", "tpa", "tpb", cursor=cursor)
        ask(f"cursor {cursor}, limit", "tpa", "tpb", cursor=cursor, limit=3)
    ask("from a cursor on", cursor=("tpa", 2), limit=5)
    ask("from a cursor before the start of one", cursor=("tpa", -1), limit=5)


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
