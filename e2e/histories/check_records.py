"""What must hold of records, whoever wrote and read them: each one that was acknowledged is there, once, in order, and
an offset holds one record, before and after every restart."""

import collections

from recorded import COMMITTED, READ_COMMITTED, READ_UNCOMMITTED

# A producer without idempotence may write a record twice, and in another order.
LOOSE = ("plain",)


def check(history):
    yield from known(history)
    yield from one_value(history)
    yield from acknowledged(history)
    yield from vanished(history)
    yield from once_in_order(history)
    yield from undelivered(history)


def known(history):
    """What is read was written so."""
    for read in history.reads:
        sent = history.sent.get(read.ident)
        if read.ident is None:
            yield "damaged", str(read)
        elif sent is None:
            yield "unknown", str(read)
        elif read.part != f"{sent['topic']}/{sent['partition']}":
            yield "elsewhere", f"{read}, sent to {sent['topic']}/{sent['partition']}"
        elif read.ts != sent["ts"]:
            yield "timestamp", f"{read} has {read.ts}, was sent with {sent['ts']}"


def one_value(history):
    holds = {}
    found = [(f"{event['topic']}/{event['partition']}", event["offset"], event["id"], event)
             for event in history.by["acked"]]
    found += [(read.part, read.offset, read.ident, read) for read in history.reads]
    for part, offset, ident, evidence in found:
        other, first = holds.setdefault((part, offset), (ident, evidence))
        if other != ident:
            yield "two values", f"{part}@{offset}: {told(first)}; and {told(evidence)}"


def told(evidence):
    if isinstance(evidence, dict):
        return f"{evidence['id']} acknowledged to {evidence['who']} at {evidence['t']:.3f}"
    return str(evidence)


def acknowledged(history):
    """In the end, an acknowledged record is where it was said to be, unless the log begins behind it."""
    for event in history.by["acked"]:
        part, offset, ident = f"{event['topic']}/{event['partition']}", event["offset"], event["id"]
        if offset < history.low(part):
            continue
        fate = history.fate(ident)
        views = [READ_UNCOMMITTED] + [READ_COMMITTED] * (fate in (None, COMMITTED))
        for isolation in views:
            if history.final[isolation][part].get(offset) != ident:
                holds = history.final[isolation][part].get(offset, "nothing")
                yield "lost", f"{told(event)} for {part}@{offset}: {isolation} finds {holds}"


def vanished(history):
    """What any reader was shown is there in the end."""
    for read in history.reads:
        isolation = history.starts[read.who]["isolation"]
        if read.offset >= history.low(read.part) and read.offset not in history.final[isolation][read.part]:
            yield "vanished", f"{read} ({isolation})"


def once_in_order(history):
    """Of all places in which a record was ever seen; and the order in which its producer sent it."""
    places, by_part = collections.defaultdict(set), collections.defaultdict(set)
    for read in history.reads:
        places[read.ident].add((read.part, read.offset))
    for event in history.by["acked"]:
        places[event["id"]].add((f"{event['topic']}/{event['partition']}", event["offset"]))
    for ident, these in places.items():
        if ident not in history.sent:
            continue
        writer = history.sent[ident]["who"]
        if history.role(writer) in LOOSE:
            continue
        if len(these) > 1:
            yield "duplicate", f"{ident} at {sorted(these)}"
        for part, offset in these:
            by_part[writer, part].add((offset, int(ident.rsplit("-", 1)[1])))
    for (writer, part), these in by_part.items():
        last, before = -1, None
        for offset, number in sorted(these):
            if number < last:
                yield "disorder", f"{part}: {writer}-{number} at {offset} stands behind {writer}-{last} at {before}"
            elif number > last:
                last, before = number, offset


def undelivered(history):
    """Outages here are far shorter than what producers put up with."""
    for event in history.by["failed"]:
        ident = event["id"]
        if history.sent[ident].get("txn") is None and not event["definite"]:
            yield "undelivered", f"{ident}: {event['error']} at {event['t']:.3f}"
    for event in history.by["end"]:
        if event.get("left"):
            yield "undelivered", f"{event['who']} ended with {event['left']} records in its queue"
    definite = {event["id"]: event for event in history.by["failed"] if event["definite"]}
    for read in history.reads:
        if read.ident in definite:
            yield "written after all", f"{read}; {definite[read.ident]['error']} said that it was refused"
