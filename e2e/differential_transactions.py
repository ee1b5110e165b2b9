"""Scripts of transactions for the differential test: producers that begin, end, fence each other and err."""
from differential_requests import (NO_MEMBER, add_offsets, add_partitions, commit, commit_in, create_topic, end, fetch,
                                   fetch_offsets, founded, init, leave, list_offsets, produce, producer_of, records,
                                   settled)
from differential_values import Each

UNKNOWN = 1 << 40


def look(s, case, transactional, topic, partitions=2):
    """Everything that shows a transaction: to its tools, and to readers of both isolation levels."""
    settled(s, transactional)
    s.ask(case, "DescribeTransactions", 0, {"transactional_ids": [transactional]})
    s.ask(case, "ListTransactions", 2, {})
    s.ask(case, "DescribeProducers", 0, {"topics": [{"name": topic, "partition_indexes": list(range(partitions))}]})
    for index in range(partitions):
        for isolation in (0, 1):
            s.ask(f"{case}, isolation {isolation}", "ListOffsets", 8, list_offsets(topic, index, isolation=isolation))
            s.ask(f"{case}, isolation {isolation}", "Fetch", 12, fetch(topic, index, isolation=isolation))


def lifecycle(at):
    """Transactions of one generation of clients: the at-th version of each API, or its last."""
    def script(s):
        inits, adds, groups, ends, commits = (min(at, last) for last in (5, 5, 4, 5, 5))
        produces = (3, 5, 7, 8, 9, 11, 12)[at]
        topic, mine, group = create_topic(s, "t", 2), s.named("x"), s.named("g")
        s.ask("unknown", "DescribeTransactions", 0, {"transactional_ids": [mine, "", mine]})
        s.ask("unknown", "EndTxn", ends, end(mine, (UNKNOWN, 0)))
        s.ask("unknown", "AddPartitionsToTxn", adds, add_partitions(adds, mine, (UNKNOWN, 0), (topic[0], [0])))
        s.ask("unknown", "AddOffsetsToTxn", groups, add_offsets(mine, (UNKNOWN, 0), group))
        s.ask("unknown", "TxnOffsetCommit", commits, commit_in(mine, (UNKNOWN, 0), group, topic[0], [(0, 1, "")]))
        me = producer_of(s.ask("first", "InitProducerId", inits, init(mine)))
        look(s, "initialized", mine, topic[0])
        s.ask("before it begins", "EndTxn", ends, end(mine, me, False))
        if ends >= 5:
            me = producer_of(s.ask("first again", "InitProducerId", inits, init(mine)))
        s.ask("not added", "Produce", min(produces, 11), produce(topic[0], records(me, 0), 0, mine))
        for case, who, topics in (("unknown topic", me, [("nobody", [0])]), ("known and unknown", me, [(topic[0], [0]), ("nobody", [0])]),
                                  ("unknown partition", me, [(topic[0], [0, 9])]), ("nothing", me, []), ("both", me, [(topic[0], [0, 1])]),
                                  ("both again", me, [(topic[0], [1, 0])]), ("an epoch ahead", (me[0], me[1].plus(1)), [(topic[0], [0])]),
                                  ("an epoch behind", (me[0], me[1].plus(-1)), [(topic[0], [0])]),
                                  ("another producer", (UNKNOWN, me[1]), [(topic[0], [0])]), ("no name", me, [("", [0])])):
            s.ask(case, "AddPartitionsToTxn", adds, add_partitions(adds, mine, who, *topics))
        for case, who, sequence in (("first", me, 0), ("first again", me, 0), ("a gap", me, 5), ("next", me, 1),
                                    ("an epoch ahead", (me[0], me[1].plus(1)), 0), ("an epoch behind", (me[0], me[1].plus(-1)), 2),
                                    ("another producer", (UNKNOWN, me[1]), 0)):
            s.ask(case, "Produce", produces, produce(topic[0], records(who, sequence), 0, mine))
        s.ask("plain batch", "Produce", produces, produce(topic[0], records(me, 2, transactional=False), 0, mine))
        s.ask("plain batch of nobody", "Produce", produces, produce(topic[0], records((-1, -1), -1, transactional=False), 0))
        s.ask("without its id", "Produce", produces, produce(topic[0], records(me, 2), 0))
        s.ask("another's id", "Produce", produces, produce(topic[0], records(me, 2), 0, s.named("other")))
        s.ask("to the second", "Produce", produces, produce(topic[0], records(me, 0), 1, mine))
        look(s, "open", mine, topic[0])
        for case, who, of in (("offsets", me, group), ("offsets again", me, group),
                              ("an epoch ahead", (me[0], me[1].plus(1)), group), ("another producer", (UNKNOWN, me[1]), group)):
            s.ask(case, "AddOffsetsToTxn", groups, add_offsets(mine, who, of))
        for case, who, name, partitions in (
                ("offsets", me, topic[0], [(0, 5, "in it"), (1, 6, None)]), ("unknown topic", me, "nobody", [(0, 1, "")]),
                ("unknown partition", me, topic[0], [(9, 1, ""), (0, 7, "again")]), ("much metadata", me, topic[0], [(0, 1, "m" * 4097)]),
                ("an epoch behind", (me[0], me[1].plus(-1)), topic[0], [(0, 2, "")]),
                ("an epoch ahead", (me[0], me[1].plus(1)), topic[0], [(0, 2, "")]),
                ("another producer", (UNKNOWN, me[1]), topic[0], [(0, 3, "")])):
            s.ask(case, "TxnOffsetCommit", commits, commit_in(mine, who, group, name, partitions))
        for stable in (False, True):
            s.ask("offsets in it", "OffsetFetch", 8, fetch_offsets(8, group, [(topic, [0, 1])], stable=stable))
            s.ask("all offsets in it", "OffsetFetch", 8, fetch_offsets(8, group, None, stable=stable))
        s.ask("with offsets in it", "DeleteGroups", 2, {"groups_names": [group]})
        s.ask("an epoch ahead", "EndTxn", ends, end(mine, (me[0], me[1].plus(1))))
        s.ask("an epoch behind", "EndTxn", ends, end(mine, (me[0], me[1].plus(-1))))
        s.ask("another producer", "EndTxn", ends, end(mine, (UNKNOWN, me[1])))
        ended = s.ask("commits", "EndTxn", ends, end(mine, me), retry=())
        look(s, "committed", mine, topic[0])
        s.ask("offsets after it", "OffsetFetch", 8, fetch_offsets(8, group, None, stable=True))
        s.ask("commits again", "EndTxn", ends, end(mine, me))
        s.ask("aborts what is committed", "EndTxn", ends, end(mine, me, False))
        me = producer_of(ended) if ends >= 5 else me
        first = 0 if ends >= 5 else 2
        s.ask("the second", "AddPartitionsToTxn", adds, add_partitions(adds, mine, me, (topic[0], [0])))
        s.ask("the second", "Produce", produces, produce(topic[0], records(me, first, (b"a", b"b")), 0, mine))
        s.ask("the second", "AddOffsetsToTxn", groups, add_offsets(mine, me, group))
        s.ask("the second", "TxnOffsetCommit", commits, commit_in(mine, me, group, topic[0], [(0, 50, "aborted")]))
        ended = s.ask("aborts", "EndTxn", ends, end(mine, me, False), retry=())
        look(s, "aborted", mine, topic[0])
        s.ask("offsets after the abort", "OffsetFetch", 8, fetch_offsets(8, group, None, stable=True))
        s.ask("aborts again", "EndTxn", ends, end(mine, me, False))
        s.ask("commits what is aborted", "EndTxn", ends, end(mine, me))
        me = producer_of(ended) if ends >= 5 else me
        s.ask("the third", "AddPartitionsToTxn", adds, add_partitions(adds, mine, me, (topic[0], [1])))
        s.ask("the third", "Produce", produces, produce(topic[0], records(me, 0 if ends >= 5 else 1), 1, mine))
        s.ask("while it is open", "InitProducerId", inits, init(mine), retry=())
        settled(s, mine)
        newer = producer_of(s.ask("fences", "InitProducerId", inits, init(mine)))
        look(s, "fenced", mine, topic[0])
        fenced(s, mine, me, newer, topic, group, (inits, adds, groups, ends, commits, produces))
    return script


def fenced(s, mine, old, newer, topic, group, versions):
    """What a producer is told when another has its transactional id, and that the other can work."""
    inits, adds, groups, ends, commits, produces = versions
    s.ask("fenced", "AddPartitionsToTxn", adds, add_partitions(adds, mine, old, (topic[0], [0])))
    s.ask("fenced", "Produce", produces, produce(topic[0], records(old, 3), 0, mine))
    s.ask("fenced", "AddOffsetsToTxn", groups, add_offsets(mine, old, group))
    s.ask("fenced", "TxnOffsetCommit", commits, commit_in(mine, old, group, topic[0], [(0, 60, "")]))
    s.ask("fenced", "EndTxn", ends, end(mine, old))
    if inits >= 3:
        s.ask("fenced", "InitProducerId", inits, init(mine, old))
    s.ask("newer", "AddPartitionsToTxn", adds, add_partitions(adds, mine, newer, (topic[0], [0])))
    s.ask("newer", "Produce", produces, produce(topic[0], records(newer, 0), 0, mine))
    s.ask("newer", "EndTxn", ends, end(mine, newer))
    look(s, "after all", mine, topic[0])


def inits(version):
    def script(s):
        def ask(case, values):
            return s.ask(case, "InitProducerId", version, values)
        ask("none", init(None))
        ask("none again", init(None))
        ask("an empty id", init(""))
        for timeout in (0, -1, 900_000, 900_001, 1):
            ask(f"time {timeout}", init(s.named(f"t{timeout}"), timeout=timeout))
            ask(f"time {timeout} of none", init(None, timeout=timeout))
        one = producer_of(ask("one", init(s.named("x"))))
        for _ in range(3):
            ask("again", init(s.named("x")))
        if version >= 3:
            newest = (one[0], one[1].plus(3))
            for case, of, who in (("as it is", "x", newest), ("as it was", "x", newest), ("as it was before", "x", one),
                                  ("ahead", "x", (one[0], one[1].plus(9))), ("of another", "x", (UNKNOWN, 0)),
                                  ("unknown", "y", (UNKNOWN, 0)), ("no epoch", "x", (one[0], -1)), ("no producer", "x", (-1, 0)),
                                  ("no epoch, unknown", "z", (5, -1)), ("no producer, unknown", "z", (-1, 5)), ("negative", "x", (-2, -2))):
                ask(case, init(s.named(of), who))
            for who in (one, (UNKNOWN, 0), (-1, 0), (5, -1), (0, 0)):
                ask(f"none but {'one' if who is one else who}", init(None, who))
        s.race("init", [("InitProducerId", version, init(s.named("race")))] * 3)
        ask("after the race", init(s.named("race")))
    return script


def lists(s):
    """Listing and describing transactions, filtered in every way."""
    topic = create_topic(s, "t")
    producers = [producer_of(s.ask("init", "InitProducerId", 4, init(s.named(f"x{at}")))) for at in range(3)]
    for at in (0, 1):
        s.ask("adds", "AddPartitionsToTxn", 3, add_partitions(3, s.named(f"x{at}"), producers[at], (topic[0], [0])))
    s.ask("ends", "EndTxn", 3, end(s.named("x1"), producers[1]))
    settled(s, s.named("x1"))
    for version in s.versions("ListTransactions"):
        for states in ([], ["Ongoing"], ["Empty", "CompleteCommit"], ["ongoing"], ["nonsense", "Ongoing"], [""], ["Dead"],
                       ["PrepareCommit", "PrepareAbort", "CompleteAbort", "PrepareEpochFence"], ["a", "b"]):
            s.ask(f"states {states}", "ListTransactions", version, {"state_filters": states})
        for ids in ([producers[0][0]], [producers[0][0], producers[2][0]], [UNKNOWN], [-1]):
            s.ask("producers", "ListTransactions", version, {"producer_id_filters": ids})
        s.ask("producers and state", "ListTransactions", version,
              {"producer_id_filters": [producers[0][0]], "state_filters": ["Empty"]})
    for duration in (-1, 0, 1 << 40, -2) if s.latest("ListTransactions") >= 1 else ():
        s.ask(f"duration {duration}", "ListTransactions", 1, {"duration_filter": duration})
    for pattern in ("", ".*", f"{s.tag}x[01]", "x0", f"{s.tag}x0", "[", "*", "(?i).*X1", "nonsense"):
        s.ask(f"pattern {pattern}", "ListTransactions", 2, {"transactional_id_pattern": pattern})
    for names in ([], ["x0"], ["x0", "x1", "x2", "nobody"], ["x0", "x0"]):
        s.ask("describes", "DescribeTransactions", 0, {"transactional_ids": [s.named(name) for name in names]})
    s.ask("describes none", "DescribeTransactions", 0, {"transactional_ids": [""]})


def verified(s):
    """AddPartitionsToTxn as brokers send it: several transactions at once, and asking only."""
    topic = create_topic(s, "t", 3)
    mine = [(s.named(name), producer_of(s.ask("init", "InitProducerId", 4, init(s.named(name))))) for name in "xy"]
    for version in s.versions("AddPartitionsToTxn", 4):
        def ask(case, *transactions):
            joined = {"transactions": [one for transaction in transactions for one in transaction["transactions"]]}
            s.ask(case, "AddPartitionsToTxn", version, joined)
        one = [add_partitions(version, name, me, (topic[0], [0])) for name, me in mine]
        # None at all is not sent: Kafka never answers that.
        ask("asks of an empty one", add_partitions(version, *mine[0], (topic[0], [0, 1]), verify=True))
        ask("two", *one)
        for partitions in ([0], [1], [0, 1, 9]):
            ask(f"asks for {partitions}", add_partitions(version, *mine[0], (topic[0], partitions), verify=True))
        ask("asks for an unknown topic", add_partitions(version, *mine[0], ("nobody", [0]), (topic[0], [0]), verify=True))
        ask("asks for another", add_partitions(version, mine[0][0], mine[1][1], (topic[0], [0]), verify=True))
        ask("asks ahead", add_partitions(version, mine[0][0], (mine[0][1][0], mine[0][1][1].plus(1)), (topic[0], [0]), verify=True))
        ask("asks for a stranger", add_partitions(version, s.named("z"), (UNKNOWN, 0), (topic[0], [0]), verify=True), one[0])
        ask("empty ids", add_partitions(version, "", mine[0][1], (topic[0], [0])))
        ask("the same twice", one[0], add_partitions(version, *mine[0], (topic[0], [1])))
        for name, me in mine:
            s.ask("ends", "EndTxn", 4, end(name, me))
            settled(s, name)


def of_members(s):
    """Offsets in a transaction, checked against the group's members."""
    topic, group, mine = create_topic(s, "t", 2), s.named("g"), s.named("x")
    one = founded(s, group, 9)
    for version in s.versions("TxnOffsetCommit"):
        me = producer_of(s.ask("init", "InitProducerId", 4, init(mine)))
        s.ask("adds", "AddOffsetsToTxn", 3, add_offsets(mine, me, group))
        for case, generation, member, instance in (
                ("nobody", -1, "", None), ("a member", 1, one, None), ("wrong generation", 2, one, None), ("no generation", -1, one, None),
                ("a stranger", 1, NO_MEMBER, None), ("no member", 1, "", None), ("unknown instance", 1, one, "i"),
                ("a stranger, no generation", -1, NO_MEMBER, None)):
            values = commit_in(mine, me, group, topic[0], [(0, s.step, case)], generation, member, instance)
            s.ask(case, "TxnOffsetCommit", version, values)
        s.ask("unstable", "OffsetFetch", 7, fetch_offsets(7, group, [(topic, [0, 1])], stable=True))
        s.ask("beside it", "OffsetCommit", 9, commit(9, group, topic, [(1, s.step, "beside")], 1, one))
        s.ask("deletes beside it", "OffsetDelete", 0, {"group_id": group, "topics": [
            {"name": topic[0], "partitions": [{"partition_index": 0}]}]})
        s.ask("ends", "EndTxn", 4, end(mine, me, version % 2 == 0))
        settled(s, mine)
        s.ask("stable", "OffsetFetch", 7, fetch_offsets(7, group, [(topic, [0, 1])], stable=True))
    s.ask("leaves", "LeaveGroup", 5, leave(5, group, (one, None)))
    me = producer_of(s.ask("init", "InitProducerId", 4, init(mine)))
    s.ask("to a new group, not added", "TxnOffsetCommit", 4, commit_in(mine, me, s.named("h"), topic[0], [(0, 1, "")]))
    s.ask("to a new group, added by it", "TxnOffsetCommit", 5, commit_in(mine, me, s.named("h"), topic[0], [(0, 2, "")]))
    s.ask("with pending offsets", "DeleteGroups", 2, {"groups_names": [s.named("h")]})
    s.ask("with pending offsets", "DescribeGroups", 6, {"groups": [s.named("h")]})
    s.ask("with pending offsets", "ListGroups", 5, {})
    s.ask("ends", "EndTxn", 4, end(mine, me))
    settled(s, mine)
    s.ask("stable", "OffsetFetch", 8, fetch_offsets(8, s.named("h"), None, stable=True))


def second_kind(s):
    """Transactions of the second kind (KIP-890): partitions are added by producing, each end gives a new epoch."""
    topic, mine, group = create_topic(s, "t", 2), s.named("x"), s.named("g")
    me = producer_of(s.ask("init", "InitProducerId", 5, init(mine)))
    for version in s.versions("Produce", 12):
        name = topic[1] if version >= 13 else topic[0]
        for committed in (True, False, True):
            s.ask("adds by producing", "Produce", version, produce(name, records(me, 0), 0, mine))
            s.ask("next", "Produce", version, produce(name, records(me, 1), 0, mine))
            s.ask("a gap", "Produce", version, produce(name, records(me, 7), 0, mine))
            s.ask("ahead", "Produce", version, produce(name, records((me[0], me[1].plus(1)), 0), 1, mine))
            s.ask("behind", "Produce", version, produce(name, records((me[0], me[1].plus(-1)), 0), 1, mine))
            s.ask("adds by committing", "TxnOffsetCommit", 5, commit_in(mine, me, group, topic[0], [(0, s.step, "")]))
            look(s, "open", mine, topic[0])
            ended = s.ask("ends", "EndTxn", 5, end(mine, me, committed), retry=())
            settled(s, mine)
            s.ask("ends again", "EndTxn", 5, end(mine, me, committed))
            s.ask("ends otherwise", "EndTxn", 5, end(mine, me, not committed))
            old, me = me, producer_of(ended)
            s.ask("with the old epoch", "Produce", version, produce(name, records(old, 2), 0, mine))
            s.ask("with the old epoch, as before KIP-890", "EndTxn", 4, end(mine, old, committed))
            look(s, "ended", mine, topic[0])
    for committed in (True, False):
        me = producer_of(s.ask("ends nothing", "EndTxn", 5, end(mine, me, committed)))
        settled(s, mine)
    look(s, "of nothing", mine, topic[0])


def expires(s):
    """A transaction that nobody ends is aborted, and its producer fenced."""
    topic, mine = create_topic(s, "t", 2), s.named("x")
    me = producer_of(s.ask("init", "InitProducerId", 4, init(mine, timeout=1_000)))
    s.ask("adds", "AddPartitionsToTxn", 3, add_partitions(3, mine, me, (topic[0], [0])))
    s.ask("in it", "Produce", 9, produce(topic[0], records(me, 0), 0, mine))
    s.until("DescribeTransactions", 0, {"transactional_ids": [mine]},
            lambda answer: answer["transaction_states"][0]["transaction_state"] == "CompleteAbort")
    look(s, "expired", mine, topic[0])
    s.ask("too late", "EndTxn", 4, end(mine, me))
    s.ask("too late", "Produce", 9, produce(topic[0], records(me, 1), 0, mine))
    s.ask("too late", "AddPartitionsToTxn", 3, add_partitions(3, mine, me, (topic[0], [1])))
    s.ask("anew", "InitProducerId", 4, init(mine, me))


SCRIPTS = ([(f"transaction-{at}", lifecycle(at)) for at in range(7)]
           + [(f"producer-ids-{version}", inits(version)) for version in range(6)]
           + [("transaction-lists", lists), ("transaction-verified", verified), ("transaction-members", of_members),
              ("transaction-second", second_kind), ("transaction-expires", expires)])
