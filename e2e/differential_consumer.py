"""Scripts of the consumer group protocol (KIP-848) for the differential test.

Kafka computes assignments in the background, batched by an interval, so how many heartbeats it takes until all have
theirs is not compared: `settle` beats as consumers would until nothing changes, and what it came to is."""
import time

from differential_requests import (NIL, STRANGE, commit, create_topic, fetch_offsets, founded, join, leave, subscription,
                                   sync, beat as classic_beat)
from differential_run import PATIENCE_S, POLL_S, Stuck
from differential_values import Each

# What clients of version 1 draw for themselves: Kafka's own way to write a UUID.
IDS = ("AAAAAAAAAAAAAAAAAAAAAQ", "AAAAAAAAAAAAAAAAAAAAAg", "AAAAAAAAAAAAAAAAAAAAAw")


def beat(group, member, epoch, topics=None, owned=None, rebalance=-1, **more):
    return {"group_id": group, "member_id": member, "member_epoch": epoch, "rebalance_timeout_ms": rebalance,
            "subscribed_topic_names": topics, "topic_partitions": owned} | more


def joining(group, member, topics, rebalance=30_000, epoch=0, **more):
    return beat(group, member, epoch, topics, [], rebalance, **more)


def describe(s, case, group, version=1):
    s.ask(case, "ConsumerGroupDescribe", version, {"group_ids": [group]})


class Member:
    """A consumer on each broker: its id there, its epoch, and the partitions that it owns."""

    def __init__(self, version, group, answers):
        self.version, self.group = version, group
        self.ids = answers["member_id"]
        self.epochs = list(answers["member_epoch"].values)
        self.owned = [(one or {}).get("topic_partitions") for one in answers["assignment"].values]

    def step(self, s, side):
        """One heartbeat of a member on one broker, with what it owns; whether anything has changed."""
        values = beat(self.group, self.ids.values[side], self.epochs[side], owned=self.owned[side] or [])
        kind, one = s.api("ConsumerGroupHeartbeat"), s.sides[side]
        answer = one.receive("settle", kind, self.version, one.send("settle", kind, self.version, values))
        return self.take(side, answer, values)

    def take(self, side, answer, values):
        if answer.get("error_code") != 0:
            raise Stuck(f"{('Levee', 'Kafka')[side]} answers a heartbeat of {values} with {answer}")
        before = (self.epochs[side], self.owned[side])
        self.epochs[side] = answer["member_epoch"]
        if answer["assignment"] is not None:
            self.owned[side] = answer["assignment"]["topic_partitions"]
        return before != (self.epochs[side], self.owned[side])

    def tell(self, s, **more):
        """A heartbeat that changes something. When the change takes effect is each broker's own, so it is not compared."""
        values = beat(self.group, self.ids, self.epoch, **more)
        for side, answer in enumerate(s.exchange("ConsumerGroupHeartbeat", self.version, values)):
            self.take(side, answer, values)

    @property
    def epoch(self):
        return Each(*self.epochs)


def settle(s, case, group, *members, relative=False):
    """Beats on each broker until the group is stable and nothing changes, and compares what it came to.

    `relative` is for changes that brokers notice by themselves, at once or in parts: how many epochs that took is not
    compared, from here to the script's end, but how far the members are behind the group is."""
    s.own_epochs |= relative
    kind = s.api("ConsumerGroupDescribe")
    for side in range(2):
        one, end = s.sides[side], time.monotonic() + PATIENCE_S
        while True:
            changed = [member.step(s, side) for member in members]
            answer = one.receive("settle", kind, 1, one.send("settle", kind, 1, {"group_ids": [group]}))
            told = answer["groups"][0]
            if not any(changed) and told["group_state"] == "Stable" and told["group_epoch"] == told["assignment_epoch"]:
                break
            if time.monotonic() > end:
                raise Stuck(f"{('Levee', 'Kafka')[side]} does not settle for '{case}': {answer}")
            time.sleep(POLL_S)
    answers = s.exchange("ConsumerGroupDescribe", 1, {"group_ids": [group]})
    for told in (answer["groups"][0] for answer in answers if s.own_epochs):
        for one in told["members"]:
            one["member_epoch"] -= told["group_epoch"]
        told["assignment_epoch"], told["group_epoch"] = told["assignment_epoch"] - told["group_epoch"], 0
    s.compare(case, "ConsumerGroupDescribe", 1, {"group_ids": [group]}, answers)


def lifecycle(version):
    """One member, from its joining to its leaving, and what it may not do meanwhile."""
    def script(s):
        group, topic, mine = s.named("g"), create_topic(s, "t", 3), "" if version == 0 else IDS[0]

        def ask(case, values, group=group):
            return s.ask(case, "ConsumerGroupHeartbeat", version, values)
        describe(s, "before it is", group, version)
        ask("unknown group", beat(group, IDS[1], 1))
        ask("unknown group leaves", beat(group, IDS[1], -1))
        one = Member(version, group, ask("joins", joining(group, mine, [topic[0]])))
        s.ask("listed", "ListGroups", 5, {})
        settle(s, "alone", group, one)
        member = one.ids
        for case, epoch in (("ahead", one.epoch.plus(1)), ("far ahead", one.epoch.plus(1000)), ("behind", one.epoch.plus(-1)),
                            ("far behind", one.epoch.plus(-2))):
            ask(f"epoch {case}", beat(group, member, epoch, owned=[]) if epoch.kafka > 0 else beat(group, member, 1000))
        ask("a stranger", beat(group, IDS[2], 1))
        ask("a stranger leaves", beat(group, IDS[2], -1))
        ask("a static stranger leaves", beat(group, IDS[2], -2, instance_id="i"))
        ask("plain", beat(group, member, one.epoch))
        ask("owned", beat(group, member, one.epoch, owned=Each(*one.owned)))
        ask("owned by nobody", beat(group, member, one.epoch, owned=[{"topic_id": STRANGE, "partitions": [0]}]))
        ask("in full", beat(group, member, one.epoch, [topic[0]], Each(*one.owned), 30_000))
        ask("another client's time", beat(group, member, one.epoch, rebalance=10_000))
        ask("a rack", beat(group, member, one.epoch, rack_id="r"))
        settle(s, "the same", group, one)
        settle(s, "a rack", group, one)
        for assignor in ("nonsense", ""):
            ask(f"assignor {assignor!r}", beat(group, member, one.epoch, server_assignor=assignor))
        for assignor in ("uniform", "range"):
            one.tell(s, server_assignor=assignor)
            settle(s, f"assignor {assignor}", group, one)
        one.tell(s, topics=[topic[0], s.named("nobody")])
        settle(s, "an unknown topic", group, one)
        describe(s, "at work", group, version)
        s.ask("as a classic one", "DescribeGroups", 6, {"groups": [group]})
        s.ask("as a classic one", "DescribeGroups", 5, {"groups": [group]})
        s.ask("at work", "DeleteGroups", 2, {"groups_names": [group]})
        s.ask("at work", "JoinGroup", 9, join(group))
        s.ask("at work", "SyncGroup", 5, sync(group, 1, member))
        s.ask("at work", "Heartbeat", 4, classic_beat(group, 1, member))
        s.ask("at work", "LeaveGroup", 5, leave(5, group, (IDS[2], None)))
        s.ask("at work", "OffsetDelete", 0, {"group_id": group, "topics": [
            {"name": name, "partitions": [{"partition_index": 0}]} for name in (topic[0], "nobody")]})
        offsets(s, group, topic, one)
        ask("leaves", beat(group, member, -1))
        ask("left", beat(group, member, one.epoch))
        ask("left, again", beat(group, member, -1))
        describe(s, "empty", group, version)
        s.ask("listed", "ListGroups", 5, {})
        s.ask("empty", "OffsetCommit", 9, commit(9, group, topic, [(0, 1, "")], one.epoch, member))
        s.ask("empty, nobody", "OffsetCommit", 9, commit(9, group, topic, [(0, 2, "")]))
        s.ask("deleted", "DeleteGroups", 2, {"groups_names": [group]})
        describe(s, "deleted", group, version)
    return script


def offsets(s, group, topic, one):
    """Offsets of a member: only with its id and its epoch."""
    for version in s.versions("OffsetCommit"):
        for case, member, epoch in (("its own", one.ids, one.epoch), ("an epoch ahead", one.ids, one.epoch.plus(1)),
                                    ("an epoch behind", one.ids, one.epoch.plus(-1)), ("a stranger", IDS[2], one.epoch),
                                    ("nobody", "", -1), ("no epoch", one.ids, -1), ("no member", "", one.epoch)):
            s.ask(f"member: {case}", "OffsetCommit", version, commit(version, group, topic, [(0, s.step, "")], epoch, member))
    for version in s.versions("OffsetFetch", 9):
        for case, member, epoch in (("its own", one.ids, one.epoch), ("an epoch ahead", one.ids, one.epoch.plus(1)),
                                    ("an epoch behind", one.ids, one.epoch.plus(-1)), ("a stranger", IDS[2], one.epoch),
                                    ("nobody", None, -1), ("no epoch", one.ids, -1), ("no member", "", one.epoch)):
            for topics in ([(topic, [0, 1])], None):
                s.ask(f"member: {case}", "OffsetFetch", version,
                      fetch_offsets(version, group, topics, member=member, epoch=epoch))


def refusals(s):
    """Requests that are refused for what they say, by version."""
    group, topic = s.named("g"), s.named("t")
    for version in s.versions("ConsumerGroupHeartbeat"):
        good = joining(group, IDS[0], [topic])
        for case, change in (
                ("no group", {"group_id": ""}), ("blank group", {"group_id": "  "}), ("no member", {"member_id": ""}),
                ("empty instance", {"instance_id": ""}), ("empty rack", {"rack_id": ""}), ("no time", {"rebalance_timeout_ms": 0}),
                ("negative time", {"rebalance_timeout_ms": -1}), ("no subscription", {"subscribed_topic_names": None}),
                ("no partitions", {"topic_partitions": None}),
                ("partitions of its own", {"topic_partitions": [{"topic_id": STRANGE, "partitions": [0]}]}),
                ("assignor", {"server_assignor": "nonsense"}), ("no assignor", {"server_assignor": ""}),
                ("epoch -3", {"member_epoch": -3}), ("epoch -2 without an instance", {"member_epoch": -2}),
                ("epoch -2 and no member", {"member_epoch": -2, "member_id": "", "instance_id": "i"}),
                ("epoch -1 and no member", {"member_epoch": -1, "member_id": ""}),
                ("a blank member", {"member_id": " "}), ("blank rack", {"rack_id": " "}),
                ("a blank assignor", {"server_assignor": " "})):
            if case == "no member" and version == 0:
                continue
            s.ask(case, "ConsumerGroupHeartbeat", version, good | change)
    for regex in ("[", "(", "*", "a{2,1}", "\\"):
        s.ask(f"regex {regex!r}", "ConsumerGroupHeartbeat", 1, beat(group, IDS[0], 0, None, [], 5_000, subscribed_topic_regex=regex))
    for version in s.versions("ConsumerGroupDescribe"):
        s.ask("many", "ConsumerGroupDescribe", version, {"group_ids": [s.named("x"), s.named("x"), "ä"]})
        s.ask("none", "ConsumerGroupDescribe", version, {"group_ids": []})
        for at in range(10):
            s.ask(f"with operations, {at}", "ConsumerGroupDescribe", version,
                  {"group_ids": [s.named(f"x{one}") for one in range(at)], "include_authorized_operations": at % 2 == 1})
    classic = s.named("classic")
    founded(s, classic, 9, kind="connect")
    for version in (0, 1):
        s.ask("of a classic one", "ConsumerGroupDescribe", version, {"group_ids": [classic, group]})
        s.ask("of another type", "ConsumerGroupHeartbeat", version, joining(classic, IDS[0], [topic]))
        s.ask("of another type, a stranger", "ConsumerGroupHeartbeat", version, beat(classic, IDS[0], 1))


def several(version):
    """Members come and go; partitions move between them, and no partition is at two."""
    def script(s):
        group, topic, other = s.named("g"), create_topic(s, "t", 5), create_topic(s, "u", 2)
        members = []

        def enter(case, topics, **more):
            # Assignors go by members' ids, so these are not drawn by the brokers, whatever the version.
            values = joining(group, IDS[len(members)], topics, **more)
            members.append(Member(version, group, Each(*s.exchange("ConsumerGroupHeartbeat", version, values))))
            settle(s, case, group, *members)
            s.ask(case, "ListGroups", 5, {})
        enter("one", [topic[0]])
        enter("two", [topic[0]])
        enter("a third with another topic", [topic[0], other[0]])
        members[0].tell(s, topics=[other[0]])
        settle(s, "another subscription", group, *members)
        members[1].tell(s, server_assignor="range")
        settle(s, "another assignor", group, *members)
        s.ask("one leaves", "ConsumerGroupHeartbeat", version, beat(group, members[0].ids, -1))
        del members[0]
        settle(s, "of two", group, *members)
        s.until("CreatePartitions", 3, {"topics": [{"name": other[0], "count": 4, "assignments": None}], "timeout_ms": 10_000},
                lambda answer: answer["results"][0]["error_code"] in (0, 37))
        s.until("ConsumerGroupDescribe", 1, {"group_ids": [group]}, lambda answer: any(
            member.step(s, side) for side in range(2) for member in members)
            or answer["groups"][0]["group_epoch"] > members[0].epoch.values[0])
        settle(s, "more partitions", group, *members, relative=True)
        for member in members:
            s.ask("leaves", "ConsumerGroupHeartbeat", version, beat(group, member.ids, -1))
        s.race("delete", [("DeleteGroups", 2, {"groups_names": [group]})] * 3)
    return script


def static_members(version):
    def script(s):
        group, topic = s.named("g"), create_topic(s, "t", 4)
        first, second = ("", "") if version == 0 else IDS[:2]

        def ask(case, values):
            return s.ask(case, "ConsumerGroupHeartbeat", version, values)
        one = Member(version, group, ask("joins", joining(group, first, [topic[0]], instance_id="one")))
        settle(s, "alone", group, one)
        ask("the instance is in use", joining(group, second, [topic[0]], instance_id="one"))
        ask("another's instance", beat(group, IDS[2], one.epoch, instance_id="one"))
        ask("unknown instance", beat(group, one.ids, one.epoch, instance_id="two"))
        ask("another's instance leaves", beat(group, IDS[2], -1, instance_id="one"))
        ask("goes for a while", beat(group, one.ids, -2, instance_id="one"))
        describe(s, "gone for a while", group)
        ask("beats meanwhile", beat(group, one.ids, one.epoch, instance_id="one"))
        again = Member(version, group, ask("comes back", joining(group, second, [topic[0]], instance_id="one")))
        settle(s, "back", group, again)
        ask("the old one", beat(group, one.ids, one.epoch, instance_id="one"))
        ask("leaves for good", beat(group, again.ids, -1, instance_id="one"))
        describe(s, "empty", group)
    return script


def patterns(s):
    """Subscriptions by a regular expression, which the broker resolves after a while."""
    group, topic, other = s.named("g"), create_topic(s, "ta", 2), create_topic(s, "tb", 1)
    wanted = beat(group, IDS[0], 0, None, [], 30_000, subscribed_topic_regex=f"{s.tag}t[ab]")
    one = Member(1, group, s.ask("joins", "ConsumerGroupHeartbeat", 1, wanted))

    def assigned(n):
        return lambda answer: [one.step(s, side) for side in range(2)] and len({
            item["topic_id"] for item in answer["groups"][0]["members"][0]["target_assignment"]["topic_partitions"]}) == n
    s.until("ConsumerGroupDescribe", 1, {"group_ids": [group]}, assigned(2))
    settle(s, "two topics", group, one, relative=True)
    s.ask("a stranger's", "ConsumerGroupHeartbeat", 1, beat(group, IDS[2], 4, subscribed_topic_regex="x"))
    s.ask("a wrong one", "ConsumerGroupHeartbeat", 1, beat(group, IDS[0], one.epoch, subscribed_topic_regex="["))
    one.tell(s, subscribed_topic_regex=f"{s.tag}tb")
    s.until("ConsumerGroupDescribe", 1, {"group_ids": [group]}, assigned(1))
    settle(s, "one topic", group, one)
    s.ask("offsets of it", "OffsetDelete", 0, {"group_id": group, "topics": [
        {"name": name, "partitions": [{"partition_index": 0}]} for name in (topic[0], other[0])]})
    one.tell(s, topics=[topic[0]], subscribed_topic_regex="")
    settle(s, "names again", group, one)
    s.ask("leaves", "ConsumerGroupHeartbeat", 1, beat(group, IDS[0], -1))


def upgrades(s):
    """A group goes over from one protocol to the other: when it is empty, and while consumers are at work."""
    topic = create_topic(s, "t", 3)
    empty = s.named("empty")
    old = founded(s, empty, 9, protocols=(("range", subscription(s, topic[0])),))
    s.ask("commits", "OffsetCommit", 9, commit(9, empty, topic, [(0, 5, "kept")], 1, old))
    s.ask("leaves", "LeaveGroup", 5, leave(5, empty, (old, None)))
    one = Member(1, empty, s.ask("an empty classic one", "ConsumerGroupHeartbeat", 1, joining(empty, IDS[0], [topic[0]])))
    settle(s, "is a consumer group now", empty, one)
    s.ask("its offsets", "OffsetFetch", 8, fetch_offsets(8, empty, None))
    s.ask("leaves", "ConsumerGroupHeartbeat", 1, beat(empty, IDS[0], -1))
    again = s.ask("an empty consumer group", "JoinGroup", 9, join(empty))["member_id"]
    s.ask("an empty consumer group", "JoinGroup", 9, join(empty, again))
    s.ask("is a classic one again", "DescribeGroups", 6, {"groups": [empty]})
    for at, (kind, metadata) in enumerate((("consumer", b""), ("connect", subscription(s, topic[0])))):
        founded(s, s.named(f"h{at}"), 9, protocols=(("range", metadata),), kind=kind)
        s.ask(f"at work, of type {kind}", "ConsumerGroupHeartbeat", 1, joining(s.named(f"h{at}"), IDS[0], [topic[0]]))
        s.ask(f"of type {kind}", "ListGroups", 5, {})


SCRIPTS = ([(f"consumer-{version}", lifecycle(version)) for version in (0, 1)]
           + [(f"consumers-{version}", several(version)) for version in (0, 1)]
           + [(f"consumer-static-{version}", static_members(version)) for version in (0, 1)]
           + [("consumer-refusals", refusals), ("consumer-patterns", patterns), ("consumer-upgrades", upgrades)])
