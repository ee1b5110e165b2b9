"""Groups with many members: from the first one's joining until all are stable, from one's leaving until the others are
stable again, heartbeats when nothing changes; and what each of them costs the broker."""

import asyncio
import time

from members import LEAVE, UNKNOWN_MEMBER_ID, Classic, Consumer, Group
from links import coordinated, created, opened, until_ready
from measure import cpu_clock

MEMBERS = 500
# Each member's, one after the other.
HEARTBEATS = 20
# Kafka's default of group.initial.rebalance.delay.ms, which is Levee's too. A new group waits for so long, and once
# more after a time in which members came.
DELAY_S = 3
# Longer than group.consumer.assignment.interval.ms (1 s by default), within which a target assignment stands.
REST_S = 1.5
AT_MOST_S = 120
IDLE_S = 3


class Clock:
    """Since a moment: a broker's CPU ms, and the time."""

    def __init__(self, pid):
        self.pid, self.cpu, self.began = pid, cpu_clock(pid), time.perf_counter()

    def until(self, moment):
        return {"ms": (moment - self.began) * 1e3, "broker CPU ms": (cpu_clock(self.pid) - self.cpu) * 1e3}


async def one_group(kind, port, pid, name, count):
    """All figures of a group of so many members, on a topic with as many partitions."""
    links = await opened(port, count)
    topic_id = await created(links[0], name, count)
    await coordinated(links[0], [name])
    await loaded(links[0], name)
    group, figures = Group(kind, name, name, topic_id, links), {}

    clock = Clock(pid)
    group.start()
    await group.until_stable()
    figures["all join"] = clock.until(group.stable_at)
    if kind is Classic:
        # The times in which somebody came, and the one in which nobody did.
        waits = int((group.joined_at - clock.began) / DELAY_S) + 2
        figures["all join"]["ms"] -= waits * DELAY_S * 1e3

    await asyncio.sleep(REST_S)
    clock = Clock(pid)
    clock.began = await group.leave(group.members[-1])
    await group.until_stable()
    figures["one leaves"] = clock.until(group.stable_at)

    await group.halt()
    figures["heartbeats"] = await beats(group, pid)
    for member in group.members:
        await member.leave()
    for link in links:
        link.close()
    return figures


async def loaded(link, name):
    """Waits until the group's coordinator has read its partition: until it knows that somebody isn't a member."""
    values = {"group_id": name, "members": [{"member_id": "nobody"}]}
    answer = await until_ready(lambda: link.ask("LeaveGroup", LEAVE, values),
                               lambda answer: [answer["error_code"]])
    assert answer["members"][0]["error_code"] == UNKNOWN_MEMBER_ID, answer


async def beats(group, pid):
    """Heartbeats of all members at once, as fast as they are answered."""
    frames = [member.frame() for member in group.members]
    right = await asyncio.gather(*(member.link.raw(frame) for member, frame in zip(group.members, frames)))

    async def beat(member, frame, right):
        for _ in range(HEARTBEATS):
            answer = await member.link.raw(frame)
            assert answer == right, f"{member.protocol}: {answer} after {right}"

    clock = Clock(pid)
    await asyncio.gather(*map(beat, group.members, frames, right))
    took, count = clock.until(time.perf_counter()), HEARTBEATS * len(group.members)
    return {"a second": count / took["ms"] * 1e3, "broker CPU ms by 1,000": took["broker CPU ms"] / count * 1e3}


async def idle(pid):
    """What a broker does that nobody asks for anything, which is in the figures of all that takes long."""
    cpu = cpu_clock(pid)
    await asyncio.sleep(IDLE_S)
    return (cpu_clock(pid) - cpu) * 1e3 / IDLE_S


async def both(port, pid, scale):
    figures = {("idle", "broker CPU ms a second"): await idle(pid)}
    count = int(MEMBERS / scale)
    for kind in (Classic, Consumer):
        # A JVM that has never seen so many takes several times as long.
        await asyncio.wait_for(one_group(kind, port, pid, f"{kind.protocol}-first", count), AT_MOST_S)
        found = await asyncio.wait_for(one_group(kind, port, pid, kind.protocol, count), AT_MOST_S)
        for what, values in found.items():
            for unit, value in values.items():
                figures[f"{kind.protocol}, {count} members: {what}", unit] = value
    return figures


def measure(broker, scale):
    """{(case, unit): value} of one broker; `scale` is by how much the load is reduced."""
    return asyncio.run(both(broker.port, broker.pid, scale))
