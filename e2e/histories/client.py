"""What every client of a history has: its pen, the bytes of its records, and when it has to stop.

A history is a folder of files `WHO.jsonl`, one for each process. A line is an event, a JSON object with

    t       the monotonic clock of the machine, in seconds: it is the same for all processes
    who     the client, `NAME.INCARNATION`
    do      what happened; the fields that come with it are listed here

Of every client: `start` (role, and for consumers group, protocol, isolation), `end`, `error` (error, text, fatal, and the part that it is about).
Of producers: `sent` (id, topic, partition, ts, txn, source: the part and offset that it was made of), `acked` (id, topic, partition, offset), `failed` (id, error,
    definite).
Of transactions: `begin`, `committing`, `committed`, `aborting`, `aborted`, `fenced` (txn each), and `offsets` (txn,
    group, offsets): what is committed for a group with it; `refused` (txn, error): the commit of a fenced producer;
    `hangs` (call): the client ended because librdkafka did not return.
Of consumers: `assigned`, `revoked`, `lost` (parts), `seek` (part, offset), `read` (records: topic, partition, offset,
    id or null if it is damaged, timestamp in ms), `eof` (part, offset), `commit` (n, group, offsets) and
    `commit-ok` or `commit-failed` (n, error), `fetched` (group, began, offsets: what is committed, -1 for nothing).
Of look-ups: `times` (part, asked, offset, low_before, low_after, began), `low` (part, low, wall in ms, began), `delete`
    (part, before) and `deleted` (part, low).
Of the harness: `topic` (topic, partitions, retention_ms), `kill` and `healed` (n; 0 is when all clients had begun),
    `cut`, `client-killed` (client), `producers-ended` (ends, groups: which have to come to these ends), `stable` (part,
    last_stable, high), `final-low` (part, low: where logs began after the last reading), `end`.

A part is written `TOPIC/PARTITION`. An event stands in its file when its client goes on, so that a client that is
killed has written down all that it asked for.
"""

import json
import os
import pathlib
import random
import sys
import time
import zlib


def part(topic, partition):
    return f"{topic}/{partition}"


class Client:
    """A process of the load: its name, its pen, its choices."""

    def __init__(self, folder, bootstrap, who, seed, **described):
        self.folder, self.bootstrap, self.who = pathlib.Path(folder), bootstrap, who
        self.parent = os.getppid()
        self.random = random.Random(f"{seed} {who}")
        self.file = open(self.folder / f"{who}.jsonl", "a")
        self.number = 0
        self.expected = False  # whether an error is what a client has coming
        self.note("start", **described)

    def note(self, do, **fields):
        line = json.dumps({"t": round(time.monotonic(), 6), "who": self.who, "do": do, **fields})
        self.file.write(line + "\n")
        self.file.flush()

    def going(self, until):
        """Whether there is no file UNTIL yet. A client ends with whoever started it."""
        if os.getppid() != self.parent:
            sys.exit("whoever started this has gone")
        return not (self.folder / until).exists()

    def error(self, error, **fields):
        """For librdkafka's error_cb; what is not fatal is about connections and is no fault."""
        self.note("error", error=error.name(), text=error.str(), fatal=error.fatal() and not self.expected, **fields)

    def config(self, **more):
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": self.who,
            "error_cb": self.error,
            "log_level": 0,
            # Load comes back soon after the broker does.
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 200,
            "socket.timeout.ms": 10_000,
            **more,
        }

    def ident(self):
        self.number += 1
        return f"{self.who}-{self.number}"


def value_of(ident, size):
    """SIZE letters after a head that says what the record is and what its sum must be."""
    body = f"{ident}|".encode().ljust(len(ident) + 1 + size, b".")
    return b"%08x|%s" % (zlib.crc32(body), body)


def ident_of(value):
    """What a record is, or None of one that is damaged."""
    crc, _, body = (value or b"").partition(b"|")
    try:
        whole = int(crc, 16) == zlib.crc32(body)
    except ValueError:
        return None
    return body.split(b"|", 1)[0].decode() if whole else None
