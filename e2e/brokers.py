"""The brokers that are measured side by side: Levee on a folder, and stock Apache Kafka as it comes and with fsync."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import run

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LEVEE = Path(os.environ.get("LEVEE", ROOT / "target/release/levee"))
SCRATCH = Path(os.environ.get("E2E_DIR", ROOT / "target/e2e"))
KAFKA = HERE / "kafka/kafka"
LISTENING_S = 6


class Levee:
    """A broker on a folder, with options of `levee serve`."""

    name = "levee"
    title = "Levee"

    def __init__(self, scratch, port=19392, options=()):
        self.scratch, self.port, self.options = scratch, port, options

    def start(self):
        """Starts it with no data; returns the seconds until it listened."""
        # Deleted at the end of the run: ext4 looks at inodes that were deleted in the last minutes one by one
        # whenever it needs one, which would make each round pay for the one before.
        self.data = Path(tempfile.mkdtemp(prefix="levee-", dir=self.scratch))
        self.log = open(self.scratch / "levee.log", "ab")
        began = time.monotonic()
        self.process = subprocess.Popen(
            [LEVEE, "serve", "--store", self.data, "--listen", f"127.0.0.1:{self.port}", "--http", "", *self.options],
            stderr=self.log,
        )
        self.pid = self.process.pid
        wait_for_port(self.port)
        return time.monotonic() - began

    def create(self, topic, partitions):
        run([LEVEE, "topic", "--bootstrap-server", f"127.0.0.1:{self.port}", "create", topic,
             "--partitions", str(partitions)])

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Kafka:
    """Stock Apache Kafka, one node, acknowledging from the page cache: its default. Options are those of server.properties."""

    name = "kafka"
    title = "Apache Kafka"
    flags = ()

    def __init__(self, port=19393, options=()):
        self.port, self.options = port, [word for option in options for word in ("--set", option)]

    def start(self):
        """Starts it with no data; returns the seconds until it listened."""
        said = run([KAFKA, "up", "--port", str(self.port), *self.flags, *self.options])
        self.pid = int(run([KAFKA, "pid", "--port", str(self.port)]))
        return int(re.search(r"listening after (\d+) ms", said)[1]) / 1000

    def create(self, topic, partitions):
        run([KAFKA, "topics", "--bootstrap-server", f"127.0.0.1:{self.port}", "--create", "--topic", topic,
             "--partitions", str(partitions)])

    def stop(self):
        run([KAFKA, "down", "--port", str(self.port)])


class KafkaFsync(Kafka):
    """The same, with what is acknowledged on disk."""

    name = "kafka-fsync"
    title = "Apache Kafka, fsync"
    flags = ("--fsync",)


def wait_for_port(port):
    until = time.monotonic() + LISTENING_S
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.01)
    sys.exit(f"nothing listens on port {port} after {LISTENING_S} s")


def chosen(parser, names, brokers):
    """The brokers of these names (by commas), in that order; ends the program, as the parser does, where there is none."""
    known = {b.name: b for b in brokers}
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        parser.error(f"unknown {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names.split(",")]


def on_disk(name):
    """An empty folder for a measurement's data, and its file system, which must not be a RAM disk."""
    scratch = SCRATCH / name
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    file_system = run(["stat", "-f", "-c", "%T", str(scratch)]).strip()
    if file_system in ("tmpfs", "ramfs"):
        sys.exit(f"{scratch} is on a RAM disk, which says nothing about durable writes; set E2E_DIR")
    return scratch, file_system
