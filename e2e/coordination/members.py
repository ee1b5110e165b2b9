"""Members of one group, each a task with a connection of its own that does what a consumer does: it joins, takes what it
is assigned, says that it is alive, and joins again when it is told to. They notice a change at once if `wake` says so,
else by their next heartbeat."""

import asyncio
import collections
import struct
import time
import uuid

from links import request

# A tenth of what the consumer protocol tells its members, a sixth of what clients of the classic one do by default.
HEARTBEAT_S = 0.5
UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, MEMBER_ID_REQUIRED, FENCED_MEMBER_EPOCH = 25, 27, 79, 110
JOIN, SYNC, HEARTBEAT, LEAVE, CONSUMER_HEARTBEAT = 9, 5, 4, 5, 1
NONE = 0
SESSION_MS, REBALANCE_MS, PROTOCOL = 45_000, 300_000, "range"
# The epoch of a member that leaves.
GOODBYE = -1


class Group:
    """The members, and whether they are stable: all in one generation (or epoch), each with partitions, none left over."""

    def __init__(self, kind, name, topic, topic_id, links):
        self.name, self.topic, self.topic_id, self.partitions = name, topic, topic_id, len(links)
        self.members = [kind(self, number, link) for number, link in enumerate(links)]
        self.settled = collections.Counter()
        self.stable, self.stable_at = asyncio.Event(), None
        # When the last JoinGroup was sent.
        self.joined_at = None

    def start(self):
        self.stable.clear()
        self.tasks = [asyncio.create_task(member.live()) for member in self.members]

    def moved(self, member, generation):
        """A member has settled in a generation, or (None) it no longer has."""
        if member.generation_settled is not None:
            self.settled[member.generation_settled] -= 1
        member.generation_settled = generation
        if generation is None:
            self.stable.clear()
            return
        self.settled[generation] += 1
        if self.settled[generation] == len(self.members) and self.covered():
            self.stable_at = time.perf_counter()
            self.stable.set()

    def covered(self):
        owned = [partition for member in self.members for partition in member.owned]
        return sorted(owned) == list(range(self.partitions)) and all(member.owned for member in self.members)

    def wake(self):
        for member in self.members:
            member.woken.set()

    async def until_stable(self):
        """Waits for it; fails as soon as a member does."""
        stable = asyncio.create_task(self.stable.wait())
        done, _ = await asyncio.wait([stable, *self.tasks], return_when=asyncio.FIRST_COMPLETED)
        if stable not in done:
            for task in (stable, *self.tasks):
                task.cancel()
            await asyncio.gather(stable, *self.tasks, return_exceptions=True)
            await done.pop()

    async def leave(self, member):
        """One member leaves, the others notice at once; returns the moment at which it has asked to."""
        self.moved(member, None)
        self.members.remove(member)
        member.ending = True
        member.woken.set()
        task = self.tasks.pop(member.number)
        await task
        began = time.perf_counter()
        await member.leave()
        self.wake()
        return began

    async def halt(self):
        """The members stay in the group, and do nothing more."""
        for member in self.members:
            member.ending = True
        self.wake()
        await asyncio.gather(*self.tasks)


class Member:
    """What members of both protocols have."""

    def __init__(self, group, number, link):
        self.group, self.number, self.link = group, number, link
        self.id, self.generation, self.generation_settled, self.owned = "", -1, None, []
        self.woken, self.ending = asyncio.Event(), False

    async def pause(self):
        """Until the next heartbeat is due."""
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await self.woken.wait()
        except TimeoutError:
            pass
        self.woken.clear()


class Classic(Member):
    """JoinGroup, SyncGroup, Heartbeat, LeaveGroup; the leader gives partition after partition to member after member."""

    protocol = "classic"

    async def live(self):
        while not self.ending:
            joined = await self.join()
            if joined is None or not await self.sync(joined):
                continue
            self.group.moved(self, self.generation)
            while not self.ending and await self.alive():
                await self.pause()
            if not self.ending:
                self.group.moved(self, None)

    async def join(self):
        self.group.joined_at = time.perf_counter()
        answer = await self.link.ask("JoinGroup", JOIN, {
            "group_id": self.group.name, "member_id": self.id, "session_timeout_ms": SESSION_MS,
            "rebalance_timeout_ms": REBALANCE_MS, "protocol_type": "consumer",
            "protocols": [{"name": PROTOCOL, "metadata": self.subscription()}]})
        if answer["error_code"] in (MEMBER_ID_REQUIRED, UNKNOWN_MEMBER_ID):
            self.id = answer["member_id"]
            return None
        assert answer["error_code"] == NONE, answer
        self.generation = answer["generation_id"]
        return answer

    async def sync(self, joined):
        assigned = {}
        if joined["leader"] == self.id:
            ids = [member["member_id"] for member in joined["members"]]
            assigned = {to: self.assignment(range(at, self.group.partitions, len(ids))) for at, to in enumerate(ids)}
        answer = await self.link.ask("SyncGroup", SYNC, {
            **self.sign(), "protocol_type": "consumer", "protocol_name": PROTOCOL,
            "assignments": [{"member_id": to, "assignment": data} for to, data in assigned.items()]})
        if answer["error_code"] == REBALANCE_IN_PROGRESS:
            return False
        assert answer["error_code"] == NONE, answer
        self.owned = self.partitions(answer["assignment"])
        return True

    async def alive(self):
        answer = await self.link.ask("Heartbeat", HEARTBEAT, self.sign())
        assert answer["error_code"] in (NONE, REBALANCE_IN_PROGRESS), answer
        return answer["error_code"] == NONE

    async def leave(self):
        values = {"group_id": self.group.name, "members": [{"member_id": self.id}]}
        answer = await self.link.ask("LeaveGroup", LEAVE, values)
        assert answer["error_code"] == NONE and answer["members"][0]["error_code"] == NONE, answer

    def sign(self):
        return {"group_id": self.group.name, "generation_id": self.generation, "member_id": self.id}

    def frame(self):
        """A heartbeat that changes nothing."""
        return request("Heartbeat", HEARTBEAT, self.sign())

    def subscription(self):
        """ConsumerProtocolSubscription 3: a topic, no data, nothing owned, of no generation and in no rack."""
        topic = self.group.topic.encode()
        return struct.pack(f">hih{len(topic)}siiih", 3, 1, len(topic), topic, -1, 0, -1, -1)

    def assignment(self, partitions):
        """ConsumerProtocolAssignment 3."""
        topic, count = self.group.topic.encode(), len(partitions)
        return struct.pack(f">hih{len(topic)}si{count}ii", 3, 1, len(topic), topic, count, *partitions, -1)

    def partitions(self, assignment):
        at = 2 + 4 + 2 + len(self.group.topic)
        count, = struct.unpack_from(">i", assignment, at)
        return list(struct.unpack_from(f">{count}i", assignment, at + 4))


class Consumer(Member):
    """ConsumerGroupHeartbeat (KIP-848); what it is to give up it gives up at once, and says so at once."""

    protocol = "consumer"

    def __init__(self, group, number, link):
        super().__init__(group, number, link)
        self.id, self.generation = str(uuid.uuid4()), 0

    async def live(self):
        told = None
        while not self.ending:
            answer = await self.link.ask("ConsumerGroupHeartbeat", CONSUMER_HEARTBEAT, self.sign(told))
            if answer["error_code"] in (FENCED_MEMBER_EPOCH, UNKNOWN_MEMBER_ID):
                self.group.moved(self, None)
                self.generation, self.owned, told = 0, [], None
                continue
            assert answer["error_code"] == NONE, answer
            told, changed = self.owned, answer["member_epoch"] != self.generation
            self.generation = answer["member_epoch"]
            if answer["assignment"] is not None:
                self.owned = [index for topic in answer["assignment"]["topic_partitions"] for index in topic["partitions"]]
            if told != self.owned:
                self.group.moved(self, None)
                continue
            if changed or self.generation_settled is None:
                self.group.moved(self, self.generation)
            await self.pause()

    async def leave(self):
        values = {"group_id": self.group.name, "member_id": self.id, "member_epoch": GOODBYE}
        answer = await self.link.ask("ConsumerGroupHeartbeat", CONSUMER_HEARTBEAT, values)
        assert answer["error_code"] == NONE, answer

    def sign(self, told):
        """A heartbeat: all of it when it joins, then what it owns if the coordinator has not been told."""
        values = {"group_id": self.group.name, "member_id": self.id, "member_epoch": self.generation}
        if told is None:
            values |= {"subscribed_topic_names": [self.group.topic], "rebalance_timeout_ms": REBALANCE_MS}
        if told != self.owned:
            owned = [{"topic_id": self.group.topic_id, "partitions": self.owned}] if self.owned else []
            values |= {"topic_partitions": owned}
        return values

    def frame(self):
        """A heartbeat that changes nothing."""
        return request("ConsumerGroupHeartbeat", CONSUMER_HEARTBEAT, self.sign(self.owned))
