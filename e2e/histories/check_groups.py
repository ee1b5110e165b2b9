"""What must hold of consumers: positions go forward unless a client seeks, a member goes on where its group has
committed, what is committed stays so until something else is, and no record is passed over."""

import collections

from recorded import ABORTED, COMMITTED, NEVER, READ_COMMITTED


def check(history):
    commits = Commits(history)
    yield from forward(history, commits)
    yield from fetched(history, commits)
    yield from passed_over(history)
    yield from unread(history)


class Commit:
    """An offset that was asked to be committed, from when on it could be so, and by when it was (or NEVER)."""

    def __init__(self, who, offset, asked, done):
        self.who, self.offset, self.asked, self.done = who, offset, asked, done

    def __str__(self):
        done = f"done {self.done:.3f}" if self.done < NEVER else "in doubt"
        return f"{self.offset} by {self.who} (asked {self.asked:.3f}, {done})"


class Commits:
    """By group and part. A committed offset is a register: a reader gets one that could be the last."""

    def __init__(self, history):
        self.of = collections.defaultdict(list)
        done = {(event["who"], event["n"]): event["t"] for event in history.by["commit-ok"]}
        for event in history.by["commit"]:
            self.add(event["who"], event, event["t"], done.get((event["who"], event["n"]), NEVER))
        for transaction in history.transactions.values():
            if transaction.fate == ABORTED:
                continue
            settled = transaction.at["committed"] if transaction.fate == COMMITTED else NEVER
            for event in transaction.offsets:
                self.add(event["txn"], event, transaction.at["committing"], settled)

    def add(self, who, event, asked, done):
        for part, offset in event["offsets"].items():
            self.of[event["group"], part].append(Commit(who, offset, asked, done))

    def possible(self, group, part, began, ended):
        """What could be found between two times: offsets with their commits, and None for 'nothing is committed'."""
        commits = [each for each in self.of[group, part] if each.asked < ended]
        # The last one to be asked for that was done in time hides all that were done before it was asked for.
        last = max((each.asked for each in commits if each.done < began), default=None)
        found = {} if last is not None else {-1: None}
        for each in commits:
            if last is None or each.done >= last:
                found[each.offset] = each
        return found


def fetched(history, commits):
    for event in history.by["fetched"]:
        for part, offset in event["offsets"].items():
            possible = commits.possible(event["group"], part, event["began"], event["t"])
            if offset not in possible:
                said = "; ".join(str(each or "nothing") for each in list(possible.values())[-3:])
                yield "committed offset", (f"{event['who']} was told {offset} for {part} of {event['group']} at "
                                           f"{event['t']:.3f}, possible: {said}")


def forward(history, commits):
    for who, start in history.starts.items():
        if start["role"] not in ("member", "visitor", "transform", "tail", "final"):
            continue
        # By part: the least offset that may come next, and why; since when it is not known from reading.
        due = {}
        for event in history.of[who]:
            if event["do"] == "assigned":
                for part in event["parts"]:
                    due[part] = (None, event["t"])
            elif event["do"] == "seek":
                due[event["part"]] = (event["offset"], f"a seek at {event['t']:.3f}")
            elif event["do"] == "read":
                for topic, partition, offset, ident, _ in event["records"]:
                    part = f"{topic}/{partition}"
                    least, why = due.get(part, (0, "nothing"))
                    if least is None:
                        least = least_committed(commits, start, part, why, event["t"])
                        why = "what the group had committed"
                    if offset < least:
                        yield "went back", (f"{who} got {ident} at {part}@{offset} at {event['t']:.3f}, after {why} "
                                            f"{least} was the least that could come")
                    due[part] = (offset + 1, "its record before")


def least_committed(commits, start, part, assigned, read):
    if start.get("group") is None:
        return 0
    return max(0, min(commits.possible(start["group"], part, assigned, read)))


def passed_over(history):
    """What a group has committed past, one of its members has read."""
    read, isolation = collections.defaultdict(set), {}
    for each in history.reads:
        group = history.starts[each.who].get("group")
        if group is not None:
            read[group, each.part].add(each.offset)
            isolation[group] = history.starts[each.who]["isolation"]
    furthest = {}
    for event in history.by["fetched"]:
        for part, offset in event["offsets"].items():
            place = event["group"], part
            furthest[place] = max(offset, furthest.get(place, -1))
    for (group, part), end in furthest.items():
        if group not in isolation or part.split("/")[0] in history.expiring():
            continue
        for offset, ident in history.final[isolation[group]][part].items():
            if offset < end and offset not in read[group, part]:
                yield "passed over", f"{group} has committed {end} and never read {ident} at {part}@{offset}"


def unread(history):
    """Who reads whole topics gets all of them."""
    for who, start in history.starts.items():
        if start["role"] != "tail":
            continue
        got = {(each.part, each.offset) for each in history.reads if each.who == who}
        for part, holds in history.final[start["isolation"]].items():
            if part.split("/")[0] in history.expiring():
                continue
            missing = sorted(offset for offset in holds if (part, offset) not in got)
            if missing:
                why = "last stable offset?" if start["isolation"] == READ_COMMITTED else "end?"
                yield "unread", f"{who} never got {len(missing)} of {part}, first {missing[0]} ({why})"
