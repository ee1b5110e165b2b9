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
# Groups have committed to the end this long after the last record.
DRAINED_S = 30 * PATIENCE

DOES = {
    "idempotent": ("acked",), "plain": ("acked",), "stamps": ("acked",), "transactional": ("committed", "aborted"),
    "transform": ("committed", "aborted"), "member": ("read",), "visitor": ("read",), "tail": ("read",), "watcher": ("fetched",),
    "looker": ("times",),
}


def check(history):
    yield from progress(history)
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
    broker; that is a fault of its own."""
    faults = [event["t"] for event in history.by["kill"]] + [ending(history)]
    ends, deaths = {}, collections.defaultdict(list)
    for event in history.by["client-killed"]:
        ends[event["client"]] = event["t"]
        deaths[history.starts.get(event["client"], {}).get("group")].append(event["t"])
    for event in history.by["end"]:
        ends[event["who"]] = event["t"]
    for healed in history.by["healed"]:
        began, deadline = healed["t"], healed["t"] + PROGRESS_S
        if deadline > faults[-1]:
            continue
        for who, start in history.starts.items():
            if start["role"] not in DOES or start["t"] > began or ends.get(who, deadline) < deadline:
                continue
            died = deaths[start["group"]] if start.get("group") else []
            if not (any(began < fault < deadline for fault in faults)
                    or any(began - SESSION_S < death < deadline for death in died)):
                yield who, deadline, began


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
            yield "fatal", f"{event['who']} at {event['t']:.3f}: {event['error']}: {event['text']}"
        elif event["error"] == "_AUTO_OFFSET_RESET" and event["part"].split("/")[0] not in expiring:
            yield "position lost", f"{event['who']}, {event['part']}, at {event['t']:.3f}: {event['text']}"
