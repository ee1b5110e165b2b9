"""What brokers tell of themselves and of the cluster, for the differential test."""
import time

import wire
from by_hand import check, differs, only, setup, sides, sorted_results
from wire import new_topic


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
            differs(f"api {api} v{version}", f"closed: Levee {ours}, Kafka {kafkas}")


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
        for time_ms in (0, -1):
            for kind in (0, 7) if version else (0,):
                check(f"time {time_ms}, type {kind}", "ElectLeaders", version,
                      ask(kind, ("ela", (0, 9)), ("nobody", (0,)), timeout_ms=time_ms), sorted_results)
            check(f"time {time_ms}, nothing", "ElectLeaders", version, ask(0, timeout_ms=time_ms), sorted_results)
            check(f"time {time_ms}, all", "ElectLeaders", version, {"topic_partitions": None, "timeout_ms": time_ms}, only("el"))


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
