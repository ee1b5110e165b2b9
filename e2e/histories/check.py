"""Judges a history.

check.py FOLDER [BROKER]   prints what it counted and each violation; ends with 1 if there is one. BROKER is `levee`, or
                       `kafka`, of which some things are known
check.py --self-test   shows on small histories that it finds what is wrong, and nothing in what is right
"""

import collections
import sys
import unittest

import check_groups
import check_progress
import check_records
import check_times
import check_transactions
from recorded import ABORTED, COMMITTED, DOUBT, History, load

CHECKS = (check_records, check_transactions, check_groups, check_times, check_progress)
SHOWN = 5
# What a run has to have done to say anything.
NEEDED = ("acked", "read", "committed", "aborted", "commit-ok", "fetched", "times", "kill", "healed")

# What stock Apache Kafka 4.3 does, by the kind of violation.
KNOWN = {
    "kafka": {
        "start went back": "it writes down where logs begin once a minute, and a kill loses what came after",
        "not the first": "the first segment that may have the record is looked through from the beginning of the log on, "
                         "and no other one",
    },
    "levee": {},
}


def violations(history):
    for module in CHECKS:
        yield from module.check(history)


def idle(history):
    """A history in which hardly anything happened shows nothing."""
    for kind in NEEDED:
        if not history.by[kind]:
            yield "idle", f"nothing of the kind {kind}"
    for isolation, parts in history.final.items():
        if not any(parts.values()):
            yield "idle", f"nothing was read in the end, {isolation}"


def summary(history):
    fates = collections.Counter(each.fate for each in history.transactions.values())
    roles = collections.Counter(start["role"] for start in history.starts.values())
    counts = {
        "clients": sum(roles.values()) - roles["harness"],
        "kills": len(history.by["kill"]), "clients killed": len(history.killed),
        "acknowledged": len(history.by["acked"]), "read": len(history.reads),
        "transactions committed": fates[COMMITTED], "aborted": fates[ABORTED], "in doubt": fates[DOUBT],
        "commits": len(history.by["commit-ok"]), "committed offsets fetched": len(history.by["fetched"]),
        "look-ups": len(history.by["times"]), "deletions": len(history.by["deleted"]),
        "progress judged": sum(1 for _ in check_progress.judged(history)),
    }
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def main(folder, broker="levee"):
    history = History(load(folder))
    print(summary(history))
    found = collections.Counter()
    for check in (violations, idle):
        for kind, text in check(history):
            found[kind] += 1
            if found[kind] <= SHOWN:
                print(f"{kind}: {text}")
    for kind, why in KNOWN[broker].items():
        if count := found.pop(kind, 0):
            print(f"{broker} is known for '{kind}' ({count}): {why}")
    if found:
        print("violations: " + ", ".join(f"{kind} {count}" for kind, count in found.items()))
        sys.exit(1)
    print("no violation")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.argv[1:] = []
        unittest.main(module="check_tests")
    main(*sys.argv[1:])
