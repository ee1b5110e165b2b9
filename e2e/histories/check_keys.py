"""What must hold of keyed compaction: whoever reads a topic from its beginning to its end finds of each key the last
record that was committed before, or a later one, and readers of committed records find nothing else."""

import collections

from recorded import COMMITTED, READ_COMMITTED

FROM_THE_BEGINNING = ("scan", "final")


def check(history):
    known = Known(history)
    for who, start in history.starts.items():
        if start["role"] in FROM_THE_BEGINNING:
            yield from stale(history, known, who, start)


class Known:
    """By part and key, places of records that count, in the order in which that came to be known."""

    def __init__(self, history):
        self.of = collections.defaultdict(list)
        for event in history.by["acked"]:
            sent, name = history.sent[event["id"]], history.sent[event["id"]].get("txn")
            if event["topic"] not in history.compacted or sent.get("key") is None:
                continue
            since = event["t"]
            if name is not None:
                if history.fate(event["id"]) != COMMITTED:
                    continue
                since = max(since, history.transactions[name].at["committed"])
            self.of[f"{event['topic']}/{event['partition']}", sent["key"]].append((since, event["offset"], event["id"]))

    def last(self, place, t, end):
        """The one that stood last before END at a time: offset and name, or None."""
        return max((each[1:] for each in self.of[place] if each[0] < t and each[1] < end), default=None)


def stale(history, known, who, start):
    ends, found = {}, {}
    for event in history.of[who]:
        if event["do"] == "eof":
            ends.setdefault(event["part"], event["offset"])
        elif event["do"] == "read":
            for topic, partition, offset, ident, _ in event["records"]:
                part = f"{topic}/{partition}"
                if part not in ends:
                    place = part, history.sent.get(ident, {}).get("key")
                    found[place] = max((offset, ident), found.get(place, (-1, None)))
    for place in known.of:
        part, key = place
        last = known.last(place, start["t"], ends.get(part, 0))
        if last is not None and found.get(place, (-1, None)) < last:
            got = found.get(place, ("nowhere", "nothing"))
            yield "stale", (f"{who} began at {start['t']:.3f} and found of {key} in {part} {got[1]} at {got[0]} last; "
                            f"{last[1]} at {last[0]} had been committed")


def cleaned(history):
    """How many acknowledged records of compacted topics are not there any more."""
    left = history.final[READ_COMMITTED]
    return sum(1 for event in history.by["acked"] if event["topic"] in history.compacted
               and event["offset"] not in left[f"{event['topic']}/{event['partition']}"]
               and history.fate(event["id"]) in (None, COMMITTED))
