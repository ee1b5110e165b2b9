"""Small histories, good and bad: the checks find what is wrong with the bad ones, and nothing with the good ones."""

import unittest

from check import violations
from recorded import History


class Told:
    """Writes a history by hand. Each event is a tenth of a second after the one before."""

    def __init__(self):
        self.t, self.events, self.offsets = 100.0, [], {}

    def add(self, who, do, **fields):
        self.t += 0.1
        self.events.append({"t": self.t, "who": who, "do": do, **fields})
        return self.t

    def start(self, who, role, **fields):
        self.add(who, "start", role=role, **fields)

    def send(self, ident, at=None, partition=0, txn=None, acked=True, topic="kept", ts=1_000, source=None, key=None):
        who = ident.rsplit("-", 1)[0]
        self.add(who, "sent", id=ident, topic=topic, partition=partition, ts=ts, txn=txn, source=source, key=key)
        if acked:
            self.add(who, "acked", id=ident, topic=topic, partition=partition, offset=at)

    def read(self, who, *records, topic="kept", partition=0, ts=1_000):
        self.add(who, "read", records=[[topic, partition, offset, ident, ts] for offset, ident in records])

    def transaction(self, txn, ids, *steps, **of_each):
        who = txn.split(":")[0]
        self.add(who, "begin", txn=txn)
        for offset, ident in ids:
            self.send(ident, offset, txn=txn, **of_each)
        for step in steps:
            self.add(who, step, txn=txn)

    def commit(self, who, number, offset, done=True, group="g"):
        self.add(who, "commit", n=number, group=group, offsets={"kept/0": offset})
        if done:
            self.add(who, "commit-ok", n=number)

    def fetch(self, offset, group="g"):
        began = self.t + 0.01
        self.add("watcher", "fetched", group=group, began=began, offsets={"kept/0": offset})

    def final(self, uncommitted, committed=None, topic="kept", low=0):
        committed = uncommitted if committed is None else committed
        for isolation, records in (("read_uncommitted", uncommitted), ("read_committed", committed)):
            self.start(f"final-{isolation}", "final", isolation=isolation)
            self.read(f"final-{isolation}", *records, topic=topic)
        self.add("harness", "final-low", part=f"{topic}/0", low=low)

    def kinds(self):
        return sorted({kind for kind, _ in violations(History(self.events))})


class CheckTest(unittest.TestCase):
    def setUp(self):
        self.h = Told()
        for who, role in (("i", "idempotent"), ("p", "plain"), ("t", "transactional")):
            self.h.start(who, role)

    def found(self, *kinds):
        self.assertEqual(self.h.kinds(), sorted(kinds))


class Records(CheckTest):
    def test_what_is_written_and_read_is_right(self):
        self.h.send("i-1", 0)
        self.h.send("i-2", 1)
        self.h.final([(0, "i-1"), (1, "i-2")])
        self.found()

    def test_an_acknowledged_record_is_not_there(self):
        self.h.send("i-1", 0)
        self.h.send("i-2", 1)
        self.h.final([(0, "i-1")])
        self.found("lost")

    def test_an_acknowledged_record_is_not_there_for_readers_of_committed_ones(self):
        self.h.send("i-1", 0)
        self.h.send("i-2", 1)
        self.h.final([(0, "i-1"), (1, "i-2")], [(0, "i-1")])
        self.found("lost", "hidden")

    def test_a_record_is_acknowledged_without_its_place(self):
        self.h.send("i-1", None)
        self.h.send("i-2", 1)
        self.h.final([(0, "i-1"), (1, "i-2")])
        self.found()

    def test_a_record_is_acknowledged_without_its_place_and_is_not_there(self):
        self.h.send("i-1", None)
        self.h.send("i-2", 1)
        self.h.final([(1, "i-2")])
        self.found("lost")

    def test_what_lies_before_the_beginning_may_be_gone(self):
        self.h.send("i-1", 0)
        self.h.send("i-2", 1)
        self.h.final([(1, "i-2")], low=1)
        self.found()

    def test_an_offset_holds_another_record_after_a_restart(self):
        self.h.send("i-1", acked=False)
        self.h.send("i-2", acked=False)
        self.h.start("tail", "tail", isolation="read_uncommitted")
        self.h.read("tail", (0, "i-1"))
        self.h.final([(0, "i-2")])
        self.found("two values")

    def test_what_was_shown_is_gone(self):
        self.h.send("i-1", 0)
        self.h.send("i-2", acked=False)
        self.h.start("tail", "tail", isolation="read_uncommitted")
        self.h.read("tail", (0, "i-1"), (1, "i-2"))
        self.h.final([(0, "i-1")])
        self.found("vanished")

    def test_a_record_of_an_idempotent_producer_is_there_twice(self):
        self.h.send("i-1", 0)
        self.h.final([(0, "i-1"), (1, "i-1")])
        self.found("duplicate")

    def test_one_without_idempotence_may_be_there_twice(self):
        self.h.send("p-1", 0)
        self.h.final([(0, "p-1"), (1, "p-1")])
        self.found()

    def test_records_of_an_idempotent_producer_change_places(self):
        self.h.send("i-1", 1)
        self.h.send("i-2", 0)
        self.h.final([(0, "i-2"), (1, "i-1")])
        self.found("disorder")

    def test_a_record_is_damaged_or_nobodys_or_elsewhere_or_of_another_time(self):
        self.h.send("i-1", 0)
        self.h.send("i-2", partition=1, acked=False)
        self.h.final([(0, "i-1"), (1, None), (2, "i-7"), (3, "i-2")])
        self.h.read("final-read_committed", (0, "i-1"), ts=7)
        self.found("damaged", "unknown", "elsewhere", "timestamp", "went back")

    def test_a_delivery_fails(self):
        self.h.send("i-1", acked=False)
        self.h.add("i", "failed", id="i-1", error="_MSG_TIMED_OUT", definite=False)
        self.found("undelivered")

    def test_what_is_refused_is_not_there(self):
        self.h.send("p-1", acked=False)
        self.h.add("p", "failed", id="p-1", error="MSG_SIZE_TOO_LARGE", definite=True)
        self.found()

    def test_what_is_refused_is_there(self):
        self.h.send("p-1", acked=False)
        self.h.add("p", "failed", id="p-1", error="MSG_SIZE_TOO_LARGE", definite=True)
        self.h.final([(0, "p-1")])
        self.found("written after all")


class Transactions(CheckTest):
    IDS = ((0, "t-1"), (1, "t-2"))

    def test_a_committed_one_is_shown(self):
        self.h.transaction("t:1", self.IDS, "committing", "committed")
        self.h.final(self.IDS)
        self.found()

    def test_a_committed_one_is_half_shown(self):
        self.h.transaction("t:1", self.IDS, "committing", "committed")
        self.h.final(self.IDS, self.IDS[:1])
        self.found("torn", "lost")

    def test_an_aborted_one_is_not_shown(self):
        self.h.transaction("t:1", self.IDS, "aborting", "aborted")
        self.h.final(self.IDS, [])
        self.found()

    def test_an_aborted_one_is_shown(self):
        self.h.transaction("t:1", self.IDS, "aborting", "aborted")
        self.h.final(self.IDS)
        self.found("aborted shown")

    def test_one_that_was_left_is_shown(self):
        self.h.transaction("t:1", self.IDS)
        self.h.final(self.IDS)
        self.found("aborted shown")

    def test_one_in_doubt_is_shown_or_not(self):
        self.h.transaction("t:1", self.IDS, "committing")
        self.h.transaction("t:2", ((3, "t-3"), (4, "t-4")), "committing")
        self.h.final((*self.IDS, (3, "t-3"), (4, "t-4")), self.IDS)
        self.found()

    def test_one_in_doubt_is_half_shown(self):
        self.h.transaction("t:1", self.IDS, "committing")
        self.h.final(self.IDS, self.IDS[1:])
        self.found("torn")

    def test_one_is_shown_before_its_commit_was_asked_for(self):
        self.h.start("tail", "tail", isolation="read_committed")
        self.h.transaction("t:1", self.IDS)
        self.h.read("tail", *self.IDS)
        self.h.add("t", "committing", txn="t:1")
        self.h.add("t", "committed", txn="t:1")
        self.h.final(self.IDS)
        self.found("shown early")

    def test_readers_of_all_may_be_shown_anything(self):
        self.h.start("tail", "tail", isolation="read_uncommitted")
        self.h.transaction("t:1", self.IDS)
        self.h.read("tail", *self.IDS)
        self.h.add("t", "aborted", txn="t:1")
        self.h.final(self.IDS, [])
        self.found()

    def test_a_fenced_producer_commits(self):
        self.h.transaction("t:1", self.IDS, "fenced", "committed")
        self.h.final(self.IDS, [])
        self.found("zombie")

    def transformed(self, *outputs):
        self.h.start("x", "transform", group="g", isolation="read_committed")
        self.h.send("i-1", 0)
        self.h.add("x", "begin", txn="x:1")
        for offset, ident in outputs:
            self.h.send(ident, offset, topic="out", txn="x:1", source=["kept/0", 0])
        self.h.add("x", "committing", txn="x:1")
        self.h.add("x", "committed", txn="x:1")
        self.h.final([(0, "i-1")])
        self.h.final(outputs, topic="out")

    def test_a_record_is_transformed_once(self):
        self.transformed((0, "x-1"))
        self.found()

    def test_a_record_is_transformed_twice(self):
        self.transformed((0, "x-1"), (1, "x-2"))
        self.found("transformed twice")

    def test_a_record_is_not_transformed(self):
        self.transformed((0, "x-1"))
        self.h.send("i-2", 1)
        for isolation in ("read_uncommitted", "read_committed"):
            self.h.read(f"final-{isolation}", (1, "i-2"))
        self.found()  # the group may not have come so far
        self.h.add("x", "offsets", txn="x:1", group="g", offsets={"kept/0": 2})
        self.h.read("x", (0, "i-1"), (1, "i-2"))
        self.h.fetch(2)
        self.found("not transformed")


class Keys(CheckTest):
    """Records of one key, in a topic with keyed compaction."""

    KEYED = {"topic": "keyed", "key": "k"}

    def setUp(self):
        super().setUp()
        self.h.add("harness", "topic", topic="keyed", partitions=1, retention_ms=None, compacted=True)

    def send(self, *offsets):
        for offset in offsets:
            self.h.send(f"i-{offset}", offset, **self.KEYED)

    def scan(self, who, *offsets, end, isolation="read_committed"):
        self.h.start(who, "scan", isolation=isolation)
        self.h.read(who, *((offset, f"i-{offset}") for offset in offsets), topic="keyed")
        self.h.add(who, "eof", part="keyed/0", offset=end)

    def end(self, uncommitted, committed=None):
        self.h.final(uncommitted, committed, topic="keyed")
        for isolation in ("read_committed", "read_uncommitted"):
            self.h.add(f"final-{isolation}", "eof", part="keyed/0", offset=99)

    def test_the_last_record_of_a_key_is_there(self):
        self.send(0, 1, 2)
        self.scan("s", 1, 2, end=3)
        self.send(3)
        self.end([(3, "i-3")])
        self.found()

    def test_the_last_record_of_a_key_is_not_there(self):
        self.send(0, 1, 2)
        self.end([(1, "i-1")])
        self.found("lost", "stale")

    def test_a_later_record_comes_while_a_reader_is_under_way(self):
        self.send(0)
        self.h.start("s", "scan", isolation="read_committed")
        self.send(1)
        self.h.read("s", (1, "i-1"), topic="keyed")
        self.h.add("s", "eof", part="keyed/0", offset=2)
        self.end([(1, "i-1")])
        self.found()

    def test_a_reader_finds_an_old_record_last(self):
        self.send(0, 1)
        self.scan("s", 0, end=2)
        self.end([(1, "i-1")])
        self.found("stale")

    def test_a_reader_finds_a_key_not_at_all(self):
        self.send(0)
        self.scan("s", end=2)
        self.send(1)
        self.end([(1, "i-1")])
        self.found("stale")

    def test_a_reader_of_committed_records_stops_at_an_open_transaction(self):
        self.send(0, 3)
        self.scan("s", 0, end=2)
        self.end([(3, "i-3")])
        self.found()

    def test_an_aborted_record_replaces_none(self):
        self.send(0)
        self.h.transaction("t:1", [(1, "t-1")], "aborting", "aborted", **self.KEYED)
        self.end([(0, "i-0")])
        self.found()

    def test_an_aborted_record_replaces_one(self):
        self.send(0)
        self.h.transaction("t:1", [(1, "t-1")], "aborting", "aborted", **self.KEYED)
        self.end([(1, "t-1")], [])
        self.found("lost", "stale")

    def test_an_aborted_record_is_shown_after_compaction(self):
        self.send(0)
        self.h.transaction("t:1", [(1, "t-1")], "aborting", "aborted", **self.KEYED)
        self.send(2)
        self.end([(1, "t-1"), (2, "i-2")])
        self.found("aborted shown")

    def test_a_committed_transaction_is_replaced_in_part(self):
        self.h.transaction("t:1", [(0, "t-1")], topic="keyed", key="other")
        self.h.transaction("t:1", [(1, "t-2")], "committing", "committed", **self.KEYED)
        self.send(2)
        self.end([(0, "t-1"), (2, "i-2")])
        self.found()

    def test_a_committed_transaction_is_half_there(self):
        self.h.transaction("t:1", [(0, "t-1")], topic="keyed", key="other")
        self.h.transaction("t:1", [(1, "t-2")], "committing", "committed", **self.KEYED)
        self.send(2)
        self.end([(2, "i-2")])
        self.found("lost", "stale", "torn")

    def test_one_reader_comes_before_compaction_and_the_other_after_it(self):
        self.send(0, 1)
        self.end([(0, "i-0"), (1, "i-1")], [(1, "i-1")])
        self.found()


class Groups(CheckTest):
    def setUp(self):
        super().setUp()
        self.h.start("m", "member", group="g", isolation="read_uncommitted")
        self.h.start("n", "member", group="g", isolation="read_uncommitted")
        for offset in range(4):
            self.h.send(f"i-{offset}", offset)

    def read(self, who, *offsets):
        self.h.read(who, *((offset, f"i-{offset}") for offset in offsets))

    def end(self):
        self.h.final([(offset, f"i-{offset}") for offset in range(4)])

    def assign(self, who):
        self.h.add(who, "assigned", parts=["kept/0"])

    def test_a_member_goes_on_where_another_one_has_committed(self):
        self.assign("m")
        self.read("m", 0, 1)
        self.h.commit("m", 1, 2)
        self.assign("n")
        self.read("n", 2, 3)
        self.h.commit("n", 1, 4)
        self.h.fetch(4)
        self.end()
        self.found()

    def test_a_member_begins_before_what_is_committed(self):
        self.assign("m")
        self.read("m", 0, 1)
        self.h.commit("m", 1, 2)
        self.assign("n")
        self.read("n", 0)
        self.end()
        self.found("went back")

    def test_a_commit_in_doubt_binds_nobody(self):
        self.assign("m")
        self.read("m", 0, 1)
        self.h.commit("m", 1, 2, done=False)
        self.assign("n")
        self.read("n", 0)
        self.end()
        self.found()

    def test_a_position_jumps_back(self):
        self.assign("m")
        self.read("m", 0, 1, 2)
        self.read("m", 0)
        self.end()
        self.found("went back")

    def test_a_client_may_seek(self):
        self.assign("m")
        self.read("m", 0, 1, 2)
        self.h.add("m", "seek", part="kept/0", offset=1)
        self.read("m", 1)
        self.end()
        self.found()

    def test_a_reader_of_all_jumps_back(self):
        self.h.start("tail", "tail", isolation="read_uncommitted")
        self.assign("tail")
        self.read("tail", 0, 1, 2, 3)
        self.read("tail", 0)
        self.end()
        self.found("went back")

    def test_a_reader_of_all_misses_the_end(self):
        self.h.start("tail", "tail", isolation="read_uncommitted")
        self.assign("tail")
        self.read("tail", 0, 1, 2)
        self.end()
        self.found("unread")

    def test_what_is_committed_goes_back(self):
        self.assign("m")
        self.read("m", 0, 1, 2)
        self.h.commit("m", 1, 2)
        self.h.commit("m", 2, 3)
        self.h.fetch(2)
        self.end()
        self.found("committed offset")

    def test_what_is_committed_is_forgotten(self):
        self.assign("m")
        self.read("m", 0, 1, 2)
        self.h.commit("m", 1, 3)
        self.h.fetch(-1)
        self.end()
        self.found("committed offset")

    def test_a_commit_takes_effect_while_it_is_under_way(self):
        self.assign("m")
        self.read("m", 0, 1, 2)
        self.h.commit("m", 1, 2)
        self.h.add("m", "commit", n=2, group="g", offsets={"kept/0": 3})
        self.h.fetch(3)
        self.h.fetch(2)
        self.h.add("m", "commit-ok", n=2)
        self.end()
        # Each is possible by itself; that the later one must not be older is more than a register says here.
        self.found()

    def test_offsets_of_an_aborted_transaction_are_committed(self):
        self.assign("m")
        self.read("m", 0, 1, 2)
        self.h.add("t", "begin", txn="t:1")
        self.h.add("t", "offsets", txn="t:1", group="g", offsets={"kept/0": 3})
        self.h.add("t", "aborting", txn="t:1")
        self.h.fetch(3)
        self.end()
        self.found("committed offset")

    def test_a_group_passes_a_record_over(self):
        self.assign("m")
        self.read("m", 0, 2, 3)
        self.h.commit("m", 1, 4)
        self.h.fetch(4)
        self.end()
        self.found("passed over")


class Times(CheckTest):
    def setUp(self):
        super().setUp()
        self.h.add("harness", "topic", topic="short", partitions=1, retention_ms=1_000)
        for offset, ts in enumerate((1_000, 3_000, 2_000, 5_000)):
            self.h.send(f"i-{offset}", offset, topic="short", ts=ts)

    def found(self, *kinds):
        for part in ("short/0", "kept/0"):
            self.h.add("harness", "final-low", part=part, low=99)
        super().found(*kinds)

    def low(self, low, wall=10_000):
        began = self.h.t + 0.01
        self.h.add("l", "low", part="short/0", low=low, wall=wall, began=began)

    def look(self, asked, offset, low=(0, 0)):
        self.h.add("l", "times", part="short/0", asked=asked, offset=offset, low_before=low[0], low_after=low[1],
                   asking=self.h.t + 0.01)

    def test_the_first_that_is_not_older(self):
        self.look(500, 0)
        self.look(1_001, 1)
        self.look(4_000, 3)
        self.look(6_000, -1)
        self.look(500, 2, low=(2, 2))
        self.look(500, 1, low=(0, 2))
        self.found()

    def test_a_later_one(self):
        self.look(1_500, 2)
        self.found("not the first")

    def test_an_older_one(self):
        self.look(2_500, 2)
        self.found("too early", "not the first")

    def test_none_although_there_is_one(self):
        self.look(2_500, -1)
        self.found("not the first")

    def test_one_that_is_removed(self):
        self.look(500, 0, low=(1, 2))
        self.found("below the start")

    def test_a_beginning_goes_forward(self):
        self.low(0)
        self.low(2)
        self.low(3)
        self.found()

    def test_a_beginning_goes_back(self):
        self.low(2)
        self.low(1)
        self.found("start went back")

    def test_retention_is_too_early(self):
        self.low(2, wall=3_500)
        self.found("removed too soon")

    def test_clients_may_have_records_deleted(self):
        self.h.add("l", "delete", part="short/0", before=2)
        self.low(2, wall=3_500)
        self.found()

    def test_a_topic_without_retention_loses_its_beginning(self):
        self.h.send("i-9", 0)
        self.h.add("l", "low", part="kept/0", low=1, wall=9_000_000, began=self.h.t)
        self.found("removed too soon")


class Progress(CheckTest):
    def heal(self, after_s=0):
        self.h.add("harness", "kill", n=1)
        self.later(after_s)
        self.h.add("harness", "healed", n=1)

    def later(self, seconds):
        self.h.t += seconds

    def test_a_client_goes_on(self):
        self.h.add("p", "end", left=0)
        self.h.add("t", "end", left=0)
        self.heal()
        self.h.send("i-1", 0)
        self.later(20)
        self.h.add("i", "end", left=0)
        self.h.final([(0, "i-1")])
        self.found()

    def test_a_client_stops_after_a_fault(self):
        self.h.add("p", "end", left=0)
        self.h.add("t", "end", left=0)
        self.heal()
        self.later(20)
        self.h.send("i-1", 0)
        self.h.final([(0, "i-1")])
        self.found("no progress")

    def test_a_member_of_the_group_dies(self):
        for who in ("i", "p", "t"):
            self.h.add(who, "end", left=0)
        self.h.start("m", "member", group="g", isolation="read_committed")
        self.h.start("n", "member", group="g", isolation="read_committed")
        self.heal()
        self.h.add("harness", "client-killed", client="n")
        self.later(20)
        self.h.add("m", "end")
        self.found()

    def died_before(self, before_s):
        for who in ("i", "p", "t"):
            self.h.add(who, "end", left=0)
        self.h.start("m", "member", group="g", isolation="read_committed")
        self.h.start("n", "member", group="g", isolation="read_committed")
        self.h.add("harness", "client-killed", client="n")
        self.later(before_s)
        self.heal(8)
        self.later(20)
        self.h.add("m", "end")

    def test_a_member_died_whose_session_was_to_end_in_the_fault(self):
        self.died_before(3)
        self.found()

    def test_a_member_died_long_before_the_fault(self):
        self.died_before(8)
        self.found("no progress")

    def shown(self, after_s):
        for who in ("p", "t"):
            self.h.add(who, "end", left=0)
        self.h.start("tail", "tail", isolation="read_committed")
        self.heal()
        self.h.send("i-1", 0)
        self.h.add("i", "end", left=0)
        self.later(after_s)
        self.h.read("tail", (0, "i-1"))
        self.later(9)
        self.h.add("tail", "end")
        self.h.final([(0, "i-1")])

    def test_a_reader_is_shown_what_is_acknowledged(self):
        self.shown(7)
        self.found()

    def test_a_reader_is_shown_it_late(self):
        self.shown(9)
        self.found("shown late")

    def handed_over(self, after_s, healed_s=0, first_s=0):
        for who in ("i", "p", "t"):
            self.h.add(who, "end", left=0)
        self.h.start("m.1", "migrant", group="g", isolation="read_committed")
        self.h.add("m.1", "assigned", parts=["kept/0"])
        self.h.send("i-1", 0)
        self.h.send("i-2", 1)
        self.heal(healed_s)
        self.later(first_s)
        self.h.read("m.1", (0, "i-1"))
        self.h.start("m.2", "migrant", group="g", isolation="read_committed")
        self.later(after_s)
        self.h.add("m.2", "assigned", parts=["kept/0"])
        self.h.read("m.2", (1, "i-2"))
        self.h.add("m.2", "end")
        self.h.final([(0, "i-1"), (1, "i-2")])

    def test_a_partition_is_handed_over(self):
        self.handed_over(3)
        self.found()

    def test_a_partition_is_not_handed_over(self):
        self.handed_over(9)
        self.found("not handed over")

    def test_a_session_has_to_pass_after_a_long_fault(self):
        self.handed_over(3, healed_s=7, first_s=9)
        self.found()

    def test_none_has_to_pass_after_a_short_one(self):
        self.handed_over(3, healed_s=2, first_s=9)
        self.found("not handed over")

    def test_a_storm_of_the_store_stops_everybody(self):
        self.heal()
        self.h.add("harness", "storm", n=2, fault="stall")
        self.later(20)
        self.h.add("harness", "healed", n=2)
        for who in ("i", "p", "t"):
            self.h.add(who, "end", left=0)
        self.found()

    def visited(self, *before):
        for who in ("i", "p", "t"):
            self.h.add(who, "end", left=0)
        self.h.start("v", "visitor", group="g", isolation="read_committed")
        self.h.add("v", "assigned", parts=list(before))
        self.heal()
        self.later(20)
        self.h.add("v", "end")

    def test_a_visitor_stops_after_a_fault(self):
        self.visited("kept/0")
        self.found("no progress")

    def test_a_visitor_comes_in_a_fault(self):
        self.visited()
        self.found()

    def test_the_last_stable_offset_stands_still(self):
        self.h.add("harness", "stable", part="kept/0", last_stable=3, high=5)
        self.later(30)
        self.h.add("harness", "stable", part="kept/0", last_stable=3, high=5)
        self.found("not stable")

    def test_the_last_stable_offset_comes_to_the_end(self):
        self.h.add("harness", "stable", part="kept/0", last_stable=3, high=5)
        self.later(10)
        self.h.add("harness", "stable", part="kept/0", last_stable=5, high=5)
        self.found()

    def test_a_group_comes_to_no_end(self):
        self.h.add("harness", "producers-ended", ends={"kept/0": 5}, groups=["g"])
        self.h.fetch(-1)
        self.found("not drained")

    def test_an_error_is_fatal(self):
        self.h.add("i", "error", error="_FATAL", text="", fatal=True)
        self.found("fatal")

    def test_a_sequence_is_refused(self):
        self.h.add("i", "error", error="OUT_OF_ORDER_SEQUENCE_NUMBER", text="", fatal=True)
        self.found("sequence refused")

    def test_a_reader_loses_its_position(self):
        self.h.add("tail", "error", error="_AUTO_OFFSET_RESET", text="", fatal=False, part="kept/0")
        self.found("position lost")

    def test_a_slow_reader_loses_its_position_to_retention(self):
        self.h.add("harness", "topic", topic="short", partitions=1, retention_ms=1_000)
        self.h.add("tail", "error", error="_AUTO_OFFSET_RESET", text="", fatal=False, part="short/0")
        self.found()
