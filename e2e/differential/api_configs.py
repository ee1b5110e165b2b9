"""Configurations of topics, brokers, groups and subscriptions, for the differential test."""
import time

from by_hand import check, setup, sorted_results
from wire import new_topic

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
        ask(f"operation {operation} and a good one", change(("retention.ms", operation, "1")), change(
            ("retention.ms", SET, "99"), name="ib"), change(("interval.ms", SET, "200"), kind=METRICS, name="o"))
        ask(f"operation {operation} without a value", change(("retention.ms", operation, None)), change(
            ("retention.ms", SET, "97"), name="ib"))
        ask(f"operation {operation} of a broker", change(("log.retention.ms", operation, "1"), kind=BROKER, name="1"), change(
            ("retention.ms", SET, "98"), name="ib"))
        ask(f"operation {operation} of another broker", change(("log.retention.ms", operation, "1"), kind=BROKER, name="2"))
        ask(f"operation {operation} and a broker", change(("retention.ms", operation, "1"), name="nobody"), change(
            ("log.retention.ms", SET, "3600000"), kind=BROKER, name="1"), change(("node.id", SET, "3"), kind=BROKER, name=""))
        ask(f"operation {operation} of a logger", change(("root", operation, "WARN"), kind=LOGGER, name="1"))
        ask(f"operation {operation} of nothing", change(("a", operation, "1"), kind=0, name="x"), change(
            ("retention.ms", SET, "96"), name="ib"))
        ask(f"operation {operation} of a group", change(("consumer.session.timeout.ms", operation, "50000"), kind=GROUP, name="o"))
        ask(f"operation {operation} of an empty name", change(("retention.ms", operation, "1"), name=""))
        settled("ib")
    for name in ("", "a b", "."):
        ask(f"name {name!r}", change(("retention.ms", SET, "1"), name=name))
    for kind in (0, 1, 99, -3):
        ask(f"type {kind}", change(("a", SET, "1"), kind=kind, name="x"))
    for name in ("2", "x"):
        ask(f"broker {name}", change(("log.retention.ms", SET, "1"), kind=BROKER, name=name))
    ask("a broker's id", change(("node.id", SET, "5"), kind=BROKER, name="1"))
    ask("a logger of another", change(("root", SET, "INFO"), kind=LOGGER, name="2"))
    ask("a logger's level", change(("root", SET, "WARN"), kind=LOGGER, name="1"))
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
