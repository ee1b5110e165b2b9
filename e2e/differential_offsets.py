"""Scripts of committed offsets and of finding coordinators for the differential test."""
from differential_requests import (INVALID_TOPIC_NAMES, NIL, NO_MEMBER, STRANGE, add_offsets, beat, commit, commit_in, create_topic,
                                   end, enter, fetch_offsets, founded, init, join, leave, members_of, producer_of, settled, sync)
from differential_run import LOADING
from differential_values import Each

NOBODY = ("nobody", Each(STRANGE, STRANGE))
NAMELESS = ("", Each(NIL, NIL))


def find_coordinators(s):
    for version in s.versions("FindCoordinator"):
        def ask(case, *keys, kind=0):
            values = {"key_type": kind} | ({"key": keys[0]} if version < 4 else {"coordinator_keys": list(keys)})
            s.ask(case, "FindCoordinator", version, values, retry=() if kind == 2 else LOADING)
        for kind in (0, 1) if version else (0,):
            for key in ("g", "", "ä", "x" * 300):
                ask(f"type {kind}, {key[:3]!r}", key, kind=kind)
        for kind in (2, 3, -1, 99) if version else ():
            ask(f"type {kind}", s.named("g"), kind=kind)
        if version >= 4:
            ask("many", "a", "b", "", "a")
            ask("none")
            ask("none of transactions", kind=1)


def commits(version):
    """Offsets without a group: who commits them is its own assignor."""
    def script(s):
        group, topic = s.named("g"), create_topic(s, "t", 3)
        fetches = min(version, s.latest("OffsetFetch"))

        def ask(case, partitions, of=topic, group=group, **more):
            s.ask(case, "OffsetCommit", version, commit(version, group, of, partitions, **more))
        ask("the first", [(0, 5, "here"), (1, 6, ""), (2, 7, None)])
        ask("lower", [(0, 3, "back")])
        ask("a negative offset", [(1, -1, "none")])
        ask("an even lower one", [(2, -5, "none")])
        ask("beyond all", [(2, 2**63 - 1, "max")])
        ask("unknown partitions", [(3, 1, ""), (-1, 1, ""), (0, 8, "good")])
        ask("unknown topic", [(0, 1, "")], of=NOBODY)
        ask("no topic", [(0, 1, "")], of=NAMELESS)
        ask("no partitions", [])
        ask("a partition twice", [(0, 1, "first"), (0, 2, "second")])
        ask("metadata at its bound", [(0, 1, "m" * 4096)])
        ask("metadata beyond it", [(0, 1, "m" * 4097), (1, 1, "good")])
        ask("a generation without a group", [(0, 1, "")], generation=1)
        ask("a member without a group", [(0, 1, "")], member=NO_MEMBER)
        ask("generation 0", [(0, 1, "")], generation=0, member="m")
        ask("a generation and a new group", [(0, 1, "")], group=s.named("new"), generation=3, member="m")
        ask("a negative generation", [(0, 9, "-2")], generation=-2)
        if version >= 7:
            ask("an instance without a group", [(0, 1, "")], instance="i")
        if version >= 6:
            values = commit(version, group, topic, [(1, 44, "e")])
            for epoch in (0, 7, -1, -2):
                values["topics"][0]["partitions"][0]["committed_leader_epoch"] = epoch
                s.ask(f"leader epoch {epoch}", "OffsetCommit", version, values)
                s.ask(f"leader epoch {epoch}", "OffsetFetch", fetches, fetch_offsets(fetches, group, [(topic, [1])]))
        for name in INVALID_TOPIC_NAMES if version < 10 else ():
            ask(f"name {name[:4]!r}", [(0, 1, "")], of=(name, NAMELESS[1]))
        s.ask("nothing", "OffsetCommit", version, {"group_id": group, "topics": []})
        twice = commit(version, group, topic, [(0, 21, "a")])
        twice["topics"].append(commit(version, group, topic, [(1, 22, "b")])["topics"][0])
        s.ask("a topic twice", "OffsetCommit", version, twice)
        s.ask("what is kept", "OffsetFetch", fetches, fetch_offsets(fetches, group, [(topic, [0, 1, 2, 3])]))
        if fetches >= 2:
            s.ask("all that is kept", "OffsetFetch", fetches, fetch_offsets(fetches, group, None))
        s.race("commit", [("OffsetCommit", version, commit(version, group, topic, [(0, 77, "x")]))] * 4)
        s.ask("of the race", "OffsetFetch", fetches, fetch_offsets(fetches, group, [(topic, [0])]))
        s.ask("a group of offsets only", "DescribeGroups", 6, {"groups": [group]})
        s.ask("a group of offsets only", "ListGroups", 5, {})
        s.ask("a group of offsets only", "JoinGroup", 9, join(group, NO_MEMBER))
        s.ask("a group of offsets only", "DeleteGroups", 2, {"groups_names": [group]})
        s.ask("after the group", "OffsetFetch", fetches, fetch_offsets(fetches, group, [(topic, [0, 1])]))
    return script


def fetches(version):
    def script(s):
        group, topic, other = s.named("g"), create_topic(s, "t", 3), create_topic(s, "u")
        s.ask("commits", "OffsetCommit", 9, commit(9, group, topic, [(0, 5, "here"), (1, 6, None)]))
        s.ask("commits", "OffsetCommit", 9, commit(9, group, other, [(0, 8, "there")]))

        def ask(case, topics, of=group, **more):
            s.ask(case, "OffsetFetch", version, fetch_offsets(version, of, topics, **more))
        for stable in (False, True) if version >= 7 else (False,):
            ask("some", [(topic, [1, 0])], stable=stable)
            ask("unknown partitions", [(topic, [2, 3, -1])], stable=stable)
            ask("unknown topic", [(NOBODY, [0]), (other, [0])], stable=stable)
            ask("unknown group", [(topic, [0])], of=s.named("nobody"), stable=stable)
            if version >= 2:
                ask("all", None, stable=stable)
                ask("all of an unknown group", None, of=s.named("nobody"), stable=stable)
        ask("no topic", [(NAMELESS, [0])])
        ask("nothing", [])
        ask("no partitions", [(topic, [])])
        ask("a partition twice", [(topic, [0, 0])])
        ask("a topic twice", [(topic, [0]), (topic, [1])])
        for name in INVALID_TOPIC_NAMES if version < 10 else ():
            ask(f"name {name[:4]!r}", [((name, NAMELESS[1]), [0])])
        if version >= 8:
            several = fetch_offsets(version, group, [(topic, [0])])
            for more in (None, []):
                several["groups"].append(fetch_offsets(version, s.named("nobody"), more)["groups"][0])
            several["groups"].append(fetch_offsets(version, group, None)["groups"][0])
            s.ask("several groups", "OffsetFetch", version, several)
            s.ask("no groups", "OffsetFetch", version, {"groups": []})
        if version >= 9:
            one = founded(s, group, 9)
            for member, epoch in ((one, 1), (one, 0), (one, 2), (one, -1), (NO_MEMBER, 1), (NO_MEMBER, -1), ("", 1),
                                  (None, 1), (None, 0)):
                ask(f"member {'known' if member is one else member}, epoch {epoch}", [(topic, [0])], member=member, epoch=epoch)
            s.ask("leaves", "LeaveGroup", 5, leave(5, group, (one, None)))
        s.race("read", [("OffsetFetch", version, fetch_offsets(version, group, [(topic, [0, 1])]))] * 3)
    return script


def of_members(version):
    """Offsets that members of a classic group commit, at every point of a rebalance."""
    def script(s):
        group, topic = s.named("g"), create_topic(s, "t", 2)

        def ask(case, generation, member, instance=None):
            s.ask(case, "OffsetCommit", version, commit(version, group, topic, [(0, s.step, case)], generation, member, instance))
        one = founded(s, group, 9, synced=False)
        ask("completing", 1, one)
        s.ask("syncs", "SyncGroup", 5, sync(group, 1, one, [(one, b"all")]))
        for generation in (1, 0, 2, -1, -2):
            ask(f"generation {generation}", generation, one)
            ask(f"a stranger, generation {generation}", generation, NO_MEMBER)
            ask(f"nobody, generation {generation}", generation, "")
        if version >= 7:
            ask("unknown instance", 1, one, "i")
        enter(s, group, 9, "m2")
        members_of(s, group, 2)
        ask("preparing", 1, one)
        ask("preparing, wrong generation", 2, one)
        s.ask("preparing", "Heartbeat", 4, beat(group, 1, one))
        s.ask("rejoins", "JoinGroup", 9, join(group, one), "m1")
        two = s.receive("m2")["member_id"]
        ask("completing, of two", 2, two)
        s.ask("leave", "LeaveGroup", 5, leave(5, group, (one, None), (two, None)))
        ask("empty, once a member", 2, two)
        ask("empty, nobody", -1, "")
        fetches = min(version, s.latest("OffsetFetch"))
        s.ask("what is kept", "OffsetFetch", fetches, fetch_offsets(fetches, group, [(topic, [0, 1])]))
    return script


def deletes(s):
    """OffsetDelete, of groups in all states."""
    group, topic, other = s.named("g"), create_topic(s, "t", 3), create_topic(s, "u")

    def ask(case, *topics, of=group):
        s.ask(case, "OffsetDelete", 0, {"group_id": of, "topics": [
            {"name": name, "partitions": [{"partition_index": index} for index in indexes]} for name, indexes in topics]})

    def kept():
        s.ask("what is left", "OffsetFetch", 8, fetch_offsets(8, group, None))
    ask("unknown group", (topic[0], [0]))
    ask("unknown group and topic", ("nobody", [0]), of=s.named("nobody"))
    s.ask("commits", "OffsetCommit", 9, commit(9, group, topic, [(0, 5, ""), (1, 6, ""), (2, 7, "")]))
    s.ask("commits", "OffsetCommit", 9, commit(9, group, other, [(0, 5, "")]))
    for case, topics in (("nothing", ()), ("no partitions", ((topic[0], []),)), ("one", ((topic[0], [0]),)),
                         ("again", ((topic[0], [0]),)), ("unknown partitions", ((topic[0], [1, 9, -1]),)),
                         ("unknown topic", (("nobody", [0]), (other[0], [0]))), ("no topic", (("", [0]),)),
                         ("twice", ((topic[0], [2, 2]),)), ("a topic twice", ((topic[0], [2]), (topic[0], [1])))):
        ask(case, *topics)
        kept()
    s.ask("commits", "OffsetCommit", 9, commit(9, group, topic, [(0, 5, ""), (1, 6, ""), (2, 7, "")]))
    for kind in ("consumer", "own"):
        one = founded(s, group, 9, at=kind, protocols=(("range", b""),), kind=kind)
        ask(f"of a {kind} group at work", (topic[0], [0]), (other[0], [0]))
        ask(f"of a {kind} group at work, unknown", ("nobody", [0]))
        s.ask("leaves", "LeaveGroup", 5, leave(5, group, (one, None)))
        ask(f"of an empty {kind} group", (topic[0], [0]), (other[0], [0]))
        kept()
    for name in INVALID_TOPIC_NAMES:
        ask(f"name {name[:4]!r}", (name, [0]))
    for at in range(8):
        s.ask("commits", "OffsetCommit", 9, commit(9, s.named(f"r{at}"), topic, [(0, 5, "")]))
        values = {"group_id": s.named(f"r{at}"), "topics": [{"name": topic[0], "partitions": [{"partition_index": 0}]}]}
        s.race("delete", [("OffsetDelete", 0, values)] * 3)
        s.ask("after the race", "OffsetFetch", 8, fetch_offsets(8, s.named(f"r{at}"), None))


def of_deleted_topics(s):
    """A topic that goes takes the offsets with it; a group of nothing else ends."""
    group, topic = s.named("g"), create_topic(s, "t", 2)
    s.ask("commits", "OffsetCommit", 9, commit(9, group, topic, [(0, 5, ""), (1, 6, "")]))
    s.ask("commits by id", "OffsetCommit", 10, commit(10, group, topic, [(0, 7, "")]))
    s.ask("deletes the topic", "DeleteTopics", 5, {"topic_names": [topic[0]], "timeout_ms": 10_000})
    s.until("OffsetFetch", 8, fetch_offsets(8, group, [(topic, [0])]),
            lambda answer: answer["groups"][0]["topics"][0]["partitions"][0]["committed_offset"] == -1)
    s.ask("after it", "OffsetFetch", 8, fetch_offsets(8, group, [(topic, [0, 1])]))
    s.ask("after it, all", "OffsetFetch", 8, fetch_offsets(8, group, None))
    s.ask("after it, by id", "OffsetFetch", 10, fetch_offsets(10, group, [(topic, [0])]))
    s.ask("after it", "OffsetCommit", 9, commit(9, group, topic, [(0, 5, "")]))
    s.ask("after it, by id", "OffsetCommit", 10, commit(10, group, topic, [(0, 5, "")]))


def nameless(s):
    """The group of the empty name, of which there is but one, so this script has it for itself."""
    topic, mine = create_topic(s, "t", 2), s.named("x")

    def look():
        s.ask("describes it", "DescribeGroups", 6, {"groups": [""]})
        s.ask("describes it", "ConsumerGroupDescribe", 1, {"group_ids": [""]})
        for version in s.versions("OffsetFetch", 1):
            s.ask("reads it", "OffsetFetch", version, fetch_offsets(version, "", [(topic, [0])]))
            if version >= 2:
                s.ask("reads it", "OffsetFetch", version, fetch_offsets(version, "", None))
    look()
    for version in s.versions("OffsetCommit"):
        s.ask("commits", "OffsetCommit", version, commit(version, "", topic, [(0, version, "")]))
        s.ask("commits as a member", "OffsetCommit", version, commit(version, "", topic, [(0, version, "")], 1, "m"))
    look()
    me = producer_of(s.ask("init", "InitProducerId", 4, init(mine)))
    for version in s.versions("AddOffsetsToTxn"):
        s.ask("adds", "AddOffsetsToTxn", version, add_offsets(mine, me, ""))
    for version in s.versions("TxnOffsetCommit"):
        s.ask("commits", "TxnOffsetCommit", version, commit_in(mine, me, "", topic[0], [(1, version, "")]))
    look()
    s.ask("ends", "EndTxn", 4, end(mine, me))
    settled(s, mine)
    for version in s.versions("DeleteGroups"):
        s.ask("deletes", "DeleteGroups", version, {"groups_names": ["", s.named("g")]})
    s.ask("deletes offsets", "OffsetDelete", 0, {"group_id": "", "topics": []})
    look()


SCRIPTS = ([("coordinators", find_coordinators)]
           + [(f"commits-{version}", commits(version)) for version in range(2, 11)]
           + [(f"fetches-{version}", fetches(version)) for version in range(1, 11)]
           + [(f"member-commits-{version}", of_members(version)) for version in range(2, 10)]
           + [("offset-deletes", deletes), ("deleted-topics", of_deleted_topics), ("nameless", nameless)])
