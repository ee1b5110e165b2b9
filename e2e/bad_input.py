"""The cases of e2e/bad-input.    bad_input.py LEVEE SCRATCH PORT [CASE...]"""
import atexit
import contextlib
import gzip
import os
import pathlib
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import wire
from wire import batch, create, fetch, list_offsets, new_topic, produce

LEVEE, SCRATCH, PORT = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
HTTP = PORT + 1
MIB = 1 << 20
CORRUPT_MESSAGE, MESSAGE_TOO_LARGE, STORAGE_ERROR, INVALID_RECORD, UNKNOWN_SERVER_ERROR = 2, 10, 56, 87, -1


def fail(what):
    raise SystemExit(f"bad-input: {what}")


def ensure(holds, what):
    if not holds:
        fail(what)


def say(what):
    print(f"ok: {what}", flush=True)


class Broker:
    def __init__(self, name, store=None, *options, port=PORT, http=HTTP, files=None, env=None):
        self.log_path, self.port, self.http = SCRATCH / f"{name}.log", port, http
        self.store = str(store or SCRATCH / f"{name}-data")
        self.options, self.files, self.env = options, files, env

    def spawn(self):
        limit = self.files and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, self.files))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [LEVEE, "serve", "--store", self.store, "--listen", f"127.0.0.1:{self.port}",
                 "--http", f"127.0.0.1:{self.http}", *self.options],
                stdout=log, stderr=log, preexec_fn=limit, env=os.environ | (self.env or {}))
        atexit.register(self.process.kill)
        self.mark = len(self.log())
        return self

    def start(self):
        self.spawn()
        for _ in range(300):
            if self.health()[0] == 200:
                return self
            if self.process.poll() is not None:
                fail(f"the broker ended: {self.log()[-500:]}")
            time.sleep(0.05)
        fail(f"the broker does not serve; see {self.log_path}")

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(60)

    def log(self):
        return self.log_path.read_text()

    def expect(self, pattern, count=1):
        """Waits until the log has that many lines like this since the last call."""
        for _ in range(100):
            text = self.log()
            lines = [line for line in text[self.mark:].splitlines() if re.search(pattern, line)]
            if len(lines) >= count:
                self.mark = len(text)
                return lines[0]
            time.sleep(0.05)
        fail(f"the log has {len(lines)} lines like {pattern!r}, not {count}, since:\n{text[self.mark:][:2000]}")

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def health(self):
        return self.get("/health")

    def metric(self, name):
        return sum(float(line.split()[-1]) for line in self.get("/metrics")[1].splitlines() if line.startswith(name))

    def rss(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1]) * 1024

    def connect(self, timeout=20):
        return wire.Connection(self.port, timeout)

    def create(self, *names, partitions=1, configs=()):
        with self.connect() as client:
            answer = client.ask("CreateTopics", 7, create(*(new_topic(n, partitions, 1, configs=configs) for n in names)))
            for topic in answer["topics"]:
                ensure(topic["error_code"] in (0, 36), f"creating {topic}")

    def produce(self, topic, records, partition=0):
        with self.connect() as client:
            answer = client.ask("Produce", 9, produce(topic, partition, records))
        return answer["responses"][0]["partitions"][0]

    def fetch(self, topic, offset, partition=0):
        with self.connect() as client:
            answer = client.ask("Fetch", 12, fetch(topic, partition, offset))
        return answer["responses"][0]["partitions"][0]


class Good(threading.Thread):
    """A client that does nothing wrong, on one connection, and remembers what was acknowledged."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.broker, self.acked, self.slowest, self.error, self.ended = broker, [], 0.0, None, threading.Event()
        self.client = broker.connect(60)

    def run(self):
        try:
            number = 0
            while not self.ended.is_set():
                began = time.monotonic()
                answer = self.client.ask("Produce", 9, produce("good", 0, batch((b"good %d" % number,))))
                partition = answer["responses"][0]["partitions"][0]
                ensure(partition["error_code"] == 0, f"the good client was refused: {partition}")
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.acked.append(partition["base_offset"])
                number += 1
                time.sleep(0.005)
        except BaseException as error:
            self.error = error

    def check(self):
        self.ended.set()
        self.join()
        ensure(self.error is None, f"the good client was disturbed: {self.error!r}")
        ensure(self.acked == list(range(len(self.acked))), "the good client's offsets have a gap")
        found, offset = 0, 0
        while offset < len(self.acked):
            records = self.broker.fetch("good", offset)["records"]
            for value in re.findall(rb"good (\d+)", records):
                ensure(int(value) == found, f"record {found} of the good client is lost, {value} is there")
                found += 1
            offset = found
        say(f"the good client beside it was never disturbed: {found} records acknowledged and read back in order, "
            f"the slowest after {self.slowest * 1000:.0f} ms")


def closes(broker, data, what, pattern=None):
    with broker.connect() as client:
        client.send(data)
        ensure(client.closed(), f"{what}: the connection is not closed")
    if pattern:
        return broker.expect(pattern)


def garbage_frames(broker):
    seeded = random.Random(1)
    for _ in range(200):
        body = seeded.randbytes(seeded.randrange(1, 300))
        with broker.connect() as client, contextlib.suppress(OSError):
            client.send(struct.pack(">i", len(body)) + body)
            client.socket.shutdown(socket.SHUT_WR)
            client.socket.recv(100)
    broker.expect("closing a connection.*(malformed|unknown)", 150)
    say("200 frames of garbage: each connection closed, with a line that says why")
    for length, pattern in ((-1, "-1 bytes is announced"), (-(2**31), "is announced"), (0, "malformed request"),
                            (1, "malformed request"), (100 * MIB + 1, "more than the 104857600 allowed"),
                            (2**31 - 1, "more than the 104857600 allowed")):
        line = closes(broker, struct.pack(">i", length) + b"\0" * 8, f"length {length}", pattern)
        print(f"    length {length}: {reason(line)}")
    say("lengths that are negative, 0, 1 and over the limit: closed, each with its line")


def reason(line):
    return re.search(r'(?:reason=|error=)?(.*)', line.split("WARN", 1)[-1].split("ERROR", 1)[-1])[1].strip()


def other_protocols(broker):
    hello = bytes.fromhex("160301010a0100010603030000") + bytes(32)
    line = closes(broker, hello, "TLS", "TLS")
    print(f"    {reason(line)}")
    line = closes(broker, b"GET /metrics HTTP/1.1\r\nHost: broker\r\n\r\n", "HTTP", "HTTP")
    print(f"    {reason(line)}")
    say("a TLS ClientHello and an HTTP GET on the Kafka port: closed, and the line says what it was")


def sound_frames():
    return {
        "Produce": wire.request("Produce", 9, produce("cut", 0, batch())),
        "Fetch": wire.request("Fetch", 12, fetch("cut", 0, 0)),
        "Metadata": wire.request("Metadata", 12, {"topics": [{"name": "cut"}]}),
        "CreateTopics": wire.request("CreateTopics", 7, create(new_topic("cut2", configs=[("retention.ms", "5")]))),
    }


def truncated_requests(broker):
    broker.create("cut")
    count = 0
    for frame in sound_frames().values():
        for cut in range(1, len(frame)):
            with broker.connect() as client:
                client.send(frame[:cut])
            count += 1
    say(f"{count} requests cut off at every byte by a client that closes: nothing comes of them")
    cut_short = 0
    for name, frame in sound_frames().items():
        for cut in range(4, len(frame)):
            with broker.connect() as client:
                client.send(struct.pack(">i", cut - 4) + frame[4:cut])
                ensure(client.closed(), f"{name} of {cut} bytes is taken for whole")
            cut_short += 1
    broker.expect("malformed request", cut_short)
    say(f"{cut_short} requests whose frame ends at every byte: closed, each with a line")
    waiting = []
    for name, frame in sound_frames().items():
        for cut in range(1, len(frame)):
            client = broker.connect()
            client.send(frame[:cut])
            waiting.append((name, frame[cut:], client))
    time.sleep(1)
    for name, rest, client in waiting:
        client.send(rest)
        api = wire.NAMES[name]
        version = {"Produce": 9, "Fetch": 12, "Metadata": 12, "CreateTopics": 7}[name]
        answer = wire.answer(api, version, client.frame())
        if name == "Produce":
            ensure(answer["responses"][0]["partitions"][0]["error_code"] == 0, "a stalled Produce failed")
        client.close()
    say(f"{len(waiting)} requests that stall at every byte for a while, all at once: answered when they go on")


def arrays(fields, version, path=()):
    for name, kind, first, last in fields:
        if first <= version <= last and not isinstance(kind, str):
            yield path + (name,)
            if isinstance(kind, list):
                yield from arrays(kind, version, path + (name,))


def with_length(fields, version, path, length):
    values = {}
    for name, kind, first, last in fields:
        if path and name == path[0]:
            values[name] = length if len(path) == 1 else [with_length(kind, version, path[1:], length)]
    return values


def array_lengths(broker):
    before, count = broker.rss(), 0
    for name, first, last in (("Produce", 3, 12), ("Fetch", 4, 17), ("ListOffsets", 1, 10), ("Metadata", 0, 12),
                              ("FindCoordinator", 4, 6), ("CreateTopics", 2, 7), ("DeleteTopics", 1, 6)):
        for version in (first, last):
            fields = wire.REQUEST[wire.NAMES[name]]
            for path in arrays(fields, version):
                for length in (2**31 - 1, 2**24):
                    frame = wire.request(name, version, with_length(fields, version, path, length))
                    closes(broker, frame, f"{name} {version} {path}")
                    count += 1
    broker.expect("malformed request", count)
    ensure(broker.rss() - before < 64 * MIB, "lying lengths took memory")
    say(f"{count} arrays said to have 2,147,483,647 or 16,777,216 elements, at every place of every API: closed, "
        f"{(broker.rss() - before) / MIB:+.1f} MiB of memory")


def unknown_apis(broker):
    for api, version, pattern in ((999, 0, "999"), (-1, 0, "-1"), (4, 0, ""), (17, 1, "SaslHandshake"),
                                  (3, 99, "99"), (0, 2, "version 2 of API 0"), (0, 99, "99"), (1, 3, "version 3 of API 1|Fetch")):
        frame = struct.pack(">ihhi", 10, api, version, 1) + b"\xff\xff"
        line = closes(broker, frame, f"API {api} version {version}", f"closing a connection.*{pattern}")
        print(f"    API {api} version {version}: {reason(line)}")
    with broker.connect() as client:
        client.send(wire.request(18, 99, {}))
        answer = wire.answer(18, 0, client.frame())
        ensure((answer["error_code"], answer["api_keys"][0]["api_key"]) == (35, 18), f"ApiVersions 99: {answer}")
        ensure(client.ask("ApiVersions", 3, {"client_software_name": "a", "client_software_version": "1"})[
            "error_code"] == 0, "the connection goes on after UNSUPPORTED_VERSION")
    say("unknown APIs and versions: closed as Kafka does; ApiVersions 99 is answered UNSUPPORTED_VERSION in version 0")


def bad_batches(broker):
    broker.create("batches")
    broker.create("small", configs=[("max.message.bytes", "500")])
    for case, code, records in (
        ("wrong CRC", CORRUPT_MESSAGE, batch(crc=1)), ("magic 0", INVALID_RECORD, batch(magic=0)),
        ("magic 1", INVALID_RECORD, batch(magic=1)), ("magic 9", CORRUPT_MESSAGE, batch(magic=9)),
        ("codec 7", UNKNOWN_SERVER_ERROR, batch(attributes=7)), ("count 9 of 1, offsets of 1", INVALID_RECORD, batch(count=9, last_delta=0)),
        ("offsets of 9, count 1", INVALID_RECORD, batch(count=1, last_delta=8)),
        ("count 0", INVALID_RECORD, batch(count=0)), ("count -1", INVALID_RECORD, batch(count=-1)),
        ("count 5 of 1", INVALID_RECORD, batch(count=5)), ("count 1 of 2", INVALID_RECORD, batch((b"a", b"b"), count=1)),
        ("no records", INVALID_RECORD, batch(payload=b"")), ("records of garbage", INVALID_RECORD, batch(payload=b"garbage")),
        ("a length without an end", UNKNOWN_SERVER_ERROR, batch(payload=b"\xff" * 50)),
        ("two batches", INVALID_RECORD, batch() + batch()), ("cut short", INVALID_RECORD, batch()[:-1]),
        ("length -1", CORRUPT_MESSAGE, batch(length=-1)), ("too large", MESSAGE_TOO_LARGE, batch((b"x" * 1_100_000,))),
    ):
        answer = broker.produce("batches", records)
        ensure(answer["error_code"] == code, f"{case}: {answer}, not {code}")
        print(f"    {case}: error {code}, {answer['error_message']!r}")
    answer = broker.produce("small", batch((b"x" * 600,)))
    ensure(answer["error_code"] == MESSAGE_TOO_LARGE, f"more than the topic's max.message.bytes: {answer}")
    end = broker.fetch("batches", 0)
    ensure(end["high_watermark"] == 0, "a refused batch got an offset")
    say("bad batches are refused with Kafka's codes and a sentence, and take no offset")
    # Compressed batches with a count that lies in all its places, or that don't unpack: stored, and harmless to everything
    # else.
    for records in (batch(count=5, attributes=1, payload=gzip.compress(wire.record(b"v"))),
                    batch(attributes=1, payload=b"garbage"), batch(attributes=2, payload=b""),
                    *(batch(attributes=codec, payload=b"\xff" * 50) for codec in (1, 2, 3, 4))):
        ensure(broker.produce("batches", records)["error_code"] == 0, "an unopened batch")
    with broker.connect() as client:
        for timestamp in (-3, 1, 1_700_000_000_000, 2**62):
            client.ask("ListOffsets", 10, list_offsets("batches", 0, timestamp))
    ensure(broker.produce("batches", batch((b"after",)))["error_code"] == 0, "after defective batches")
    ensure(b"after" in broker.fetch("batches", 0)["records"], "after defective batches")
    say("compressed batches that are defective under a sound header are kept as sent; look-ups by time survive them")


def greedy_readers(broker):
    """Clients that pipeline fetches and take no answer."""
    broker.create("wide", partitions=4)
    large = batch((random.Random(2).randbytes(900_000),))
    with broker.connect() as client:
        for n in range(96):
            answer = client.ask("Produce", 9, produce("wide", n % 4, large))
            ensure(answer["responses"][0]["partitions"][0]["error_code"] == 0, "filling")
    broker.stop()
    broker.start()  # What is read now comes from the store, not from the memory of what was written.
    before = broker.rss()
    ask = fetch("wide", 0, 0, max_bytes=50 * MIB, partition_max_bytes=50 * MIB)
    ask["topics"][0]["partitions"] = [dict(ask["topics"][0]["partitions"][0], partition=n) for n in range(4)]
    frame = wire.request("Fetch", 12, ask)
    clients, peak = [], before
    for _ in range(40):
        client = broker.connect()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(BlockingIOError):
            client.socket.setblocking(False)
            for _ in range(200):
                client.socket.send(frame)
        clients.append(client)
    for _ in range(30):
        peak = max(peak, broker.rss())
        time.sleep(0.1)
    for client in clients:
        client.close()
    print(f"    resident memory: {before / MIB:.0f} MiB before, {peak / MIB:.0f} MiB at most")
    ensure(peak - before < 400 * MIB, "clients that take no answers make the broker grow without bound")
    say("40 clients that pipeline 8,000 fetches of 50 MiB each and read nothing: memory stays bounded")


class SlowLoris:
    """Sends a byte now and then."""

    def __init__(self, broker):
        self.began, self.clients = time.monotonic(), [broker.connect(60) for _ in range(20)]
        for client in self.clients:
            client.send(struct.pack(">i", 5000))

    def drip(self):
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.send(b"\0")

    def check(self, broker):
        while time.monotonic() - self.began < 32:
            self.drip()
            time.sleep(0.5)
        for client in self.clients:
            ensure(client.closed(10), "a client that sends a byte now and then is never closed")
            client.close()
        broker.expect("a request of 5000 bytes did not arrive in time", 20)
        say("20 clients that send a byte now and then: closed after 30 s, with a line each")


def many_connections():
    broker = Broker("connections", port=PORT + 2, http=PORT + 3, files=(512, 3000)).start()
    broker.create("c")
    opened, refused = [], 0
    with broker.connect() as good:
        for _ in range(5000):
            opened.append(socket.create_connection(("127.0.0.1", broker.port), 20))
        time.sleep(1)
        for one in opened:
            one.setblocking(False)
            try:
                refused += one.recv(1) == b""
            except BlockingIOError:
                pass
            except ConnectionResetError:
                refused += 1
        answer = good.ask("Produce", 9, produce("c", 0, batch()))
        ensure(answer["responses"][0]["partitions"][0]["error_code"] == 0, "a connection that was there")
        kept = len(opened) - refused
        ensure(kept == 3000 - 256 - 1, f"{kept} of 5,000 connections are kept")
        line = broker.expect("as many as allowed are open")
        ensure(broker.log().count("as many as allowed") == 1, "each refused connection is logged")
        print(f"    {reason(line)}")
        for one in opened:
            one.close()
    time.sleep(0.5)
    ensure(broker.produce("c", batch())["error_code"] == 0, "a new connection afterwards")
    rss = broker.rss()
    ensure(broker.stop() == 0, "the exit code")
    say(f"5,000 connections opened and left, 3,000 files allowed: {kept} kept, {refused} closed, one line; the store "
        f"goes on, and so do new connections when they are gone ({rss / MIB:.0f} MiB)")


def objects_with(broker, marker):
    return [path for path in pathlib.Path(broker.store, "wal").rglob("*") if path.is_file()
            and marker in path.read_bytes()]


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def damaged_objects(broker):
    topics = ("damaged", "missing", "sound", "index", "gone")
    broker.create(*topics)
    for topic in topics:
        for n in range(3):
            ensure(broker.produce(topic, batch((b"marker-%s-%d" % (topic.encode(), n),)))["error_code"] == 0, topic)
    ensure(broker.stop() == 0, "the exit code")
    (damaged,), (missing,) = objects_with(broker, b"marker-damaged-1"), objects_with(broker, b"marker-missing-1")
    sound = damaged.read_bytes()
    flip(damaged, sound.index(b"marker-damaged-1"))
    # Before the start: what is said of their batches can't be read either.
    (index,), (gone,) = objects_with(broker, b"marker-index-1"), objects_with(broker, b"marker-gone-1")
    index_sound, gone_away = index.read_bytes(), SCRATCH / "gone"
    flip(index, len(index_sound) - 10)
    gone.rename(gone_away)
    broker.start()
    ensure(broker.metric("levee_damaged_reads_total") >= 2, "the metric counts what was met at the start")
    away = SCRATCH / "away"
    missing.rename(away)
    key = lambda path: str(path.relative_to(broker.store))
    for topic, path in (("index", index), ("gone", gone)):
        line = f"a part of a partition can't be read.*{re.escape(key(path))}"
        ensure(re.search(line, broker.log()), f"no line names {key(path)} at the start")
    for topic, path in (("damaged", damaged), ("missing", missing), ("index", index), ("gone", gone)):
        before = broker.metric("levee_damaged_reads_total")
        answer = broker.fetch(topic, 1)
        ensure(answer["error_code"] == STORAGE_ERROR, f"{topic}: {answer}")
        line = broker.expect(f"can't be read.*{re.escape(key(path))}")
        ensure(broker.metric("levee_damaged_reads_total") > before, "the metric of damaged reads does not count")
        print(f"    {topic}: KAFKA_STORAGE_ERROR; {reason(line)}")
        ensure(b"marker-sound-1" in broker.fetch("sound", 1)["records"], "another partition")
        answer = broker.produce(topic, batch((b"goes on",)))
        ensure((answer["error_code"], answer["base_offset"]) == (0, 3), f"producing to {topic}: {answer}")
        for offset, text in ((0, b"-0"), (2, b"-2"), (3, b"goes on")):
            ensure(text in broker.fetch(topic, offset)["records"], f"reading {topic} beside the damage")
    damaged.write_bytes(sound)
    away.rename(missing)
    index.write_bytes(index_sound)
    gone_away.rename(gone)
    for topic in ("damaged", "missing", "index", "gone"):
        ensure(b"marker-%s-1" % topic.encode() in broker.fetch(topic, 1)["records"], f"{topic} after it was restored")
    say("a corrupt and a missing object, met at the start or later: reads of it fail with KAFKA_STORAGE_ERROR, a line and "
        "a metric; the rest of the partition, other partitions and producing go on; restored, it is read again")


def refuses_to_start(broker, path, change, what):
    before = path.read_bytes()
    change(path)
    broker.spawn()
    try:
        code = broker.process.wait(20)
    except subprocess.TimeoutExpired:
        broker.process.kill()
        broker.process.wait()
        fail(f"{what}: the broker does not refuse to start: {broker.log()[broker.mark:][-600:]}")
    text = broker.log()[broker.mark:]
    text = text[text.rfind("levee: "):].strip()
    path.write_bytes(before) if before else None
    ensure(code not in (0, 101, -6), f"{what}: exit code {code}: {text}")
    key = str(path.relative_to(broker.store))
    ensure(key in text, f"{what}: the error does not name {key}: {text}")
    return text


def damaged_metadata():
    broker = Broker("metadata", port=PORT + 2, http=PORT + 3).start()
    broker.create(*(f"m{n}" for n in range(20)))
    for n in range(20):
        ensure(broker.produce(f"m{n}", batch((b"m%d" % n,)))["error_code"] == 0, "filling")
    broker.stop(signal.SIGKILL)
    journal = sorted(path for path in pathlib.Path(broker.store, "journal").rglob("*") if path.is_file())
    wal = sorted(path for path in pathlib.Path(broker.store, "wal").rglob("*") if path.is_file())
    shown = None
    for path in journal + wal[:3] + wal[-3:]:
        size = path.stat().st_size
        inside = [100, 200, size // 2, size - 1] if "journal" in str(path) else [100, 300, size - 10]
        for at in inside:
            if path.read_bytes()[at:at + 1]:
                shown = refuses_to_start(broker, path, lambda path: flip(path, at), f"{path} at {at}")
        shown = refuses_to_start(broker, path, lambda path: os.truncate(path, size // 2), f"{path} cut in half")
    print("    " + shown.replace("\n", "\n    "))
    broker.start()
    for n in range(20):
        ensure(b"m%d" % n in broker.fetch(f"m{n}", 0)["records"], "after the bytes were restored")
    ensure(broker.stop() == 0, "the exit code")
    say(f"a flipped or missing byte in each of {len(journal)} journal objects, and in headers and indexes of the "
        "write-ahead log: the start is refused, naming the object; restored, everything is there")


def command_line(broker):
    """Each is refused, and the error says what to do."""
    def refused(what, pattern, *options, code=None, env=None):
        done = subprocess.run([LEVEE, "serve", *options], capture_output=True, text=True, timeout=30,
                              env=os.environ | (env or {}))
        text = done.stderr.strip()
        ensure(done.returncode not in (0, 101, -6), f"{what}: exit code {done.returncode}")
        ensure(re.search(pattern, text, re.S), f"{what}: {text!r} is not like {pattern!r}")
        print(f"    {what}: {' '.join(text.split())[:250]}")

    free = ["--listen", f"127.0.0.1:{PORT + 4}", "--http", ""]
    elsewhere = ["--store", str(SCRATCH / "elsewhere")]
    refused("a second broker on the folder", f"{broker.process.pid}", "--store", broker.store, *free)
    config = SCRATCH / "levee.toml"
    for what, text, pattern in (("an unknown key", "node-idd = 3\n", "node-idd"),
                                ("a bad value", "node-id = 'three'\n", "node-id"),
                                ("a value out of range", "wal-in-flight = 99\n", "wal-in-flight.*16"),
                                ("not TOML", "listen: 9092\n", "levee.toml"), ("not text", None, "levee.toml")):
        config.write_bytes(b"\xff\xfe\0" if text is None else text.encode())
        refused(f"config file, {what}", pattern, "--config", str(config), *free)
    refused("a config file that isn't there", "can't read.*none.toml", "--config", str(SCRATCH / "none.toml"), *free)
    refused("a config file that is a folder", "can't read", "--config", str(SCRATCH), *free)
    refused("a wildcard without --advertise", "--advertise", *elsewhere, "--listen", f"0.0.0.0:{PORT + 4}", "--http", "")
    refused("a port in use", f"{PORT}.*in use", *elsewhere, "--listen", f"127.0.0.1:{PORT}", "--http", "")
    refused("an HTTP port in use", f"{HTTP}.*in use", *elsewhere, "--listen", f"127.0.0.1:{PORT + 4}",
            "--http", f"127.0.0.1:{HTTP}")
    refused("an address that is none", "listen", *elsewhere, "--listen", "127.0.0.1", "--http", "")
    refused("a store with a typo", "s4", "--store", "s4://bucket/x", *free)
    refused("a store without a bucket", "s3://", "--store", "s3://", *free)
    refused("a store below a file", "levee.toml", "--store", str(config / "below"), *free)
    refused("an unknown option", "--stor", "--stor", "x")
    refused("a bad environment variable", "LEVEE_NODE_ID|node-id", env={"LEVEE_NODE_ID": "three"})
    refused("a bad --advertise", "HOST:PORT", *elsewhere, *free, "--advertise", "nowhere")
    refused("a bad log filter", "log", *elsewhere, *free, "--log-level", "info,=")
    say("command line, environment and config file: each mistake is refused with a line that says what to do")


def unreachable_store():
    broker = Broker("unreachable", "s3://bucket/levee", port=PORT + 2, http=PORT + 3, env={
        "AWS_ENDPOINT": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}).spawn()
    line = broker.expect("waiting for the store")
    code, text = broker.health()
    ensure(code == 503 and "waiting for the store" in text, f"/health says {code}: {text}")
    print(f"    {reason(line)[:300]}\n    /health {code}: {text.strip()[:300]}")
    began = time.monotonic()
    ensure(broker.stop() == 0, "SIGTERM while it waits")
    ensure(time.monotonic() - began < 5, "SIGTERM while it waits takes too long")
    say("an S3 endpoint that can't be reached: the broker waits, says so in log and /health, and stops when told to")


def main():
    only = sys.argv[4:]
    wanted = lambda case: not only or case.__name__ in only
    broker = Broker("broker").start()
    pid = broker.process.pid
    broker.create("good")
    good = Good(broker)
    good.start()
    loris = SlowLoris(broker) if wanted(SlowLoris) else None
    broker.mark = len(broker.log())
    before = broker.rss()
    for case in (garbage_frames, other_protocols, unknown_apis, array_lengths, truncated_requests, bad_batches,
                 command_line):
        if wanted(case):
            case(broker)
            if loris:
                loris.drip()
    for case in (many_connections, damaged_metadata, unreachable_store):
        if wanted(case):
            case()
            if loris:
                loris.drip()
    if loris:
        loris.check(broker)
    print(f"    resident memory: {before / MIB:.0f} MiB before, {broker.rss() / MIB:.0f} MiB after all of this")
    ensure(broker.process.poll() is None and broker.process.pid == pid, "the broker did not stay up")
    good.check()
    # These two restart the broker.
    for case in (greedy_readers, damaged_objects):
        if wanted(case):
            case(broker)
    ensure(broker.process.poll() is None, "the broker did not stay up")
    ensure(broker.stop() == 0, "the exit code")
    ensure("panicked" not in "".join(path.read_text() for path in SCRATCH.glob("*.log")), "something panicked")
    print("bad-input: everything was refused with a reason, nothing was lost")


main()
