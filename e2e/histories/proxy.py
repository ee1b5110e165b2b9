"""Stands between the clients and the broker, so that answers are under way when the broker is killed.

Answers are so many milliseconds late, and what is late is lost with its connection: to a client that is a request of
which it does not know whether it took effect. All connections can be cut, also while the broker lives, and before that
all answers of a while can be swallowed.
"""

import asyncio
import threading


class Proxy:
    """Listens on PORT of 127.0.0.1 for a broker on TARGET, in a thread of its own."""

    def __init__(self, port, target, delay_s):
        self.target, self.delay_s = target, delay_s
        self.swallowing = False
        self.writers = set()
        self.loop = asyncio.new_event_loop()
        listening = threading.Event()
        threading.Thread(target=self.run, args=(port, listening), daemon=True).start()
        if not listening.wait(10):
            raise OSError(f"cannot listen on port {port}")

    def run(self, port, listening):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self.accept, "127.0.0.1", port))
        listening.set()
        self.loop.run_forever()

    def swallow(self):
        """From now on answers are lost: what clients ask for is done, and they are not told. Until `cut`."""
        self.loop.call_soon_threadsafe(setattr, self, "swallowing", True)

    def cut(self):
        """Closes all connections at once; answers that are late are lost."""
        self.loop.call_soon_threadsafe(self.abort)

    def abort(self):
        for writer in self.writers:
            writer.transport.abort()
        self.swallowing = False

    async def accept(self, reader, writer):
        try:
            broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, broker_writer}
        passing = []
        try:
            passing = [asyncio.ensure_future(self.requests(reader, broker_writer)),
                       asyncio.ensure_future(self.answers(broker_reader, writer))]
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in passing:
                each.cancel()
            for each in (writer, broker_writer):
                self.writers.discard(each)
                each.transport.abort()

    @staticmethod
    async def requests(reader, writer):
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass

    async def answers(self, reader, writer):
        """Each piece waits its time by itself, so that a connection carries as much as without."""
        try:
            while data := await reader.read(1 << 16):
                self.loop.call_later(self.delay_s, self.late, writer, data)
        except OSError:
            pass

    def late(self, writer, data):
        if not self.swallowing and not writer.transport.is_closing():
            writer.write(data)
