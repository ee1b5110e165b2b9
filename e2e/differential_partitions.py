"""Scripts of what partitions do with producers, transactions and epochs, for the differential test."""
from differential_requests import (INVALID_TOPIC_NAMES, NIL, STRANGE, add_partitions, create_topic, end, fetch, init, list_offsets,
                                   produce, producer_of, records, settled)
from differential_values import Each

MAX_EPOCH, MAX_SEQUENCE = 32_767, 2**31 - 1


def filled(s, topic):
    """Partition 0 with plain records, a committed, an aborted and an open transaction, in this order."""
    s.ask("plain", "Produce", 9, produce(topic[0], records((-1, -1), -1, (b"1", b"2"), False)))
    for name, committed in (("committed", True), ("aborted", False), ("open", None)):
        mine = s.named(name)
        me = producer_of(s.ask(name, "InitProducerId", 4, init(mine)))
        s.ask(name, "AddPartitionsToTxn", 3, add_partitions(3, mine, me, (topic[0], [0])))
        s.ask(name, "Produce", 9, produce(topic[0], records(me, 0, (b"a", b"b")), 0, mine))
        if committed is not None:
            s.ask(name, "EndTxn", 4, end(mine, me, committed))
            settled(s, mine)
    s.ask("plain again", "Produce", 9, produce(topic[0], records((-1, -1), -1, (b"3",), False, timestamp=1_710_000_000_000)))


def reads(s):
    """Fetch and ListOffsets in every version, at every offset, by both isolation levels."""
    topic = create_topic(s, "t", 2)
    filled(s, topic)
    for version in s.versions("Fetch"):
        of = topic[1] if version >= 13 else topic[0]
        for isolation in (0, 1):
            for offset in (0, 1, 2, 4, 5, 7, 8, 10, 11, 12, -1):
                s.ask(f"offset {offset}, isolation {isolation}", "Fetch", version, fetch(of, 0, offset, isolation))
        s.ask("unknown partition", "Fetch", version, fetch(of, 9, 0, 1))
        s.ask("an empty one", "Fetch", version, fetch(of, 1, 0, 1))
        s.ask("unknown topic", "Fetch", version, fetch(Each(STRANGE, STRANGE) if version >= 13 else "nobody", 0, 0, 1))
        if version >= 9:
            for epoch in (-2, 1, 99):
                s.ask(f"leader epoch {epoch}", "Fetch", version, fetch(of, current_leader_epoch=epoch))
        s.ask("a bound", "Fetch", version, fetch(of, 0, 0, 1, partition_max_bytes=1))
        s.ask("an empty bound", "Fetch", version, fetch(of, 0, 0, 1) | {"max_bytes": 1})
    for version in s.versions("ListOffsets"):
        for isolation in (0, 1):
            for timestamp in (-1, -2, -3, 0, 1_700_000_000_000, 1_700_000_000_001, 1_710_000_000_000, 1_900_000_000_000):
                s.ask(f"{timestamp}, isolation {isolation}", "ListOffsets", version, list_offsets(topic[0], 0, timestamp, isolation))
        s.ask("unknown partition", "ListOffsets", version, list_offsets(topic[0], 9, -1, 1))
    s.ask("commits", "EndTxn", 4, end(s.named("open"), producer_of(s.ask("fence", "InitProducerId", 4, init(s.named("open"))))))


def leader_epochs(s):
    topic = create_topic(s, "t", 2)
    filled(s, topic)
    for version in s.versions("OffsetForLeaderEpoch"):
        def ask(case, name, index, epoch, current=-1, replica=-1):
            s.ask(case, "OffsetForLeaderEpoch", version, {"replica_id": replica, "topics": [{"topic": name, "partitions": [
                {"partition": index, "leader_epoch": epoch, "current_leader_epoch": current}]}]})
        for epoch in (0, 1, 5, -1, -2, 2**31 - 1):
            ask(f"epoch {epoch}", topic[0], 0, epoch)
            ask(f"epoch {epoch} of an empty one", topic[0], 1, epoch)
        for current in (0, 1, 7, -2):
            ask(f"current epoch {current}", topic[0], 0, 0, current)
        for replica in (-2, 0, 1, 5):
            ask(f"replica {replica}", topic[0], 0, 0, replica=replica)
        for index in (9, -1):
            ask(f"partition {index}", topic[0], index, 0)
        for name in ("nobody", *INVALID_TOPIC_NAMES):
            ask(f"topic {name[:4]!r}", name, 0, 0)
        s.ask("nothing", "OffsetForLeaderEpoch", version, {"topics": []})
        s.ask("no partitions", "OffsetForLeaderEpoch", version, {"topics": [{"topic": topic[0], "partitions": []}]})
        s.ask("a partition twice", "OffsetForLeaderEpoch", version, {"topics": [{"topic": topic[0], "partitions": [
            {"partition": 0, "leader_epoch": 0}, {"partition": 0, "leader_epoch": 9}]}]})


def producers(s):
    """DescribeProducers: who is known, and how far each is."""
    topic = create_topic(s, "t", 3)

    def ask(case, name, *indexes):
        s.ask(case, "DescribeProducers", 0, {"topics": [{"name": name, "partition_indexes": list(indexes)}]})
    ask("nobody has produced", topic[0], 0, 1)
    filled(s, topic)
    ask("of transactions", topic[0], 0, 1, 9, -1)
    one = producer_of(s.ask("init", "InitProducerId", 4, init(None)))
    two = producer_of(s.ask("init", "InitProducerId", 4, init(None)))
    for sequence, who in ((0, one), (1, one), (0, two), (2, one)):
        s.ask("produces", "Produce", 9, produce(topic[0], records(who, sequence, transactional=False), 1))
        ask(f"after {sequence}", topic[0], 1, 2)
    s.ask("another epoch", "Produce", 9, produce(topic[0], records((one[0], one[1].plus(1)), 0, transactional=False), 1))
    ask("another epoch", topic[0], 1)
    ask("twice", topic[0], 1, 1)
    for name in ("nobody", *INVALID_TOPIC_NAMES):
        ask(f"topic {name[:4]!r}", name, 0)
        ask(f"topic {name[:4]!r}, no partitions", name)
    s.ask("nothing", "DescribeProducers", 0, {"topics": []})
    s.ask("a topic twice", "DescribeProducers", 0, {"topics": [{"name": topic[0], "partition_indexes": [0]},
                                                              {"name": topic[0], "partition_indexes": [1]}]})
    for name in ("__consumer_offsets", "__transaction_state"):
        s.ask(name, "DescribeProducers", 0, {"topics": [{"name": name, "partition_indexes": [999]}]})


def sequences(version):
    """Batches of idempotent producers with every kind of wrong sequence and epoch."""
    def script(s):
        topic = create_topic(s, "t", 3)
        name = topic[1] if version >= 13 else topic[0]

        def ask(case, who, sequence, values=(b"v",), index=0, **more):
            s.ask(case, "Produce", version, produce(name, records(who, sequence, values, False, **more), index))
        one = producer_of(s.ask("init", "InitProducerId", 4, init(None)))
        ahead, behind = (one[0], one[1].plus(1)), one
        for case, who, sequence in (("begins late", one, 5), ("goes on", one, 6), ("repeats", one, 6), ("repeats the first", one, 5),
                                    ("before all", one, 0), ("a gap", one, 8), ("goes on", one, 7), ("a new epoch late", ahead, 3),
                                    ("a new epoch", ahead, 0), ("repeats in it", ahead, 0), ("the old epoch", behind, 8),
                                    ("the old one repeats", behind, 7), ("a negative epoch", (one[0], -1), 1),
                                    ("a negative sequence", ahead, -1), ("a negative producer", (-1, 0), 0),
                                    ("no producer, a sequence", (-1, -1), 4), ("-2", (-2, -2), -2)):
            ask(case, who, sequence)
        ask("several", ahead, 1, (b"a", b"b", b"c"))
        ask("part of them again", ahead, 2, (b"b", b"c"))
        ask("and one more", ahead, 1, (b"a", b"b", b"c", b"d"))
        for sequence in range(4, 12):
            ask("many", ahead, sequence)
        ask("what is forgotten", ahead, 1, (b"a", b"b", b"c"))
        ask("what is not", ahead, 8)
        ask("to the end", ahead, MAX_SEQUENCE, index=1)
        ask("begins anew", ahead, 0, index=1)
        ask("over the end", ahead, MAX_SEQUENCE - 1, (b"a", b"b", b"c"), index=2)
        ask("after it", ahead, 1, index=2)
        ask("the last epoch", (one[0], MAX_EPOCH), 0)
        ask("the first again", (one[0], 0), 0)
        ask("a control batch", one, 0, attributes=0x20)
        ask("a control batch in a transaction", one, 0, attributes=0x30)
        two = producer_of(s.ask("init", "InitProducerId", 4, init(None)))
        s.race("produce", [("Produce", version, produce(name, records(two, 0, transactional=False)))] * 5)
        s.ask("producers", "DescribeProducers", 0, {"topics": [{"name": topic[0], "partition_indexes": [0, 1, 2]}]})
        for acks in (2, -2):
            s.ask(f"acks {acks}", "Produce", version, produce(name, records(two, 1, transactional=False), acks=acks))
        s.ask("transactional, acks 1", "Produce", version, produce(name, records(two, 1), 0, s.named("x"), acks=1))
        if version == s.latest("Produce"):  # but one script, as Kafka refuses a second while it verifies the first
            s.ask("transactional, an empty id", "Produce", version, produce(name, records(two, 1), 0, ""))
        s.ask("transactional, nobody's", "Produce", version, produce(name, records((-1, -1), -1), 0, s.named("x")))
        s.ask("plain with an id", "Produce", version, produce(name, records(two, 1, transactional=False), 0, s.named("x")))
        s.ask("unknown partition", "Produce", version, produce(name, records(two, 0), 9, s.named("x")))
        s.ask("unknown topic", "Produce", version, produce(STRANGE if version >= 13 else s.named("nobody"), records(two, 0), 0, s.named("x")))
    return script


def markers(s):
    """WriteTxnMarkers, as a coordinator sends it to the partitions' leaders."""
    topic = create_topic(s, "t", 3)
    for version in s.versions("WriteTxnMarkers"):
        mine = s.named(f"x{version}")
        me = producer_of(s.ask("init", "InitProducerId", 4, init(mine, timeout=900_000)))

        def marker(who, *topics, commit=False, coordinator=0, kind=0):
            return {"producer_id": who[0], "producer_epoch": who[1], "transaction_result": commit, "coordinator_epoch": coordinator,
                    "transaction_version": kind, "topics": [{"name": name, "partition_indexes": list(indexes)} for name, *indexes in topics]}

        def ask(case, *all_of):
            s.ask(case, "WriteTxnMarkers", version, {"markers": list(all_of)})
            s.ask(case, "DescribeProducers", 0, {"topics": [{"name": topic[0], "partition_indexes": [0, 1]}]})
            s.ask(case, "ListOffsets", 8, list_offsets(topic[0], 0, isolation=1))
        ask("none")
        ask("no topics", marker(me))
        ask("unknown topic", marker(me, ("nobody", 0)))
        ask("unknown partition", marker(me, (topic[0], 9)))
        ask("an unknown producer", marker((1 << 40, 3), (topic[0], 0)))
        s.ask("adds", "AddPartitionsToTxn", 3, add_partitions(3, mine, me, (topic[0], [0, 1])))
        s.ask("in it", "Produce", 9, produce(topic[0], records(me, 0), 0, mine))
        ask("an epoch behind", marker((me[0], me[1].plus(-1)), (topic[0], 0)))
        ask("two partitions and a stranger", marker(me, (topic[0], 0, 1), ("nobody", 0), coordinator=5))
        ask("again", marker(me, (topic[0], 0), coordinator=5))
        ask("an older coordinator", marker(me, (topic[0], 0), coordinator=4))
        ask("an older coordinator, elsewhere", marker(me, (topic[0], 2), coordinator=4))
        ask("a newer epoch", marker((me[0], me[1].plus(1)), (topic[0], 0), coordinator=6, commit=True))
        ask("two producers", marker(me, (topic[0], 1), coordinator=9), marker((1 << 40, 4), (topic[0], 1), commit=True))
        ask("the same twice", marker(me, (topic[0], 1), coordinator=9), marker(me, (topic[0], 2), coordinator=9))
        for kind in (1, 2, 3, -1) if version >= 2 else ():
            ask(f"of kind {kind}", marker(me, (topic[0], 0), coordinator=10, kind=kind))
            ask(f"of kind {kind}, a newer epoch", marker((me[0], me[1].plus(5 + kind)), (topic[0], 0), coordinator=10, kind=kind))
        for coordinator in (-1, 2**31 - 1):
            ask(f"coordinator {coordinator}", marker(me, (topic[0], 2), coordinator=coordinator))
        ask("a negative producer", marker((-1, 0), (topic[0], 0)))
        ask("a negative epoch", marker((me[0], -1), (topic[0], 0), coordinator=99))
        for name in INVALID_TOPIC_NAMES:
            ask(f"name {name[:4]!r}", marker(me, (name, 0)))
        for index in (0, 1, 2):
            s.ask("all that was written", "Fetch", 12, fetch(topic[0], index))


SCRIPTS = ([("reads", reads), ("leader-epochs", leader_epochs), ("producers", producers), ("markers", markers)]
           + [(f"sequences-{version}", sequences(version)) for version in range(3, 14)])
