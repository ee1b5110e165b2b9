"""Many connections at once, by asyncio: messages.py's requests, one in flight on each."""

import asyncio
import functools
import struct
import time

import messages
from brokers import KAFKA
from measure import run

# Answers that a coordinator which is being made ready gives: ask again.
COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR = 14, 15, 16
NOT_YET = {COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR}
READY_S, AGAIN_S = 30, 0.05
GROUP, TRANSACTION = 0, 1
CREATE_MS = 10_000
# Of every request: there is one at a time.
CORRELATION = 7


@functools.cache
def definitions():
    return messages.load(run([KAFKA, "libs"]).strip())


@functools.cache
def api(name):
    return messages.Api(definitions(), name)


def request(name, version, values):
    """A whole frame; what `values` leaves out has Kafka's default."""
    return api(name).request(version, values, CORRELATION)


def answer_of(name, version, frame):
    """The values of an answer, of which nothing may be left over."""
    return api(name).answer(version, frame, CORRELATION)


class Link(asyncio.Protocol):
    """A connection with at most one request in flight."""

    def __init__(self):
        self.buffer, self.waiting, self.lost = bytearray(), None, None

    @classmethod
    async def open(cls, port):
        _, link = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return link

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        if len(self.buffer) < 4:
            return
        end = 4 + struct.unpack_from(">i", self.buffer)[0]
        if len(self.buffer) >= end:
            frame, waiting = bytes(self.buffer[4:end]), self.waiting
            del self.buffer[:end]
            self.waiting = None
            if not waiting.done():
                waiting.set_result(frame)

    def connection_lost(self, error):
        self.lost = error or EOFError("closed by the broker")
        if self.waiting and not self.waiting.done():
            self.waiting.set_exception(self.lost)

    async def raw(self, frame):
        """Sends a whole frame (`request` makes it), and returns its answer's, without the length."""
        assert self.waiting is None, "one at a time"
        if self.lost:
            raise self.lost
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(frame)
        return await self.waiting

    async def ask(self, name, version, values):
        return answer_of(name, version, await self.raw(request(name, version, values)))

    def close(self):
        self.transport.close()


async def opened(port, count):
    """So many connections."""
    return await asyncio.gather(*(Link.open(port) for _ in range(count)))


async def until_ready(ask, errors):
    """What `ask` returns once none of its `errors` says that the coordinator is not ready yet."""
    until = time.monotonic() + READY_S
    while True:
        answer = await ask()
        if not NOT_YET & set(errors(answer)):
            return answer
        if time.monotonic() > until:
            raise TimeoutError(f"the coordinator is not ready after {READY_S} s: {answer}")
        await asyncio.sleep(AGAIN_S)


async def coordinated(link, keys, kind=GROUP):
    """Waits until each of these groups or transactional ids has a coordinator."""
    values = {"key_type": kind, "coordinator_keys": list(keys)}
    answer = await until_ready(lambda: link.ask("FindCoordinator", 4, values),
                               lambda answer: [found["error_code"] for found in answer["coordinators"]])
    refused = [found for found in answer["coordinators"] if found["error_code"]]
    assert not refused, refused


async def created(link, topic, partitions):
    """Creates a topic, and returns its id."""
    values = {"topics": [{"name": topic, "num_partitions": partitions, "replication_factor": 1}], "timeout_ms": CREATE_MS}
    answer = await link.ask("CreateTopics", 7, values)
    assert answer["topics"][0]["error_code"] == 0, answer
    return answer["topics"][0]["topic_id"]
