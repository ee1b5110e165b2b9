"""Scripts of requests that are wrong as messages, for the differential test: versions and bytes that no client sends."""
from steps import create_topic

APIS = ("FindCoordinator", "JoinGroup", "SyncGroup", "Heartbeat", "LeaveGroup", "OffsetCommit", "OffsetFetch", "OffsetDelete",
        "DescribeGroups", "ListGroups", "DeleteGroups", "ConsumerGroupHeartbeat", "ConsumerGroupDescribe", "InitProducerId",
        "AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "TxnOffsetCommit", "WriteTxnMarkers", "DescribeTransactions",
        "ListTransactions", "DescribeProducers", "OffsetForLeaderEpoch", "CreateTopics", "DeleteTopics", "CreatePartitions",
        "DeleteRecords", "AlterConfigs", "IncrementalAlterConfigs", "ListConfigResources", "DescribeLogDirs",
        "DescribeTopicPartitions", "ElectLeaders", "ListOffsets", "ApiVersions", "DescribeCluster")
# These are not sent when they name nothing: Kafka never answers the first, and the others mean all that there is then.
NOT_EMPTY = {"AddPartitionsToTxn", "ListConfigResources", "DescribeLogDirs", "DescribeTopicPartitions", "ElectLeaders"}
# The first field of these is a string.
BEGIN_WITH_STRING = ("JoinGroup", "SyncGroup", "Heartbeat", "LeaveGroup", "OffsetCommit", "OffsetDelete",
                     "ConsumerGroupHeartbeat", "InitProducerId", "AddOffsetsToTxn", "EndTxn", "TxnOffsetCommit")
STRING_MAX = 32767
# Bodies of so many bytes less one: the shortest of them that could be a request is longer.
SHORT_MAX = 16


def edges(api):
    """Of one API: versions beyond both ends, bodies that are cut off, too long, or full of defaults."""
    def script(s):
        kind = s.api(api)
        for version in (s.latest(api) + 1, s.versions(api)[0] - 1, 99, -1):
            s.ask(f"version {version}", api, version, body=b"")
        for version in s.versions(api):
            full = kind.request_type.encode({}, version)
            if api not in NOT_EMPTY:
                s.ask("all defaults", api, version, body=full)
                s.ask("a byte too many", api, version, body=full + b"\0")
                s.ask("negative lengths", api, version, body=b"\xff" * 40)
            s.ask("a byte too few", api, version, body=full[:-1])
            s.ask("nothing", api, version, body=b"")
            s.ask("lengths that lie", api, version, body=b"\x7f" * 8)
            for length in range(1, SHORT_MAX):
                s.ask("lengths that are short of it", api, version, body=b"\x7f" * length)
            if version in kind.request_type.flexible_versions and api not in NOT_EMPTY:
                s.ask("a tag that nobody knows", api, version, body=full[:-1] + b"\1\x63\2hi")
            if version in kind.request_type.flexible_versions and api in BEGIN_WITH_STRING:
                # In place of the empty string: a length of three bytes, one more than the string's, seven bits each.
                for length in (STRING_MAX, STRING_MAX + 1, 100_000):
                    varint = bytes((length + 1 >> shift & 0x7f) | more for shift, more in ((0, 0x80), (7, 0x80), (14, 0)))
                    s.ask(f"a string of {length}", api, version, body=varint + b"s" * length + full[1:])
    return script


def afterwards(s):
    """Both brokers are well after all that."""
    create_topic(s, "t")
    for api in APIS:
        s.ask(f"after {api}", "ListGroups", 5, {})


SCRIPTS = [(f"edges-{api}", edges(api)) for api in APIS] + [("edges-afterwards", afterwards)]
