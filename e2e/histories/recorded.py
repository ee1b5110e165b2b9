"""A recorded history, put in order for the checks. It knows nothing of how clients work; client.py lists the events."""

import bisect
import collections
import json
import pathlib

NEVER = float("inf")
COMMITTED, READ_COMMITTED, READ_UNCOMMITTED = "committed", "read_committed", "read_uncommitted"
ABORTED, DOUBT = "aborted", "in doubt"


class Transaction:
    """What is known of one: its records in the order in which they were sent, and the times of its steps."""

    def __init__(self):
        self.ids, self.offsets, self.at = [], [], {}

    @property
    def fate(self):
        """A transaction whose commit was never asked for cannot be committed, whatever became of its client."""
        if "committed" in self.at and "fenced" not in self.at:
            return COMMITTED
        if "aborted" in self.at or "fenced" in self.at or "committing" not in self.at:
            return ABORTED
        return DOUBT


class History:
    """Events in the order of their times, and what the checks look up."""

    def __init__(self, events):
        self.events = sorted(events, key=lambda event: event["t"])
        self.by = collections.defaultdict(list)  # kind to events
        self.of = collections.defaultdict(list)  # client to events
        for event in self.events:
            self.by[event["do"]].append(event)
            self.of[event["who"]].append(event)
        self.starts = {event["who"]: event for event in self.by["start"]}
        self.sent = {event["id"]: event for event in self.by["sent"]}
        self.killed = {event["client"] for event in self.by["client-killed"]}
        self.transactions = self.gather_transactions()
        self.reads = [Read(event, *record) for event in self.by["read"] for record in event["records"]]
        self.lows = {event["part"]: event["low"] for event in self.by["final-low"]}
        self.final = {READ_COMMITTED: collections.defaultdict(dict), READ_UNCOMMITTED: collections.defaultdict(dict)}
        for read in self.reads:
            if self.role(read.who) == "final":
                self.final[self.starts[read.who]["isolation"]][read.part][read.offset] = read.ident
        self.removed = self.gather_removed()

    def gather_transactions(self):
        transactions = collections.defaultdict(Transaction)
        for event in self.events:
            name = event.get("txn")
            if name is None:
                continue
            if event["do"] == "sent":
                transactions[name].ids.append(event["id"])
            elif event["do"] == "offsets":
                transactions[name].offsets.append(event)
            else:
                transactions[name].at.setdefault(event["do"], event["t"])
        return transactions

    def gather_removed(self):
        """By part: times and how far clients had asked for records to be deleted by then."""
        removed = collections.defaultdict(lambda: ([], []))
        for event in self.by["delete"]:
            times, furthest = removed[event["part"]]
            times.append(event["t"])
            furthest.append(max(event["before"], furthest[-1] if furthest else 0))
        return removed

    def removed_by(self, part, t):
        times, furthest = self.removed[part]
        at = bisect.bisect_right(times, t)
        return furthest[at - 1] if at else 0

    def role(self, who):
        return self.starts.get(who, {}).get("role")

    def low(self, part):
        """Where the log began at the end of the run."""
        return self.lows.get(part, 0)

    def fate(self, ident):
        """That of a record's transaction; None if it has none."""
        name = self.sent.get(ident, {}).get("txn")
        return None if name is None else self.transactions[name].fate

    def expiring(self):
        """Topics whose records go by time or by DeleteRecords."""
        named = {event["topic"] for event in self.by["topic"] if event["retention_ms"] is not None}
        return named | {part.split("/")[0] for part in self.removed}


class Read:
    """A record as a consumer got it."""

    def __init__(self, event, topic, partition, offset, ident, ts):
        self.t, self.who = event["t"], event["who"]
        self.topic, self.part, self.offset, self.ident, self.ts = topic, f"{topic}/{partition}", offset, ident, ts

    def __str__(self):
        return f"{self.ident} at {self.part}@{self.offset}, read by {self.who} at {self.t:.3f}"


def load(folder):
    """The events of a folder. The last line of a client that was killed may be torn."""
    events = []
    for path in sorted(pathlib.Path(folder).glob("*.jsonl")):
        lines = path.read_text().split("\n")
        for number, line in enumerate(lines):
            try:
                event = json.loads(line)
            except ValueError:
                if number + 1 == len(lines):
                    continue
                raise ValueError(f"{path}:{number + 1}: not an event") from None
            events.append(event)
    return events
