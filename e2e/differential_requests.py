"""Requests of groups, offsets and transactions as the differential test's scripts build them, and steps that many take."""
import struct
import uuid

import wire
from differential_values import Each, each

NIL = uuid.UUID(int=0)
NO_MEMBER = "nobody-00000000-0000-4000-8000-000000000000"
STRANGE = uuid.UUID("12345678-1234-4234-8234-123456789012")
INVALID_TOPIC_NAMES = ("", ".", "..", "a b", "a/b", "x" * 250)


def create_topic(s, name, partitions=1, **configs):
    """Creates a topic on both brokers and waits until they lead its partitions; its name and its two ids.

    Records are old on purpose, so that none looks like the brokers' clocks: retention must not come in between, nor
    new segments, at whose ends Kafka's answers to Fetch end."""
    name, configs = s.named(name), {"retention_ms": "-1", "segment_ms": str(2**63 - 1)} | configs
    s.until("CreateTopics", 7, {"timeout_ms": 10_000, "topics": [
        {"name": name, "num_partitions": partitions, "replication_factor": 1,
         "configs": [{"name": key.replace("_", "."), "value": value} for key, value in configs.items()]}]},
        lambda answer: answer["topics"][0]["error_code"] in (0, 36))
    for index in range(partitions):
        s.until("ListOffsets", 5, list_offsets(name, index), lambda answer: not partition_of(answer)["error_code"])
    return name, topic_id(s, name)


def topic_id(s, name):
    answer = s.until("Metadata", 12, {"topics": [{"name": name}]}, lambda answer: not answer["topics"][0]["error_code"])
    return answer["topics"][0]["topic_id"]


def partition_of(answer):
    return answer["topics"][0]["partitions"][0]


def list_offsets(topic, index=0, timestamp=-1, isolation=0, epoch=-1):
    return {"replica_id": -1, "isolation_level": isolation, "timeout_ms": 10_000, "topics": [{"name": topic, "partitions": [
        {"partition_index": index, "timestamp": timestamp, "current_leader_epoch": epoch}]}]}


def fetch(topic, index=0, offset=0, isolation=0, **more):
    """`topic` is a name, or the id (two of them, as `Each`) for the versions from 13 on."""
    name = {"topic_id": topic} if isinstance(topic, Each) else {"topic": topic}
    return {"max_wait_ms": 0, "min_bytes": 1, "max_bytes": 1 << 24, "isolation_level": isolation, "topics": [
        name | {"partitions": [{"partition": index, "fetch_offset": offset, "partition_max_bytes": 1 << 20} | more]}]}


def produce(topic, records, index=0, transactional=None, acks=-1):
    name = {"topic_id": topic} if isinstance(topic, (Each, uuid.UUID)) else {"name": topic}
    return {"transactional_id": transactional, "acks": acks, "timeout_ms": 10_000,
            "topic_data": [name | {"partition_data": [{"index": index, "records": records}]}]}


# Classic groups

def subscription(s, *topics, version=1):
    """The metadata of a consumer's protocol: version and what it subscribes to."""
    message = s.catalogue["messages"]["ConsumerProtocolSubscription"]
    return struct.pack(">h", version) + message.encode({"topics": list(topics)}, version)


def join(group, member="", protocols=(("range", b"meta"),), session=30_000, rebalance=30_000, instance=None,
         kind="consumer", reason=None):
    return {"group_id": group, "session_timeout_ms": session, "rebalance_timeout_ms": rebalance, "member_id": member,
            "group_instance_id": instance, "protocol_type": kind, "reason": reason,
            "protocols": [{"name": name, "metadata": metadata} for name, metadata in protocols]}


def sync(group, generation, member, assignments=(), instance=None, kind="consumer", name="range"):
    return {"group_id": group, "generation_id": generation, "member_id": member, "group_instance_id": instance,
            "protocol_type": kind, "protocol_name": name,
            "assignments": [{"member_id": one, "assignment": data} for one, data in assignments]}


def beat(group, generation, member, instance=None):
    return {"group_id": group, "generation_id": generation, "member_id": member, "group_instance_id": instance}


def leave(version, group, *members):
    """`members` are (id, instance id)."""
    if version < 3:
        return {"group_id": group, "member_id": members[0][0]}
    return {"group_id": group, "members": [
        {"member_id": member, "group_instance_id": instance, "reason": "it leaves"} for member, instance in members]}


def members_of(s, group, n):
    """Waits until a classic group has n members: a join that is held has been seen then."""
    s.until("DescribeGroups", 5, {"groups": [group]}, lambda answer: len(answer["groups"][0]["members"]) == n)


def state_of(s, group, *states):
    s.until("DescribeGroups", 5, {"groups": [group]}, lambda answer: answer["groups"][0]["group_state"] in states)


def enter(s, group, version, at, **more):
    """A new member asks for its id, where the version has that, and sends its join. Its id is None before version 4."""
    member = ""
    if version >= 4 and not more.get("instance"):
        member = s.ask(f"{at} asks for an id", "JoinGroup", version, join(group, **more), at)["member_id"]
    s.send(f"{at} joins", "JoinGroup", version, join(group, member, **more), at)
    return member


def founded(s, group, version, at="m1", synced=True, **more):
    """A group with one member, which has joined and synced: the member's id."""
    enter(s, group, version, at, **more)
    member = s.receive(at)["member_id"]
    if synced:
        s.ask("syncs", "SyncGroup", min(version, 5), sync(group, 1, member, [(member, b"all")], more.get("instance")), at)
    return member


# Offsets

def commit(version, group, topic, partitions, generation=-1, member="", instance=None):
    """`topic` is (name, ids); partitions are (index, offset, metadata)."""
    name = {"topic_id": topic[1]} if version >= 10 else {"name": topic[0]}
    return {"group_id": group, "generation_id_or_member_epoch": generation, "member_id": member,
            "group_instance_id": instance, "topics": [name | {"partitions": [
                {"partition_index": index, "committed_offset": offset, "committed_metadata": metadata}
                for index, offset, metadata in partitions]}]}


def fetch_offsets(version, group, topics, member=None, epoch=-1, stable=False):
    """`topics` are ((name, ids), indexes), or None for all."""
    def one(topic, indexes):
        name = {"topic_id": topic[1]} if version >= 10 else {"name": topic[0]}
        return name | {"partition_indexes": indexes}
    listed = None if topics is None else [one(topic, indexes) for topic, indexes in topics]
    if version < 8:
        return {"group_id": group, "topics": listed, "require_stable": stable}
    return {"require_stable": stable, "groups": [
        {"group_id": group, "member_id": member, "member_epoch": epoch, "topics": listed}]}


# Transactions

def records(producer, sequence, values=(b"v",), transactional=True, **more):
    """A batch of a producer, (id, epoch), on each broker; `more` as wire.batch, any part of which can lie."""
    attributes = more.pop("attributes", 0x10 if transactional else 0)
    return each(lambda one, epoch: wire.batch(
        values, producer=(one or 0, epoch or 0, sequence), attributes=attributes, **more), *producer)


def producer_of(answers):
    return answers["producer_id"], answers["producer_epoch"]


def settled(s, transactional):
    """Waits until a transaction's markers are written."""
    s.until("DescribeTransactions", 0, {"transactional_ids": [transactional]}, lambda answer: not answer[
        "transaction_states"][0]["transaction_state"].startswith("Prepare"))


def init(transactional, producer=(-1, -1), timeout=60_000):
    return {"transactional_id": transactional, "transaction_timeout_ms": timeout, "producer_id": producer[0],
            "producer_epoch": producer[1]}


def add_partitions(version, transactional, producer, *topics, verify=False):
    """`topics` are (name, indexes)."""
    listed = [{"name": name, "partitions": indexes} for name, indexes in topics]
    if version < 4:
        return {"v3_and_below_transactional_id": transactional, "v3_and_below_producer_id": producer[0],
                "v3_and_below_producer_epoch": producer[1], "v3_and_below_topics": listed}
    return {"transactions": [{"transactional_id": transactional, "producer_id": producer[0],
                              "producer_epoch": producer[1], "verify_only": verify, "topics": listed}]}


def add_offsets(transactional, producer, group):
    return {"transactional_id": transactional, "producer_id": producer[0], "producer_epoch": producer[1],
            "group_id": group}


def end(transactional, producer, committed=True):
    return {"transactional_id": transactional, "producer_id": producer[0], "producer_epoch": producer[1],
            "committed": committed}


def commit_in(transactional, producer, group, topic, partitions, generation=-1, member="", instance=None):
    return {"transactional_id": transactional, "producer_id": producer[0], "producer_epoch": producer[1],
            "group_id": group, "generation_id": generation, "member_id": member, "group_instance_id": instance,
            "topics": [{"name": topic, "partitions": [
                {"partition_index": index, "committed_offset": offset, "committed_metadata": metadata}
                for index, offset, metadata in partitions]}]}
