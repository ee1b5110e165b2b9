"""What must hold of time: after a fault has healed every client gets on soon, open transactions end, groups come to
the end, and nothing was fatal to a client."""

import collections
import os

# Of a machine that is busy with other things all is that much slower.
PATIENCE = float(os.environ.get("PATIENCE", "1"))
# Every client that lives through it has done something this long after a fault healed.
PROGRESS_S = 10 * PATIENCE
# How long a group misses a member that has died.
SESSION_S = 6
# A transaction that its producer left is aborted, and readers pass it: its time-out, and Kafka's interval of 10 s.
STABLE_S = 20 * PATIENCE
# A partition of a group whose members come and go with different protocols is read by one of them again after so long,
# and a session later after a fault in which they may have been taken for dead, or the broker by them.
HANDED_OVER_S = 8 * PATIENCE
# Who reads whole topics has what was acknowledged without a transaction so soon, whatever kind of reader it is: neither
# the high watermark stands still nor, with the transactions that come and go here, the last stable offset.
SHOWN_S = 8 * PATIENCE
# Groups have committed to the end this long after the last record.
DRAINED_S = 30 * PATIENCE

DOES = {
    "idempotent": ("acked",), "plain": ("acked",), "stamps": ("acked",), "keyed": ("acked",),
    "transactional": ("committed", "aborted"), "keyed-transactional": ("committed", "aborted"),
    "transform": ("committed", "aborted"), "member": ("read",), "visitor": ("read",), "migrant": ("read",),
    "tail": ("read",), "scan": ("read", "eof"), "watcher": ("fetched",), "looker": ("times",),
}
# Those who come to a group and go.
COMING = ("visitor", "migrant")


def check(history):
    yield from progress(history)
    yield from shown(history)
    yield from handed_over(history)
    yield from stable(history)
    yield from drained(history)
    yield from fatal(history)


def progress(history):
    for who, deadline, began in judged(history):
        does = DOES[history.role(who)]
        if not any(began < event["t"] <= deadline and event["do"] in does for event in history.of[who]):
            yield "no progress", f"{who}: no {' or '.join(does)} within {PROGRESS_S:g} s of {began:.3f}"


def judged(history):
    """Clients, and from when until when each has to make progress: after each fault that has healed for so long, unless
    the client ends first. A group whose member has died waits for the end of its session, which begins anew with the
    broker; that is a fault of its own. So it is where the session was to end while the store misbehaved: what the broker
    made of it then it may have to do again. Who comes into a consumer group is given what others have by two heartbeats,
    theirs and its own, which are 5 s apart each: one that has not been given anything yet is not judged."""
    faults = [event["t"] for event in history.by["kill"] + history.by["storm"]] + [ending(history)]
    ends, deaths, given = {}, collections.defaultdict(list), {}
    for event in history.by["assigned"]:
        if event["parts"]:
            given.setdefault(event["who"], event["t"])
    for event in history.by["client-killed"]:
        ends[event["client"]] = event["t"]
        deaths[history.starts.get(event["client"], {}).get("group")].append(event["t"])
    for event in history.by["end"]:
        ends[event["who"]] = event["t"]
    for healed in history.by["healed"]:
        began, deadline = healed["t"], healed["t"] + PROGRESS_S
        if deadline > faults[-1]:
            continue
        of_it = [event["t"] for event in history.by["kill"] + history.by["storm"] if event["n"] == healed["n"]]
        broke = min(of_it, default=began)
        for who, start in history.starts.items():
            if start["role"] not in DOES or start["t"] > began or ends.get(who, deadline) < deadline:
                continue
            if start["role"] in COMING and given.get(who, deadline) > began:
                continue
            died = deaths[start["group"]] if start.get("group") else []
            if not (any(began < fault < deadline for fault in faults)
                    or any(broke - SESSION_S < death < deadline for death in died)):
                yield who, deadline, began


def shown(history):
    """While nothing is wrong, readers come on."""
    passing = history.expiring() | history.compacted
    readers = {who: {} for who, start in history.starts.items() if start["role"] == "tail"}
    for each in history.reads:
        if each.who in readers:
            readers[each.who].setdefault((each.part, each.offset), each.t)
    stretches = list(calm(history))
    for event in history.by["acked"]:
        if event["topic"] in passing or history.fate(event["id"]) is not None:
            continue
        due = event["t"] + SHOWN_S
        if not any(began < event["t"] and due < ended for began, ended in stretches):
            continue
        part = f"{event['topic']}/{event['partition']}"
        for who, got in readers.items():
            # A reader that never gets it is another matter.
            if history.starts[who]["t"] < event["t"] and got.get((part, event["offset"]), due) > due:
                yield "shown late", (f"{who} was shown {event['id']} at {part}@{event['offset']} at "
                                     f"{got[part, event['offset']]:.3f}, acknowledged at {event['t']:.3f}")


def handed_over(history):
    """While nothing else is wrong, members that come and go leave no partition to nobody for long."""
    groups = {start["group"] for start in history.starts.values() if start["role"] == "migrant"}
    read = collections.defaultdict(lambda: collections.defaultdict(list))
    for each in history.reads:
        group = history.starts[each.who].get("group")
        if group in groups:
            read[group][each.part].append(each.t)
    for began, ended in calm(history):
        first_s = HANDED_OVER_S + (SESSION_S if lasted(history, began) > SESSION_S - 1 else 0)
        for group, parts in read.items():
            for part, times in parts.items():
                inside = [began, *(t for t in times if began < t < ended), ended]
                for since, after in zip(inside, inside[1:]):
                    if after - since > (first_s if since == began else HANDED_OVER_S):
                        yield "not handed over", (f"{group} read nothing of {part} for {after - since:.1f} s from "
                                                  f"{since:.3f} on")


def calm(history):
    """From each healing to the next fault of the broker or the store, or to the end of the load."""
    faults = sorted(event["t"] for event in history.by["kill"] + history.by["storm"])
    for healed in history.by["healed"]:
        ended = min([fault for fault in faults if fault > healed["t"]] + [ending(history)])
        if ended > healed["t"]:
            yield healed["t"], ended


def lasted(history, healed):
    """How long the fault was there that has healed then."""
    before = max((event["t"] for event in history.by["healed"] if event["t"] < healed), default=0)
    faults = history.by["kill"] + history.by["storm"]
    return healed - min((event["t"] for event in faults if before < event["t"] < healed), default=healed)


def migrations(history):
    """How often a client came back to its group with the other protocol."""
    came = collections.defaultdict(list)
    for who, start in history.starts.items():
        if start["role"] == "migrant":
            came[who.rsplit(".", 1)[0]].append(start["protocol"])
    return sum(before != after for all_of in came.values() for before, after in zip(all_of, all_of[1:]))


def ending(history):
    """When the load is brought to its end."""
    ended = history.by["producers-ended"] or history.events[-1:]
    return ended[0]["t"]


def stable(history):
    """The last stable offset comes to the end when nobody writes any more."""
    since = {}
    for event in history.by["stable"]:
        part = event["part"]
        first = since.setdefault(part, event["t"])
        if event["last_stable"] >= event["high"]:
            since[part] = None
        if first is not None and since[part] is not None and event["t"] - first > STABLE_S:
            yield "not stable", f"{part}: {event['last_stable']} of {event['high']} after {STABLE_S} s"
            since[part] = None
    for part, first in since.items():
        if first is not None:
            yield "not stable", f"{part} never came to its end"


def drained(history):
    for event in history.by["producers-ended"]:
        for group in event["groups"]:
            behind = dict(event["ends"])
            for fetch in history.by["fetched"]:
                if event["t"] <= fetch["t"] <= event["t"] + DRAINED_S and fetch["group"] == group:
                    for part, offset in fetch["offsets"].items():
                        if offset >= behind.get(part, float("inf")):
                            del behind[part]
            if behind:
                yield "not drained", f"{group} has not committed {behind} within {DRAINED_S} s of the last record"


def fatal(history):
    expiring = history.expiring()
    for event in history.by["error"]:
        if event["fatal"]:
            # What was sent again is not recognized.
            kind = "sequence refused" if event["error"] == "OUT_OF_ORDER_SEQUENCE_NUMBER" else "fatal"
            yield kind, f"{event['who']} at {event['t']:.3f}: {event['error']}: {event['text']}"
        elif event["error"] == "_AUTO_OFFSET_RESET" and event["part"].split("/")[0] not in expiring:
            yield "position lost", f"{event['who']}, {event['part']}, at {event['t']:.3f}: {event['text']}"
