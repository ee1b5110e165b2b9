"""An HTTP proxy that makes an object store misbehave.

storm_proxy.py LISTEN-PORT TARGET-PORT CONTROL-PORT     on 127.0.0.1

Each connection has one of its own to the target, and bytes pass as they are: requests keep the Host that is signed.
What happens to a request is decided when its head has come. A GET of these paths on CONTROL-PORT sets the mode for
the requests that come from then on, and is answered with what became of requests so far, as JSON:

    /counts          changes nothing
    /pass            all pass
    /stall           requests are taken in and answers are held, until the mode changes; then they go on, also those
                     whose client has given up: the store gets them late
    /503?share=P     so many of 1 are answered by 503 SlowDown, and do not reach the store
    /lost?share=P    so many of 1 pass, and the connection is closed when the answer comes
    /slow?ms=N       answers come so late

Clients may keep connections, and may not pipeline.
"""

import asyncio
import collections
import json
import random
import sys
import urllib.parse

WINDOW = 4 << 20  # bytes that wait for a slow side
SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message><RequestId>storm</RequestId></Error>"
)
REFUSED = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s"
    % (len(SLOW_DOWN), SLOW_DOWN)
)


class Weather:
    """The mode, what it does to a request, and what became of requests."""

    def __init__(self):
        self.mode, self.share, self.delay = "pass", 0.0, 0.0
        self.random = random.Random(1)
        self.counts = collections.Counter()
        self.over = asyncio.Event()  # set unless it stalls
        self.over.set()

    def set(self, mode, share=0.0, ms=0):
        self.mode, self.share, self.delay = mode, share, ms / 1000
        self.over.clear() if mode == "stall" else self.over.set()

    def fate(self):
        if self.mode in ("503", "lost") and self.random.random() < self.share:
            return self.mode
        return "pass"


class Side(asyncio.Protocol):
    """One side of a connection: a queue of what came, and whether the other side may be written to."""

    def __init__(self):
        self.came, self.held, self.news = collections.deque(), 0, asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.transport, self.ended, self.patient = None, False, False

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(WINDOW)

    def data_received(self, data):
        self.came.append(data)
        self.held += len(data)
        # In a stall all of a request is taken in, however long.
        if self.held > WINDOW and not self.patient:
            self.transport.pause_reading()
        self.news.set()

    def eof_received(self):
        self.ended = True
        self.news.set()
        return True

    def connection_lost(self, _):
        self.ended = True
        self.news.set()
        self.writable.set()

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    async def take(self):
        """What came, or b'' at the end."""
        while not self.came:
            if self.ended:
                return b""
            self.news.clear()
            await self.news.wait()
        data = self.came.popleft()
        self.held -= len(data)
        if self.held <= WINDOW and not self.ended:
            self.transport.resume_reading()
        return data

    def put_back(self, data):
        if data:
            self.came.appendleft(data)
            self.held += len(data)

    async def send(self, data):
        """False when nobody takes it."""
        await self.writable.wait()
        if self.transport is None or self.transport.is_closing():
            return False
        self.transport.write(data)
        return True

    def close(self):
        if self.transport:
            self.transport.close()


class Client(Side):
    def __init__(self, weather, target):
        super().__init__()
        self.weather, self.target = weather, target

    def connection_made(self, transport):
        super().connection_made(transport)
        self.task = asyncio.get_running_loop().create_task(self.serve())

    async def serve(self):
        server = Side()
        try:
            await asyncio.get_running_loop().create_connection(lambda: server, "127.0.0.1", self.target)
        except OSError:
            self.close()
            return
        answers = Answers(self, server, self.weather)
        while await self.request(server, answers):
            pass
        await answers.done()
        self.close()
        server.close()

    async def head(self):
        """A request's head and the length of its body; None at the end."""
        head = b""
        while (at := head.find(b"\r\n\r\n")) < 0:
            data = await self.take()
            if not data:
                return None
            head += data
        head, rest = head[: at + 4], head[at + 4 :]
        self.put_back(rest)
        length = 0
        for line in head.lower().split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name == b"content-length":
                length = int(value)
            assert name != b"transfer-encoding", "a body needs a length here"
        return head, length

    async def body(self, length):
        """Its pieces; ends early when the client does."""
        while length > 0:
            data = await self.take()
            if not data:
                return
            piece, rest = data[:length], data[length:]
            self.put_back(rest)
            length -= len(piece)
            yield piece

    async def request(self, server, answers):
        weather = self.weather
        got = await self.head()
        if got is None:
            return False
        head, length = got
        method = head.split(b" ", 1)[0].decode()
        fate = weather.fate()
        if not weather.over.is_set():
            self.patient = True
            pieces = [piece async for piece in self.body(length)]
            self.patient = False
            if sum(map(len, pieces)) < length:
                weather.counts[method, "cut"] += 1
                return False
            weather.counts[method, "held"] += 1
            await weather.over.wait()
            if self.ended:
                weather.counts[method, "late"] += 1
            answers.expect("pass")
            return await server.send(b"".join([head, *pieces]))
        if fate == "503":
            async for piece in self.body(length):
                pass
            weather.counts[method, "503"] += 1
            return await self.send(REFUSED)
        weather.counts[method, fate] += 1
        answers.expect(fate)
        sent = await server.send(head)
        async for piece in self.body(length):
            length -= len(piece)
            sent = sent and await server.send(piece)
        if length > 0:
            # The client has gone in the middle: there is nothing to wait for.
            server.close()
        return sent and length == 0


class Answers:
    """Hands a server's answers on, by the fate of their requests."""

    def __init__(self, client, server, weather):
        self.client, self.server, self.weather = client, server, weather
        self.fate, self.begun = "pass", asyncio.Event()
        self.begun.set()
        self.task = asyncio.get_running_loop().create_task(self.run())

    def expect(self, fate):
        self.fate = fate
        self.begun.clear()

    async def done(self):
        """Waits for the answer that is due: a request that was sent is not cut off at the server."""
        await self.begun.wait()
        self.task.cancel()

    async def run(self):
        server, client, weather = self.server, self.client, self.weather
        while data := await server.take():
            if not self.begun.is_set():
                if weather.delay:
                    await asyncio.sleep(weather.delay)
                await weather.over.wait()
                if self.fate == "lost":
                    break
                sent = await client.send(data)
                self.begun.set()
            else:
                await weather.over.wait()
                sent = await client.send(data)
            if not sent:
                break
        self.begun.set()
        server.close()
        client.close()


class Control(asyncio.Protocol):
    def __init__(self, weather):
        self.weather = weather

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        url = urllib.parse.urlsplit(data.split(b" ", 2)[1].decode())
        options = {name: float(value) for name, value in urllib.parse.parse_qsl(url.query)}
        mode = url.path.strip("/")
        status = b"200 OK"
        if mode in ("pass", "stall", "503", "lost", "slow"):
            self.weather.set("pass" if mode == "slow" else mode, **options)
        elif mode != "counts":
            status = b"404 Not Found"
        counts = collections.defaultdict(dict)
        for (method, what), count in sorted(self.weather.counts.items()):
            counts[what][method] = count
        body = json.dumps(counts).encode()
        head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body))
        self.transport.write(head + body)
        self.transport.close()


async def main(port, target, control):
    loop, weather = asyncio.get_running_loop(), Weather()
    servers = [
        await loop.create_server(lambda: Client(weather, target), "127.0.0.1", port, backlog=1024),
        await loop.create_server(lambda: Control(weather), "127.0.0.1", control),
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))
