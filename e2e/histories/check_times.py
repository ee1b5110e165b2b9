"""What must hold of logs' beginnings and of look-ups by timestamp: a beginning goes forward, no further than retention
and DeleteRecords allow, and a look-up finds the first record at or behind it whose timestamp is not smaller."""

import bisect
import collections


def check(history):
    records = Records(history)
    yield from looked_up(history, records)
    yield from beginnings(history, records)


class Records:
    """By part, in order of offsets: timestamps, and since when a client knows that the record can be read."""

    def __init__(self, history):
        found = collections.defaultdict(dict)

        def add(part, offset, ident, t):
            if ident in history.sent:
                ts, known = found[part].get(offset, (history.sent[ident]["ts"], t))
                found[part][offset] = ts, min(known, t)

        for event in history.by["acked"]:
            add(f"{event['topic']}/{event['partition']}", event["offset"], event["id"], event["t"])
        for read in history.reads:
            add(read.part, read.offset, read.ident, read.t)
        self.found = found
        self.offsets = {part: sorted(these) for part, these in found.items()}

    def between(self, part, low, end):
        """Offset, timestamp and since when it is known, of all from LOW to before END (None: the last)."""
        offsets = self.offsets.get(part, [])
        for at in range(bisect.bisect_left(offsets, low), len(offsets)):
            offset = offsets[at]
            if end is not None and offset >= end:
                return
            yield offset, *self.found[part][offset]


def looked_up(history, records):
    for event in history.by["times"]:
        part, asked, answer = event["part"], event["asked"], event["offset"]
        low_before, low_after = event["low_before"], event["low_after"]
        said = (f"{event['who']} asked {part} for {asked} at {event['asking']:.3f} and was told {answer}; the log began "
                f"at {low_before} before and {low_after} after")
        if answer >= 0:
            if answer < low_before:
                yield "below the start", said
            ts, _ = records.found[part].get(answer, (asked, 0))
            if ts < asked:
                yield "too early", f"{said}; that has {ts}"
        for offset, ts, known in records.between(part, low_after, answer if answer >= 0 else None):
            if ts >= asked and known < event["asking"]:
                yield "not the first", f"{said}; {offset} has {ts}"
                break


def beginnings(history, records):
    retention = {event["topic"]: event["retention_ms"] for event in history.by["topic"]}
    reached = collections.defaultdict(int)  # by part, by an answer that came before the next question
    checked = collections.defaultdict(int)
    pending = collections.defaultdict(list)
    for event in sorted(history.by["low"], key=lambda event: event["began"]):
        part, low = event["part"], event["low"]
        for t, other in list(pending[part]):
            if t < event["began"]:
                reached[part] = max(reached[part], other)
                pending[part].remove((t, other))
        if low < reached[part]:
            yield "start went back", f"{part} began at {low} at {event['t']:.3f}, and at {reached[part]} before"
        pending[part].append((event["t"], low))
        keep_ms = retention.get(part.split("/")[0])
        deleted = history.removed_by(part, event["t"])
        for offset, ts, _ in records.between(part, max(checked[part], deleted), low):
            if keep_ms is None or ts >= event["wall"] - keep_ms:
                yield "removed too soon", (f"{part} began at {low} at {event['t']:.3f} although {offset} is of {ts}, "
                                           f"{event['wall'] - ts} ms old")
                break
        checked[part] = max(checked[part], low)
