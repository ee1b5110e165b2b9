"""What must hold of transactions: committed ones are wholly visible, aborted ones not at all, those in doubt either,
none before its commit was asked for; and what is transformed with a transaction is transformed once."""

import collections

from recorded import ABORTED, COMMITTED, READ_COMMITTED, READ_UNCOMMITTED


def check(history):
    yield from dirty(history)
    yield from torn(history)
    yield from hidden(history)
    yield from fenced(history)
    yield from transformed(history)


def dirty(history):
    """No reader of committed records was ever shown another."""
    for read in history.reads:
        name = history.sent.get(read.ident, {}).get("txn")
        if name is None or history.starts[read.who]["isolation"] != READ_COMMITTED:
            continue
        transaction = history.transactions[name]
        if transaction.fate == ABORTED:
            yield "aborted shown", f"{read}: {name} {steps(transaction)}"
        elif read.t < transaction.at["committing"]:
            yield "shown early", f"{read}: {name} {steps(transaction)}"


def steps(transaction):
    said = ", ".join(f"{step} {t:.3f}" for step, t in transaction.at.items())
    return f"({transaction.fate}: {said})"


def torn(history):
    """All or nothing, of what the logs have not removed."""
    shown = {ident for these in history.final[READ_COMMITTED].values() for ident in these.values()}
    for name, transaction in history.transactions.items():
        ids = [ident for ident in transaction.ids if not removed(history, ident)]
        missing = [ident for ident in ids if ident not in shown]
        if not missing:
            continue
        if transaction.fate == COMMITTED:
            yield "torn", f"{name} {steps(transaction)}: {len(missing)} of {len(ids)} not shown, first {missing[0]}"
        elif transaction.fate != ABORTED and len(missing) < len(ids):
            yield "torn", f"{name} {steps(transaction)}: {len(missing)} of {len(ids)} not shown, first {missing[0]}"


def removed(history, ident):
    sent = history.sent[ident]
    return sent["topic"] in history.expiring()


def hidden(history):
    """A record without transaction is shown to both kinds of readers."""
    for part, holds in history.final[READ_UNCOMMITTED].items():
        committed = history.final[READ_COMMITTED][part]
        for offset, ident in holds.items():
            if offset >= history.low(part) and offset not in committed and history.fate(ident) is None:
                yield "hidden", f"{ident} at {part}@{offset} is not shown to read_committed"
    for part, holds in history.final[READ_COMMITTED].items():
        for offset, ident in holds.items():
            if offset >= history.low(part) and offset not in history.final[READ_UNCOMMITTED][part]:
                yield "hidden", f"{ident} at {part}@{offset} is not shown to read_uncommitted"


def fenced(history):
    for name, transaction in history.transactions.items():
        at = transaction.at
        if "fenced" in at and at.get("committed", 0) > at["fenced"]:
            yield "zombie", f"{name} was committed at {at['committed']:.3f}, after another producer had its name"


def transformed(history):
    """Each record that transformers have committed past has one record made of it."""
    made = collections.defaultdict(set)
    committed = history.final[READ_COMMITTED]
    for part, holds in committed.items():
        for offset, ident in holds.items():
            source = history.sent.get(ident, {}).get("source")
            if source:
                made[source[0], source[1]].add(f"{ident} at {part}@{offset}")
    for (part, offset), results in made.items():
        if len(results) > 1:
            yield "transformed twice", f"{part}@{offset}: {sorted(results)}"
        if offset not in committed[part]:
            yield "transformed from nothing", f"{part}@{offset}: {sorted(results)}"
    groups = {start["group"] for start in history.starts.values() if start["role"] == "transform"}
    furthest = collections.defaultdict(int)
    for event in history.by["fetched"]:
        if event["group"] in groups:
            for part, offset in event["offsets"].items():
                furthest[part] = max(offset, furthest[part])
    for part, end in furthest.items():
        for offset, ident in committed[part].items():
            if offset < end and (part, offset) not in made:
                yield "not transformed", f"{ident} at {part}@{offset}, and {end} is committed"
