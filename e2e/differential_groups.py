"""Scripts of classic groups for the differential test: joins that wait for each other, static members, time-outs."""
from differential_requests import (NO_MEMBER, beat, commit, enter, founded, join, leave, members_of, state_of,
                                   subscription, sync)


def describe(s, case, group, version=6, operations=False):
    s.ask(case, "DescribeGroups", version, {"groups": [group], "include_authorized_operations": operations})


def lifecycle(version):
    """Two members come and go, all requests in their versions that go with `version` of JoinGroup."""
    syncs, beats, leaves, describes, lists = (min(version, last) for last in (5, 4, 5, 6, 5))

    def script(s):
        group = s.named("g")
        describe(s, "before it is", group, describes)
        s.ask("before it is", "Heartbeat", beats, beat(group, 1, NO_MEMBER))
        s.ask("before it is", "SyncGroup", syncs, sync(group, 1, NO_MEMBER))
        s.ask("before it is", "LeaveGroup", leaves, leave(leaves, group, (NO_MEMBER, None)))
        s.ask("unknown member", "JoinGroup", version, join(group, NO_MEMBER))
        one = founded(s, group, version, synced=False)
        describe(s, "waits for its leader", group, describes)
        s.ask("before the sync", "Heartbeat", beats, beat(group, 1, one))
        s.ask("wrong generation", "SyncGroup", syncs, sync(group, 2, one, [(one, b"a")]))
        s.ask("unknown member", "SyncGroup", syncs, sync(group, 1, NO_MEMBER))
        s.ask("another protocol's name", "SyncGroup", syncs, sync(group, 1, NO_MEMBER, name="sticky"))
        s.ask("leader", "SyncGroup", syncs, sync(group, 1, one, [(one, b"all of it")]))
        s.ask("again", "SyncGroup", syncs, sync(group, 1, one))
        s.ask("stable", "Heartbeat", beats, beat(group, 1, one))
        s.ask("wrong generation", "Heartbeat", beats, beat(group, 2, one))
        s.ask("an earlier generation", "Heartbeat", beats, beat(group, 0, one))
        s.ask("unknown member", "Heartbeat", beats, beat(group, 1, NO_MEMBER))
        s.ask("no member", "Heartbeat", beats, beat(group, 1, ""))
        describe(s, "stable", group, describes)
        describe(s, "stable, with operations", group, describes, operations=describes >= 3)
        s.ask("stable", "ListGroups", lists, {})
        enter(s, group, version, "m2", protocols=(("range", b"two"), ("roundrobin", b"rr")))
        members_of(s, group, 2)
        describe(s, "rebalancing", group, describes)
        s.ask("rebalancing", "Heartbeat", beats, beat(group, 1, one))
        s.ask("rebalancing", "SyncGroup", syncs, sync(group, 1, one))
        s.ask("rebalancing", "ListGroups", lists, {})
        s.still_held("m2")
        s.ask("rejoins", "JoinGroup", version, join(group, one, (("range", b"again"),)), "m1")
        two = s.receive("m2")["member_id"]
        s.send("follower", "SyncGroup", syncs, sync(group, 2, two), "m2")
        s.ask("completing", "Heartbeat", beats, beat(group, 2, two))
        s.ask("completing", "ListGroups", lists, {})
        s.ask("leader", "SyncGroup", syncs, sync(group, 2, one, [(one, b"first"), (two, b"second")]), "m1")
        s.receive("m2")
        describe(s, "of two", group, describes)
        s.ask("follower joins unchanged", "JoinGroup", version,
              join(group, two, (("range", b"two"), ("roundrobin", b"rr"))), "m2")
        s.ask("no such protocol", "JoinGroup", version, join(group, two, (("sticky", b""),)), "m2")
        s.ask("no such protocol of a stranger", "JoinGroup", version, join(group, "", (("sticky", b""),)))
        s.ask("another type", "JoinGroup", version, join(group, "", kind="connect"))
        s.ask("not empty", "DeleteGroups", 2, {"groups_names": [group]})
        s.send("follower joins with something new", "JoinGroup", version, join(group, two, (("range", b"new"),)), "m2")
        state_of(s, group, "PreparingRebalance")
        s.ask("leader leaves", "LeaveGroup", leaves, leave(leaves, group, (one, None)))
        s.receive("m2")
        s.ask("gone", "Heartbeat", beats, beat(group, 2, one))
        s.ask("gone", "LeaveGroup", leaves, leave(leaves, group, (one, None)))
        s.ask("new leader", "SyncGroup", syncs, sync(group, 3, two, [(two, b"everything"), (one, b"nobody's")]), "m2")
        s.ask("two leave", "LeaveGroup", leaves, leave(leaves, group, (two, None), (NO_MEMBER, None), ("", None)))
        describe(s, "empty", group, describes)
        s.ask("empty", "Heartbeat", beats, beat(group, 3, two))
        s.ask("empty", "SyncGroup", syncs, sync(group, 3, two))
        s.ask("empty", "ListGroups", lists, {})
        s.ask("deleted", "DeleteGroups", min(version, 2), {"groups_names": [group]})
        s.ask("deleted again", "DeleteGroups", min(version, 2), {"groups_names": [group, group, s.named("h")]})
        describe(s, "after its end", group, describes)
    return script


def refusals(s):
    """What a join is refused for before any group is looked at, and after."""
    for version in s.versions("JoinGroup"):
        for case, values in (
                ("no group", join("")), ("session too short", join(s.named("g"), session=5_999)),
                ("session too long", join(s.named("g"), session=1_800_001)),
                ("no protocols", join(s.named("g"), protocols=())), ("no type", join(s.named("g"), kind="")),
                ("negative session", join(s.named("g"), session=-1)), ("unknown member", join(s.named("g"), NO_MEMBER)),
                ("unknown member and instance", join(s.named("g"), NO_MEMBER, instance="i")),
                ("empty instance", join(s.named("g"), NO_MEMBER, instance=""))):
            if version >= 5 or not values["group_instance_id"]:
                s.ask(case, "JoinGroup", version, values)
    for api, ask in (("Heartbeat", lambda group: beat(group, 0, "m")), ("SyncGroup", lambda group: sync(group, 0, "m"))):
        for version in s.versions(api):
            s.ask("no group", api, version, ask(""))
            s.ask("unknown group", api, version, ask(s.named("nobody")))
    for version in s.versions("LeaveGroup"):
        s.ask("no group", "LeaveGroup", version, leave(version, "", ("m", None)))
        s.ask("unknown group", "LeaveGroup", version, leave(version, s.named("nobody"), ("m", None)))
    s.ask("nobody leaves", "LeaveGroup", 5, leave(5, s.named("nobody")))
    for version in s.versions("DescribeGroups"):
        s.ask("many", "DescribeGroups", version, {"groups": [s.named("x"), s.named("x"), "ä"]})
        s.ask("none", "DescribeGroups", version, {"groups": []})
    for version in s.versions("DeleteGroups"):
        s.ask("many", "DeleteGroups", version, {"groups_names": [s.named("x"), s.named("y"), "ä"]})
        s.ask("none", "DeleteGroups", version, {"groups_names": []})
        s.ask("twice", "DeleteGroups", version, {"groups_names": [s.named("x"), s.named("x")]})


def protocols(s):
    """Which protocol is taken: the one that all know, by the members' votes."""
    for at, (first, second, both) in enumerate((
            (("a", "b"), ("b", "a"), 9), (("a", "b", "c"), ("c", "b"), 7), (("b", "a"), ("a", "b", "c"), 5))):
        group, given = s.named(f"g{at}"), lambda names: tuple((name, name.encode()) for name in names)
        one = founded(s, group, both, protocols=given(first), kind="own", synced=False)
        enter(s, group, both, "m2", protocols=given(second), kind="own")
        members_of(s, group, 2)
        s.ask("rejoins", "JoinGroup", both, join(group, one, given(first), kind="own"), "m1")
        two = s.receive("m2")["member_id"]
        s.ask("another's type", "SyncGroup", 5, sync(group, 2, one, kind="consumer", name=first[0]))
        s.ask("no type", "SyncGroup", 5, sync(group, 2, one, kind=None, name=None, assignments=[(two, b"2")]))
        s.ask("follower", "SyncGroup", 5, sync(group, 2, two, kind="own", name=None))
        describe(s, "chosen", group)
        s.ask("both leave", "LeaveGroup", 5, leave(5, group, (one, None), (two, None)))
        s.ask("type of an empty one", "JoinGroup", 9, join(group, NO_MEMBER, kind="other"))
        s.ask("another type is taken", "JoinGroup", 9, join(group, "", kind="other"), "m3")


def static_members(version):
    def script(s):
        group, beats, syncs, leaves = s.named("g"), min(version, 4), min(version, 5), min(version, 5)
        one = founded(s, group, version, instance="one")
        s.ask("stable", "Heartbeat", beats, beat(group, 1, one, "one"))
        s.ask("another's instance", "Heartbeat", beats, beat(group, 1, NO_MEMBER, "one"))
        s.ask("unknown instance", "Heartbeat", beats, beat(group, 1, one, "two"))
        s.ask("no instance", "Heartbeat", beats, beat(group, 1, one))
        s.ask("comes again, unchanged", "JoinGroup", version, join(group, instance="one"), "m1b")
        again = s.ask("and again", "JoinGroup", version, join(group, instance="one"), "m1c")["member_id"]
        s.ask("the old one", "Heartbeat", beats, beat(group, 1, one, "one"))
        s.ask("the old one", "SyncGroup", syncs, sync(group, 1, one, instance="one"))
        s.ask("the old one", "JoinGroup", version, join(group, one, instance="one"))
        s.ask("the old one", "OffsetCommit", 9, commit(9, group, (s.named("t"), None), [(0, 1, "")], 1, one, "one"))
        s.ask("the new one", "SyncGroup", syncs, sync(group, 1, again, instance="one"))
        describe(s, "one static", group)
        s.send("with something new", "JoinGroup", version, join(group, again, (("range", b"new"),), instance="one"), "m1")
        newest = s.receive("m1")
        s.ask("syncs", "SyncGroup", syncs, sync(group, newest["generation_id"], again, [(again, b"x")], "one"))
        s.send("another comes", "JoinGroup", version, join(group, instance="two"), "m2")
        members_of(s, group, 2)
        s.ask("rebalancing", "Heartbeat", beats, beat(group, newest["generation_id"], again, "one"))
        s.ask("joins", "JoinGroup", version, join(group, again, (("range", b"new"),), instance="one"), "m1")
        two = s.receive("m2")["member_id"]
        s.ask("fenced one leaves", "LeaveGroup", leaves, leave(leaves, group, (one, "one")))
        s.ask("a stranger leaves", "LeaveGroup", leaves, leave(leaves, group, ("", "nobody")))
        s.ask("an instance leaves", "LeaveGroup", leaves, leave(leaves, group, ("", "one"), (two, "two"), (two, "two")))
        describe(s, "empty", group)
        s.ask("deleted", "DeleteGroups", 2, {"groups_names": [group]})
    return script


def filters(s):
    """ListGroups by state and by type."""
    founded(s, s.named("stable"), 9)
    one = founded(s, s.named("empty"), 9)
    s.ask("leaves", "LeaveGroup", 5, leave(5, s.named("empty"), (one, None)))
    founded(s, s.named("completing"), 9, synced=False)
    s.ask("joins", "ConsumerGroupHeartbeat", 1, {
        "group_id": s.named("new"), "member_id": "AAAAAAAAAAAAAAAAAAAAAA", "member_epoch": 0, "rebalance_timeout_ms": 5_000,
        "subscribed_topic_names": [s.named("t")], "topic_partitions": []})
    for version in s.versions("ListGroups", 4):
        for states in ([], ["Stable"], ["stable"], ["STABLE"], ["Empty", "Stable"], ["CompletingRebalance"], ["Dead"],
                       ["nonsense"], [""], ["preparingrebalance", "Empty"], ["Assigning"], ["Reconciling"]):
            s.ask(f"states {states}", "ListGroups", version, {"states_filter": states})
    for types in (["classic"], ["consumer"], ["Classic"], ["CONSUMER", "classic"], ["share"], ["streams"], ["nonsense"],
                  [""], ["unknown"]):
        s.ask(f"types {types}", "ListGroups", 5, {"types_filter": types})
        s.ask(f"types {types} and a state", "ListGroups", 5, {"types_filter": types, "states_filter": ["Stable"]})


def session_ends(s):
    """A member that is silent for its session's time is gone, static or not; the other is told to rejoin."""
    group = s.named("g")
    one = founded(s, group, 9, session=6_000)
    state_of(s, group, "Empty")
    s.ask("too late", "Heartbeat", 4, beat(group, 1, one))
    s.ask("too late", "JoinGroup", 9, join(group, one))
    describe(s, "emptied", group)
    two = founded(s, s.named("h"), 9, session=6_000, instance="i")
    state_of(s, s.named("h"), "Empty")
    s.ask("too late", "Heartbeat", 4, beat(s.named("h"), 1, two, "i"))


def rebalance_ends(s):
    """Who doesn't rejoin within the rebalance's time is dropped; who never syncs is, too."""
    group = s.named("g")
    one = founded(s, group, 9, rebalance=1_500)
    enter(s, group, 9, "m2", rebalance=1_500)
    two = s.receive("m2")["member_id"]
    s.ask("was dropped", "Heartbeat", 4, beat(group, 2, one))
    describe(s, "of one", group)
    s.ask("syncs", "SyncGroup", 5, sync(group, 2, two, [(two, b"")]))
    lazy = s.named("lazy")
    founded(s, lazy, 9, rebalance=1_500, synced=False)
    state_of(s, lazy, "Empty")
    describe(s, "nobody synced", lazy)


def pending_members(s):
    """An id that was asked for and not used: it counts for nothing but its own requests."""
    group = s.named("g")
    pending = s.ask("asks", "JoinGroup", 9, join(group))["member_id"]
    describe(s, "one is pending", group)
    for version in (0, 4):
        s.ask("pending", "Heartbeat", version, beat(group, 0, pending))
        s.ask("pending", "Heartbeat", version, beat(group, -1, pending))
    s.ask("pending", "SyncGroup", 5, sync(group, 0, pending))
    s.ask("pending", "OffsetCommit", 9, commit(9, group, (s.named("t"), None), [(0, 1, "")], 0, pending))
    s.ask("pending, of another instance", "JoinGroup", 9, join(group, pending, instance="i"))
    s.ask("pending leaves", "LeaveGroup", 5, leave(5, group, (pending, None)))
    s.ask("pending left", "JoinGroup", 9, join(group, pending))
    s.ask("emptied", "DeleteGroups", 2, {"groups_names": [group]})


def together(s):
    """Requests that race: what comes of them is certain, who gets it is not."""
    group = s.named("g")
    first = founded(s, group, 9)
    joining = [s.ask(f"asks {at}", "JoinGroup", 9, join(group), f"m{at}")["member_id"] for at in range(3)]
    for at, one in enumerate(joining):
        s.send(f"joins with two others, {at}", "JoinGroup", 9, join(group, one), f"m{at}")
    members_of(s, group, 4)
    s.ask("lets them in", "JoinGroup", 9, join(group, first))
    for at in range(3):
        s.receive(f"m{at}")
    s.race("unknown", [("Heartbeat", 4, beat(group, 1, NO_MEMBER))] * 3)
    s.race("leave", [("LeaveGroup", 5, leave(5, group, *((one, None) for one in [first, *joining])))] * 2)
    s.race("delete", [("DeleteGroups", 2, {"groups_names": [group]})] * 3)


def metadata(s):
    """What a consumer says of its topics is read by the coordinator. What is cut off is taken; where the number of topics
    lies, Kafka fails within the join and never answers, so that is not sent."""
    for at, data in enumerate((b"", b"\0", b"\0\1\0\0", b"\0\1\0\0\0\0", b"\xff\xff" + bytes(8),
                               b"\0\0\0\0\0\1\0\1t" + b"\xff" * 4 + b"and more",
                               subscription(s, "a", "b", version=0), subscription(s, "ä", version=3))):
        group = s.named(f"g{at}")
        one = s.ask(f"{data[:9]} asks", "JoinGroup", 9, join(group, protocols=(("range", data),)))["member_id"]
        s.ask(f"{data[:9]}", "JoinGroup", 9, join(group, one, (("range", data),)))
        describe(s, f"{data[:9]}", group)
        s.ask(f"{data[:9]} syncs", "SyncGroup", 5, sync(group, 1, one, [(one, data)]))
        describe(s, f"{data[:9]} has synced", group)
        s.ask(f"{data[:9]}", "OffsetDelete", 0, {"group_id": group, "topics": [
            {"name": "a", "partitions": [{"partition_index": 0}]}]})


def subscribed(s):
    """Offsets of topics that a classic consumer subscribes to can't be deleted."""
    s.ask("unknown", "OffsetDelete", 0, {"group_id": s.named("g"), "topics": []})
    group, metadata = s.named("g"), subscription(s, s.named("t"))
    one = founded(s, group, 9, protocols=(("range", metadata),))
    describe(s, "what it subscribes to", group)
    for topic in ("t", "u"):
        s.ask(topic, "OffsetDelete", 0, {"group_id": group, "topics": [
            {"name": s.named(topic), "partitions": [{"partition_index": 0}, {"partition_index": 1}]}]})
    s.ask("leaves", "LeaveGroup", 5, leave(5, group, (one, None)))


SCRIPTS = ([(f"classic-{version}", lifecycle(version)) for version in range(10)]
           + [(f"static-{version}", static_members(version)) for version in range(5, 10)]
           + [("refusals", refusals), ("protocols", protocols), ("filters", filters), ("session-ends", session_ends),
              ("rebalance-ends", rebalance_ends), ("pending", pending_members), ("together", together),
              ("subscribed", subscribed), ("metadata", metadata)])
