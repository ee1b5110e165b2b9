"""Seeded random scripts for the differential test: members, producers and errors in orders that nobody thought of.

What a script may do next depends on what Apache Kafka has answered, so that a request that is held is known as such."""
from differential_consumer import IDS, Member, beat as consumer_beat, describe, joining, settle
from differential_requests import (NO_MEMBER, add_offsets, add_partitions, beat, commit, commit_in, create_topic, end, fetch,
                                   fetch_offsets, init, join, leave, list_offsets, members_of, produce, producer_of,
                                   records, settled, sync)
from differential_values import Each

ROUNDS, NOISE, TRANSACTION_STEPS, CONSUMER_ROUNDS = 6, 5, 150, 6


class Classic:
    """A classic group in a random walk: who is in it, and in which generation."""

    def __init__(self, s, name, topic):
        self.s, self.random, self.group, self.topic = s, s.random, s.named(name), topic
        self.members, self.gone, self.generation, self.drawn, self.leader = [], [NO_MEMBER, ""], 0, 0, None
        self.protocol = None

    def version(self, api, first=0):
        return self.random.choice(self.s.versions(api, first))

    def protocols(self):
        return tuple((name, self.random.choice((b"", b"a", b"bcd"))) for name in ("range", "sticky")[:self.random.randint(1, 2)])

    def noise(self, completing=False):
        """Requests that are answered at once, right ones and wrong ones."""
        for _ in range(self.random.randint(1, NOISE)):
            member = self.random.choice(self.gone + [one["id"] for one in self.members] * 2)
            generation = self.random.choice((self.generation, self.generation, self.generation + 1, self.generation - 1, -1, 0))
            instance = self.random.choice((None, None, None, "i1", "nobody", *(one["instance"] for one in self.members)))
            self.random.choice((self.heartbeat, self.synced_again, self.committed, self.fetched, self.described, self.deleted,
                                self.refused, self.left_by_nobody))(member, generation, instance, completing)

    def heartbeat(self, member, generation, instance, _):
        version = self.version("Heartbeat")
        self.s.ask("random", "Heartbeat", version, beat(self.group, generation, member, instance if version >= 3 else None))

    def synced_again(self, member, generation, instance, completing):
        version = self.version("SyncGroup")
        if completing and generation == self.generation:
            generation += 7  # a right one would be held
        self.s.ask("random", "SyncGroup", version, sync(self.group, generation, member, (), instance if version >= 3 else None,
                                                        name=self.random.choice((None, "range", "sticky"))))

    def committed(self, member, generation, instance, _):
        version = self.version("OffsetCommit", 2)
        partitions = [(self.random.choice((0, 1, 1, 5)), self.random.randint(-2, 99), self.random.choice((None, "", "m")))]
        self.s.ask("random", "OffsetCommit", version, commit(version, self.group, self.topic, partitions, generation, member,
                                                             instance if version >= 7 else None))

    def fetched(self, member, generation, *_):
        version = self.version("OffsetFetch", 1)
        topics = self.random.choice(([(self.topic, [0, 1, 5])], None if version >= 2 else []))
        self.s.ask("random", "OffsetFetch", version, fetch_offsets(version, self.group, topics, member, generation))

    def described(self, *_):
        self.s.ask("random", "DescribeGroups", self.version("DescribeGroups"), {"groups": [self.group]})
        self.s.ask("random", "ListGroups", self.version("ListGroups"), {})

    def deleted(self, *_):
        if self.members:
            self.s.ask("random", "DeleteGroups", self.version("DeleteGroups"), {"groups_names": [self.group]})
        self.s.ask("random", "OffsetDelete", 0, {"group_id": self.group, "topics": [
            {"name": self.topic[0], "partitions": [{"partition_index": self.random.choice((0, 1, 9))}]}]})

    def refused(self, *_):
        version = self.version("JoinGroup")
        values = self.random.choice((join(self.group, session=1), join("", NO_MEMBER), join(self.group, NO_MEMBER),
                                     join(self.group, kind=""), join(self.group, protocols=())))
        self.s.ask("random", "JoinGroup", version, values)

    def left_by_nobody(self, _, __, instance, ___):
        version = self.version("LeaveGroup", 3)
        known = instance in [one["instance"] for one in self.members if one["instance"]]
        self.s.ask("random", "LeaveGroup", version, leave(version, self.group, (NO_MEMBER, None if known else instance)))

    def enter(self):
        """A new member, whose join is held (or answered, when it is the first)."""
        s, version, self.drawn = self.s, self.version("JoinGroup"), self.drawn + 1
        instance = f"i{self.drawn}" if version >= 5 and self.random.random() < 0.3 else None
        one = {"at": f"{self.group}{self.drawn}", "instance": instance, "id": "", "version": version, "protocols": (
            *self.protocols(),)}
        if version >= 4 and not instance:
            one["id"] = s.ask("asks", "JoinGroup", version, self.joining(one), one["at"])["member_id"]
        s.send("joins", "JoinGroup", version, self.joining(one), one["at"])
        self.members.append(one)
        members_of(s, self.group, len(self.members))

    def joining(self, one):
        return join(self.group, one["id"], one["protocols"], instance=one["instance"])

    def receive(self, one):
        answer = self.s.receive(one["at"])
        one["id"] = answer["member_id"]
        if answer.kafka.get("error_code") == 0:
            self.generation, self.protocol = answer.kafka["generation_id"], answer.kafka["protocol_name"]
            if answer.kafka["leader"] == answer.kafka["member_id"]:
                self.leader = one

    def leave(self, one):
        version = self.version("LeaveGroup", 3 if one["instance"] else 0)
        self.members.remove(one)
        self.gone.append(one["id"])
        self.s.ask("leaves", "LeaveGroup", version, leave(version, self.group, (one["id"], one["instance"])))

    def synchronize(self):
        followers = [one for one in self.members if one is not self.leader]
        self.random.shuffle(followers)
        data = [(one["id"], str(at).encode()) for at, one in enumerate(self.members) if self.random.random() < 0.9]
        for one in followers:
            version = self.version("SyncGroup", 3)
            self.s.send("follower", "SyncGroup", version, sync(self.group, self.generation, one["id"], (), one["instance"],
                                                              name=self.protocol), one["at"])
        version = self.version("SyncGroup", 3)
        self.s.ask("leader", "SyncGroup", version, sync(self.group, self.generation, self.leader["id"], data,
                                                        self.leader["instance"], name=self.protocol), self.leader["at"])
        for one in followers:
            self.s.receive(one["at"])

    def round(self):
        old = list(self.members)
        if not old:
            self.enter()
            self.receive(self.members[0])
        else:
            for _ in range(self.random.randint(1, 2)):
                self.enter()
            self.noise()
            for one in old:
                # Which member leads after a leader that left is up to the order of Kafka's hash map.
                if one is not self.leader and self.random.random() < 0.25:
                    self.leave(one)
            waiting = [one for one in self.members if one in old]
            self.random.shuffle(waiting)
            for one in waiting:
                self.s.send("rejoins", "JoinGroup", one["version"], self.joining(one), one["at"])
            for one in self.members:
                self.receive(one)
        self.noise(completing=True)
        self.synchronize()
        self.noise()
        for one in list(self.members):
            if len(self.members) > 3 and one is not self.leader and not one["instance"]:
                self.empty()
                break

    def empty(self):
        """Nobody stays: all leave at once, so there is no rebalance."""
        version = self.version("LeaveGroup", 3)
        self.gone += [one["id"] for one in self.members]
        self.s.ask("all leave", "LeaveGroup", version, leave(version, self.group, *((one["id"], one["instance"]) for one in self.members)))
        self.members = []
        self.noise()


def groups(s):
    topic = create_topic(s, "t", 2)
    walks = [Classic(s, name, topic) for name in "ab"]
    for _ in range(ROUNDS):
        s.random.choice(walks).round()
    for walk in walks:
        walk.empty()
        walk.described()


class Producers:
    """Transactional ids with all the producers that ever had them, in a random walk."""

    def __init__(self, s):
        self.s, self.random = s, s.random
        self.topics = [create_topic(s, name, 2) for name in "tu"]
        self.group, self.known, self.sequences = s.named("g"), {}, {}
        for name in "xyz":
            self.init(s.named(name))

    def version(self, api, first=0):
        return self.random.choice(self.s.versions(api, first))

    def pick(self):
        """A transactional id, and a producer that is its newest more often than not."""
        mine = self.random.choice(sorted(self.known))
        of = self.known[mine]
        me = of[-1] if self.random.random() < 0.8 else self.random.choice(of)
        if self.random.random() < 0.1:
            me = (me[0], me[1].plus(self.random.choice((1, -1))))
        return (mine if self.random.random() < 0.95 else self.s.named("w")), me

    def init(self, mine=None):
        mine, me = (mine, (-1, -1)) if mine else self.pick()
        version = self.version("InitProducerId")
        if version < 3 or self.random.random() < 0.5:
            me = (-1, -1)
        answer = self.s.ask("random", "InitProducerId", version, init(mine, me, timeout=900_000))
        self.renew(mine, answer)

    def renew(self, mine, answer):
        kafka = answer.kafka
        if kafka.get("error_code") == 0 and kafka.get("producer_id", -1) >= 0:
            self.known.setdefault(mine, []).append(producer_of(answer))

    def add(self):
        (mine, me), version, topic = self.pick(), self.version("AddPartitionsToTxn"), self.random.choice(self.topics)
        named = [(topic[0], self.random.choice(([0], [1], [0, 1], [0, 7])))]
        self.s.ask("random", "AddPartitionsToTxn", version, add_partitions(version, mine, me, *named))

    def produce(self):
        (mine, me), version, topic = self.pick(), self.version("Produce", 3), self.random.choice(self.topics)
        index, values = self.random.choice((0, 1)), (b"v",) * self.random.randint(1, 3)
        key = (me[0].kafka, me[1].kafka, topic[0], index)
        sequence = max(0, self.sequences.get(key, 0) + self.random.choice((0, 0, 0, 0, 0, 1, -1, -2)))
        plain = self.random.random() < 0.05
        batch = records(me, sequence, values, not plain)
        answer = self.s.ask("random", "Produce", version, produce(topic[1] if version >= 13 else topic[0], batch, index, mine))
        if answer["responses"][0]["partition_responses"][0]["error_code"].kafka == 0:
            self.sequences[key] = max(self.sequences.get(key, 0), sequence + len(values))

    def offsets(self):
        mine, me = self.pick()
        self.s.ask("random", "AddOffsetsToTxn", self.version("AddOffsetsToTxn"), add_offsets(mine, me, self.group))

    def commit(self):
        (mine, me), topic = self.pick(), self.random.choice(self.topics)
        self.s.ask("random", "TxnOffsetCommit", self.version("TxnOffsetCommit"), commit_in(
            mine, me, self.group, topic[0], [(self.random.choice((0, 1, 5)), self.random.randint(0, 99), "r")]))

    def end(self):
        (mine, me), version = self.pick(), self.version("EndTxn")
        answer = self.s.ask("random", "EndTxn", version, end(mine, me, self.random.random() < 0.6))
        if mine in self.known:
            settled(self.s, mine)
            self.renew(mine, answer)

    def look(self):
        topic, index, isolation = self.random.choice(self.topics), self.random.choice((0, 1)), self.random.choice((0, 1))
        s, version = self.s, self.version("Fetch")
        for mine in sorted(self.known):
            settled(s, mine)
        s.ask("random", "DescribeTransactions", 0, {"transactional_ids": sorted(self.known)})
        s.ask("random", "ListTransactions", self.version("ListTransactions"), {})
        s.ask("random", "DescribeProducers", 0, {"topics": [{"name": topic[0], "partition_indexes": [0, 1]}]})
        s.ask("random", "ListOffsets", 8, list_offsets(topic[0], index, -1, isolation))
        s.ask("random", "Fetch", version, fetch(topic[1] if version >= 13 else topic[0], index, self.random.randint(0, 5), isolation))
        for stable in (False, True):
            s.ask("random", "OffsetFetch", 8, fetch_offsets(8, self.group, None, stable=stable))


def transactions(s):
    walk = Producers(s)
    steps = [walk.produce] * 5 + [walk.add] * 3 + [walk.end] * 2 + [walk.init, walk.offsets, walk.commit, walk.look]
    for _ in range(TRANSACTION_STEPS):
        s.random.choice(steps)()
    walk.look()


def consumers(s):
    """A consumer group (KIP-848) whose members and subscriptions change, settled after each change.

    All of one topic: with several it depends on the topics' ids, which are drawn, who has which partition."""
    topic, group, members, drawn = create_topic(s, "t", 5), s.named("g"), [], 0
    for _ in range(CONSUMER_ROUNDS):
        chance = s.random.random()
        names = [topic[0]] + s.random.choice(([], [s.named("nobody")], [s.named("nobody else")]))
        if not members or (chance < 0.5 and len(members) < 4):
            drawn += 1
            version, mine = s.random.choice((0, 1)), IDS[0][:-2] + f"{drawn:02d}"
            values = joining(group, mine, names)
            members.append(Member(version, group, Each(*s.exchange("ConsumerGroupHeartbeat", version, values))))
        elif chance < 0.75:
            s.random.choice(members).tell(s, topics=names, server_assignor=s.random.choice((None, "range", "uniform")))
        else:
            one = members.pop(s.random.randrange(len(members)))
            s.ask("leaves", "ConsumerGroupHeartbeat", one.version, consumer_beat(group, one.ids, -1))
        if members:
            settle(s, "random", group, *members)
        else:
            describe(s, "random", group)
        for _ in range(NOISE):
            wrong = s.random.choice((0, 0, 1, -1, 50))
            one = s.random.choice(members) if members else None
            member, epoch = (one.ids, one.epoch.plus(wrong)) if one and s.random.random() < 0.8 else (IDS[2], 1 + abs(wrong))
            version = s.random.choice(s.versions("OffsetCommit", 9))
            s.ask("random", "OffsetCommit", version, commit(version, group, topic, [(0, s.step, "")], epoch, member))
            version = s.random.choice(s.versions("OffsetFetch", 9))
            s.ask("random", "OffsetFetch", version, fetch_offsets(version, group, [(topic, [0, 1])], member, epoch))
            if wrong == 50:
                s.ask("random", "ConsumerGroupHeartbeat", s.random.choice((0, 1)), consumer_beat(group, IDS[2], 50))


SCRIPTS = ([(f"random-groups-{at}", groups) for at in range(6)] + [(f"random-transactions-{at}", transactions) for at in range(6)]
           + [(f"random-consumers-{at}", consumers) for at in range(3)])
