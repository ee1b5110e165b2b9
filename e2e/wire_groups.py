"""The group coordinator's messages, for wire.py: importing this teaches wire.request and wire.answer all of them."""

import wire
from wire import f

PARTITIONS = [f("topic_id", "uuid"), f("partitions", ("array", "i32"))]
NAMES = {"OffsetCommit": 8, "JoinGroup": 11, "Heartbeat": 12, "LeaveGroup": 13, "SyncGroup": 14,
         "ConsumerGroupHeartbeat": 68}
FLEXIBLE = {8: 8, 11: 6, 12: 4, 13: 4, 14: 4, 68: 0}
REQUEST = {
    8: [f("group_id", "str"), f("generation_id_or_member_epoch", "i32", 1), f("member_id", "str", 1),
        f("group_instance_id", "str", 7), f("retention_time_ms", "i64", 2, 4),
        f("topics", [f("name", "str", 0, 9), f("topic_id", "uuid", 10), f("partitions", [
            f("partition_index", "i32"), f("committed_offset", "i64"), f("committed_leader_epoch", "i32", 6),
            f("committed_metadata", "str")])])],
    11: [f("group_id", "str"), f("session_timeout_ms", "i32"), f("rebalance_timeout_ms", "i32", 1),
         f("member_id", "str"), f("group_instance_id", "str", 5), f("protocol_type", "str"),
         f("protocols", [f("name", "str"), f("metadata", "bytes")]), f("reason", "str", 8)],
    12: [f("group_id", "str"), f("generation_id", "i32"), f("member_id", "str"), f("group_instance_id", "str", 3)],
    13: [f("group_id", "str"), f("member_id", "str", 0, 2),
         f("members", [f("member_id", "str"), f("group_instance_id", "str"), f("reason", "str", 5)], 3)],
    14: [f("group_id", "str"), f("generation_id", "i32"), f("member_id", "str"), f("group_instance_id", "str", 3),
         f("protocol_type", "str", 5), f("protocol_name", "str", 5),
         f("assignments", [f("member_id", "str"), f("assignment", "bytes")])],
    68: [f("group_id", "str"), f("member_id", "str"), f("member_epoch", "i32"), f("instance_id", "str"),
         f("rack_id", "str"), f("rebalance_timeout_ms", "i32"), f("subscribed_topic_names", ("array", "str")),
         f("subscribed_topic_regex", "str", 1), f("server_assignor", "str"), f("topic_partitions", PARTITIONS)],
}
RESPONSE = {
    8: [f("throttle_time_ms", "i32", 3), f("topics", [
        f("name", "str", 0, 9), f("topic_id", "uuid", 10),
        f("partitions", [f("partition_index", "i32"), f("error_code", "i16")])])],
    11: [f("throttle_time_ms", "i32", 2), f("error_code", "i16"), f("generation_id", "i32"),
         f("protocol_type", "str", 7), f("protocol_name", "str"), f("leader", "str"), f("skip_assignment", "bool", 9),
         f("member_id", "str"),
         f("members", [f("member_id", "str"), f("group_instance_id", "str", 5), f("metadata", "bytes")])],
    12: [f("throttle_time_ms", "i32", 1), f("error_code", "i16")],
    13: [f("throttle_time_ms", "i32", 1), f("error_code", "i16"),
         f("members", [f("member_id", "str"), f("group_instance_id", "str"), f("error_code", "i16")], 3)],
    14: [f("throttle_time_ms", "i32", 1), f("error_code", "i16"), f("protocol_type", "str", 5),
         f("protocol_name", "str", 5), f("assignment", "bytes")],
    68: [f("throttle_time_ms", "i32"), f("error_code", "i16"), f("error_message", "str"), f("member_id", "str"),
         f("member_epoch", "i32"), f("heartbeat_interval_ms", "i32"),
         f("assignment", ("maybe", [f("topic_partitions", PARTITIONS)]))],
}

wire.NAMES.update(NAMES)
wire.FLEXIBLE.update(FLEXIBLE)
wire.REQUEST.update(REQUEST)
wire.RESPONSE.update(RESPONSE)


def committed(group, topic, offsets, member="", epoch=-1):
    """An OffsetCommit of {partition: offset}; without a member it is that of a consumer which assigns by itself."""
    return {"group_id": group, "generation_id_or_member_epoch": epoch, "member_id": member, "group_instance_id": None,
            "topics": [{"name": topic, "partitions": [
                {"partition_index": index, "committed_offset": offset, "committed_leader_epoch": -1,
                 "committed_metadata": ""} for index, offset in offsets.items()]}]}


def joining(group, member, metadata, protocol="range", session_ms=45_000, rebalance_ms=300_000):
    """A consumer's JoinGroup; the member id is empty the first time."""
    return {"group_id": group, "session_timeout_ms": session_ms, "rebalance_timeout_ms": rebalance_ms,
            "member_id": member, "group_instance_id": None, "protocol_type": "consumer",
            "protocols": [{"name": protocol, "metadata": metadata}], "reason": None}


def synced(group, generation, member, assignments=None, protocol="range"):
    """A SyncGroup; the leader's has the {member: bytes} that it has assigned."""
    return {"group_id": group, "generation_id": generation, "member_id": member, "group_instance_id": None,
            "protocol_type": "consumer", "protocol_name": protocol,
            "assignments": [{"member_id": to, "assignment": data} for to, data in (assignments or {}).items()]}


def leaving(group, members):
    """A LeaveGroup of so many members."""
    return {"group_id": group, "members": [
        {"member_id": member, "group_instance_id": None, "reason": None} for member in members]}


def heartbeat(group, generation, member):
    """A classic member's sign of life."""
    return {"group_id": group, "generation_id": generation, "member_id": member, "group_instance_id": None}


def consumer_heartbeat(group, member, epoch, *, topics=None, owned=None, rebalance_ms=-1):
    """A ConsumerGroupHeartbeat; what is None has not changed since the last one. `owned` is {topic id: partitions}."""
    owned = None if owned is None else [{"topic_id": topic, "partitions": at} for topic, at in owned.items()]
    return {"group_id": group, "member_id": member, "member_epoch": epoch, "instance_id": None, "rack_id": None,
            "rebalance_timeout_ms": rebalance_ms, "subscribed_topic_names": topics, "subscribed_topic_regex": None,
            "server_assignor": None, "topic_partitions": owned}
