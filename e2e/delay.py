"""A TCP proxy that hands every answer on so many milliseconds late, and limits nothing else.

delay.py LISTEN-PORT TARGET-PORT MS     on 127.0.0.1

What a client sends is passed on at once; what comes back waits its time in a queue, each piece by itself, so that a
connection carries as much as without the proxy. One request at a time on a connection so takes MS longer.
"""

import asyncio
import collections
import sys


class Late:
    """Pieces of one connection's answers, in order, each with its time."""

    def __init__(self, loop, transport, delay):
        self.loop, self.transport, self.delay = loop, transport, delay
        self.pieces = collections.deque()

    def push(self, piece):
        if not self.pieces:
            self.loop.call_later(self.delay, self.pop)
        self.pieces.append((self.loop.time() + self.delay, piece))

    def pop(self):
        now = self.loop.time()
        while self.pieces and self.pieces[0][0] <= now + 0.0002:
            _, piece = self.pieces.popleft()
            if piece is None:
                self.transport.close()
            else:
                self.transport.write(piece)
        if self.pieces:
            self.loop.call_at(self.pieces[0][0], self.pop)


class Server(asyncio.Protocol):
    """The side of the server: its answers are late."""

    def __init__(self, late):
        self.late = late

    def data_received(self, data):
        self.late.push(data)

    def connection_lost(self, _):
        self.late.push(None)


class Client(asyncio.Protocol):
    """The side of the client: its requests go on at once."""

    def __init__(self, loop, target, delay):
        self.loop, self.target, self.delay = loop, target, delay
        self.server, self.early = None, []

    def connection_made(self, transport):
        self.transport = transport
        self.loop.create_task(self.connect())

    async def connect(self):
        late = Late(self.loop, self.transport, self.delay)
        try:
            self.server, _ = await self.loop.create_connection(lambda: Server(late), "127.0.0.1", self.target)
        except OSError:
            self.transport.close()
            return
        self.server.writelines(self.early)
        if self.transport.is_closing():
            self.server.close()

    def data_received(self, data):
        if self.server:
            self.server.write(data)
        else:
            self.early.append(data)

    def connection_lost(self, _):
        if self.server:
            self.server.close()


async def main(port, target, ms):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(loop, target, ms / 1000), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))
