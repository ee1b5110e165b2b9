"""Offset commits: how many a second, how long one takes, and what they cost the broker."""

import asyncio
import itertools
import time

from links import answer_of, coordinated, created, opened, request, until_ready
from measure import cpu_clock, quantile

VERSION = 9
TOPIC, PARTITIONS = "committed", 10
# Frames that are made before the clock runs, and sent again and again: each moves all offsets.
FRAMES = 64
WARM_UP_S, SECONDS = 2, 5
# Title, clients at once (each with a group of its own), partitions a request.
CASES = [("1 client, 1 partition", 1, 1), ("1 client, 10 partitions", 1, 10), ("16 clients, 10 partitions each", 16, 10)]


class Committer:
    """A client that commits one request after the other."""

    def __init__(self, link, group, partitions):
        self.link, self.group = link, group
        self.frames = [request("OffsetCommit", VERSION, self.values(at, partitions)) for at in range(FRAMES)]

    def values(self, offset, partitions):
        """Of a consumer that assigns by itself: no member, no generation."""
        return {"group_id": self.group, "topics": [{"name": TOPIC, "partitions": [
            {"partition_index": index, "committed_offset": offset} for index in range(partitions)]}]}

    async def prepare(self):
        """Commits once, and keeps the answer that all later ones must be equal to."""
        async def ask():
            self.right = await self.link.raw(self.frames[0])
            return answer_of("OffsetCommit", VERSION, self.right)

        errors = lambda answer: [at["error_code"] for topic in answer["topics"] for at in topic["partitions"]]
        answer = await until_ready(ask, errors)
        assert not any(errors(answer)), answer

    async def commit(self, until):
        """Commits until then (by the monotonic clock); returns the seconds that each request took."""
        took, now = [], time.perf_counter()
        for frame in itertools.cycle(self.frames):
            if now >= until:
                return took
            answer = await self.link.raw(frame)
            assert answer == self.right, answer_of("OffsetCommit", VERSION, answer)
            before, now = now, time.perf_counter()
            took.append(now - before)


async def load(pid, committers, seconds):
    cpu, began = cpu_clock(pid), time.perf_counter()
    took = await asyncio.gather(*(committer.commit(began + seconds) for committer in committers))
    took, seconds, cpu = [one for each in took for one in each], time.perf_counter() - began, cpu_clock(pid) - cpu
    return {"a second": len(took) / seconds, "p50 ms": quantile(took, 0.5) * 1e3, "p99 ms": quantile(took, 0.99) * 1e3,
            "broker CPU ms by 1,000": cpu * 1e3 / len(took) * 1e3}


async def all_cases(port, pid, scale):
    figures = {}
    links = await opened(port, max(clients for _, clients, _ in CASES))
    await created(links[0], TOPIC, PARTITIONS)
    for title, clients, partitions in CASES:
        groups = [f"commits-{clients}-{partitions}-{at}" for at in range(clients)]
        await coordinated(links[0], groups)
        committers = [Committer(link, group, partitions) for link, group in zip(links, groups)]
        for committer in committers:
            await committer.prepare()
        await load(pid, committers, WARM_UP_S / scale)
        for unit, value in (await load(pid, committers, SECONDS / scale)).items():
            figures[title, unit] = value
    for link in links:
        link.close()
    return figures


def measure(broker, scale):
    """{(case, unit): value} of one broker; `scale` is by how much the load is shortened."""
    return asyncio.run(all_cases(broker.port, broker.pid, scale))
