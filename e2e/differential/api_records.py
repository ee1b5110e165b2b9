"""Produce, Fetch with its sessions, ListOffsets, DeleteRecords and InitProducerId, for the differential test."""
import gzip
import time
import uuid

import wire
from by_hand import COORDINATOR_LOAD_IN_PROGRESS, by_name, check, settle_records, setup, sides
from wire import batch, fetch, list_offsets, new_topic, produce


def producer_ids():
    ask = {"transactional_id": None, "transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1}
    for side in sides:
        # Kafka fetches its first block of ids when it is asked for one, and says so.
        while side.ask("InitProducerId", 4, ask)["error_code"] == COORDINATOR_LOAD_IN_PROGRESS:
            time.sleep(0.05)
    for version in range(6):
        values = ask if version >= 3 else {key: ask[key] for key in list(ask)[:2]}
        check("idempotent", "InitProducerId", version, values)
    check("an epoch without an id", "InitProducerId", 4, ask | {"producer_epoch": 3})
    check("an id without an epoch", "InitProducerId", 4, ask | {"producer_id": 3})
    check("both", "InitProducerId", 4, ask | {"producer_id": 3, "producer_epoch": 5})
    check("an empty transactional id", "InitProducerId", 4, ask | {"transactional_id": ""})
    check("negative timeout", "InitProducerId", 4, ask | {"transaction_timeout_ms": -5})


# A record of one byte each for its key, its value and the name of its header, which has no value.
RECORD = b"\x16\0\0\0\2k\2v\2\2h\1"


def changed(at, value):
    """A batch of that record with another byte at this place."""
    return batch(payload=RECORD[:at] + value + RECORD[at + 1:])


def produce_cases():
    setup(new_topic("p", 2), new_topic("pl"), new_topic("pc", 1, 1, configs=[
        ("cleanup.policy", "compact")]), new_topic("pt", 1, 1, configs=[("message.timestamp.type", "LogAppendTime")]),
        new_topic("pm", 1, 1, configs=[("max.message.bytes", "200")]),
        new_topic("pz"), new_topic("pb", 1, 1, configs=[("message.timestamp.before.max.ms", "1000")]))
    for version in range(3, 14):
        name = (lambda side: side.id("p")) if version >= 13 else (lambda side: "p")
        check("plain", "Produce", version, lambda side: produce(name(side), 0, batch(), version))
        check("unknown partition", "Produce", version, lambda side: produce(name(side), 7, batch(), version))
        check("negative partition", "Produce", version, lambda side: produce(name(side), -1, batch(), version))
        unknown = uuid.UUID(int=77) if version >= 13 else "nobody"
        check("unknown topic", "Produce", version, produce(unknown, 0, batch(), version))
        check("bad CRC", "Produce", version, lambda side: produce(name(side), 0, batch(crc=1), version))
    good = batch()
    for case, records in {
        "null records": None, "no records": b"", "cut short": good[:-1], "header only, cut": good[:30],
        "two batches": good + good, "trailing bytes": good + b"xyz", "magic 0": batch(magic=0),
        "magic 1": batch(magic=1), "magic 3": batch(magic=3), "magic -1": batch(magic=-1),
        "unknown codec 5": batch(attributes=5), "unknown codec 7": batch(attributes=7),
        "length too small": batch(length=5), "length negative": batch(length=-1), "length too large": batch(length=900),
        "count 0": batch(count=0), "count -1": batch(count=-1), "count 5 of 1, delta 0": batch(count=5, last_delta=0), "delta 4 of 1": batch(count=1, last_delta=4),
        "negative delta": batch(count=1, last_delta=-1),
        "base offset 7": batch(base_offset=7), "control batch": batch(attributes=0x20),
        "transactional": batch(attributes=0x10, producer=(5, 0, 0)),
        "producer without sequence": batch(producer=(5, 0, -1)), "sequence without producer": batch(producer=(-1, 0, 4)),
        "LogAppendTime set": batch(attributes=8),
        "far future": batch(timestamp=4_000_000_000_000), "timestamp -1": batch(timestamp=-1),
        "timestamp -5": batch(timestamp=-5), "max timestamp lies": batch(max_timestamp=5),
        "delete horizon": batch(attributes=0x40),
    }.items():
        for version in (3, 9, 11):
            check(case, "Produce", version, produce("p", 1, records, version))
    for case, records in {
        "count 5 of 1": batch(count=5), "count 1 of 2": batch((b"a", b"b"), count=1),
        "records of garbage": batch(payload=b"garbage"), "no payload": batch(payload=b""),
        "a record cut short": batch(payload=RECORD[:-1]), "a byte after the record": batch(payload=RECORD + b"\0"),
        "a negative length": batch(payload=b"\1" + RECORD[1:]), "a length of 0": batch(payload=b"\0"),
        "a length that is too long": batch(payload=b"\x18" + RECORD[1:]),
        "a length that is too short": batch(payload=b"\x14" + RECORD[1:]),
        "a number that is too long": batch(payload=b"\x96\x80\x80\x80\x80\0" + RECORD[1:]),
        "a null value": batch(payload=b"\x0c\0\0\0\2k\1\0"), "lengths of -2": batch(payload=b"\x0a\0\0\0\3\3\0"),
        "a key beyond its record": changed(4, b"\x10"), "a value beyond its record": changed(6, b"\x10"),
        "headers that are not there": changed(8, b"\4"), "a negative number of headers": changed(8, b"\1"),
        "a header that is not counted": changed(8, b"\0"), "a header without a key": changed(9, b"\1"),
        "a header without a value": batch(payload=RECORD), "an offset that lies": changed(3, b"\x10"),
        "attributes of a record": changed(1, b"\x7f"), "a timestamp delta": changed(2, b"\x10"),
        "a timestamp long ago": changed(2, b"\x11"),
    }.items():
        check(case, "Produce", 9, produce("pl", 0, records))
    check("what was stored", "Fetch", 12, fetch("pl", 0, 0), settle_records)
    # On a topic of their own: Levee takes them in, and Kafka doesn't.
    check("gzip of garbage", "Produce", 9, produce("pz", 0, batch(attributes=1, payload=b"garbage")))
    check("gzip, count 5 of 1", "Produce", 9, produce("pz", 0, batch(attributes=1, payload=gzip.compress(RECORD), count=5)))
    zipped = {"gzip, sound": batch(attributes=1, payload=gzip.compress(RECORD)),
              "gzip, count 5 of 1, keys": batch(attributes=1, payload=gzip.compress(RECORD), count=5),
              "gzip, count 1 of 2, keys": batch(attributes=1, payload=gzip.compress(RECORD + RECORD), count=1)}
    for case, records in zipped.items():
        check(case, "Produce", 9, produce("pc", 0, records))
    check("what was stored of lies", "Fetch", 12, fetch("p", 1, 0), settle_records)
    check("without key", "Produce", 9, produce("pc", 0, batch()))
    check("with key", "Produce", 9, produce("pc", 0, batch(key=b"k")))
    check("LogAppendTime", "Produce", 9, produce("pt", 0, batch()))
    check("too large", "Produce", 9, produce("pm", 0, batch((b"x" * 300,))))
    check("too old", "Produce", 9, produce("pb", 0, batch((b"a", b"b"))))
    check("too large for all", "Produce", 9, produce("p", 0, batch((b"x" * 1_100_000,))))
    for acks in (2, -2, 7):
        check(f"acks {acks}", "Produce", 9, produce("p", 0, batch(), acks=acks))
    check("acks 1", "Produce", 9, produce("p", 0, batch(), acks=1))
    for side in sides:
        side.connection.send(wire.request("Produce", 9, produce("p", 0, batch(), acks=0)))
    check("after acks 0", "Metadata", 9, {"topics": []}, by_name)
    check("a transactional id", "Produce", 9, produce("p", 0, batch()) | {"transactional_id": "t"})
    twice = produce("p", 0, batch())
    twice["topics"][0]["partitions"] *= 2
    check("nothing", "Produce", 9, twice | {"topics": []})
    check("empty transactional id", "Produce", 9, produce("p", 0, batch()) | {"transactional_id": ""})


def sequences():
    setup(new_topic("s", 2))
    pid = 900_001  # neither broker has given it; Kafka accepts a producer that it has not seen

    def send(case, sequence, epoch=0, count=1, partition=0, producer=pid):
        check(case, "Produce", 9, produce("s", partition, batch([b"v"] * count, producer=(producer, epoch, sequence))))

    send("first", 0)
    send("duplicate", 0)
    for sequence in range(1, 8):
        send(f"sequence {sequence}", sequence)
    send("duplicate of the last", 7)
    send("duplicate of the fifth last", 3)
    send("duplicate beyond the fifth", 2)
    send("first again", 0)
    send("a gap", 20)
    send("a duplicate with another count", 7, count=2)
    send("old epoch, none before", 0, epoch=0, partition=1)
    send("new epoch, not from 0", 3, epoch=1)
    send("new epoch", 0, epoch=1)
    send("old epoch", 8, epoch=0)
    send("new epoch goes on", 1, epoch=1)
    send("unknown producer, not from 0", 5, producer=900_002)
    send("and a gap then", 9, producer=900_002)
    send("sequence wraps", 2**31 - 1, producer=900_003)
    send("after the wrap", 0, producer=900_003)
    send("negative epoch", 0, epoch=-1, producer=900_004)


def fetches():
    setup(new_topic("f", 2))
    for n in range(3):
        check("fill", "Produce", 9, produce("f", 0, batch([b"%d" % n] * 3, timestamp=1_000 * (n + 1))))
    for version in range(4, 18):
        def ask(offset, partition=0, topic="f", version=version, **options):
            def values(side):
                if version < 13:
                    name = topic
                else:
                    name = side.id(topic) if topic == "f" else uuid.UUID(int=99)
                request = fetch(name, partition, offset, version, **options)
                return {key: value for key, value in request.items()
                        if any(field[0] == key and field[2] <= version <= field[3] for field in wire.REQUEST[1])} | {
                            "topics": [trim(topic_, version) for topic_ in request["topics"]]}
            return values
        for case, values in {
            "from 0": ask(0), "inside a batch": ask(4), "at the end": ask(9), "beyond": ask(10), "negative": ask(-1),
            "unknown partition": ask(0, 9), "unknown topic": ask(0, topic="nobody"),
            "max_bytes 0": ask(0, max_bytes=0), "partition_max_bytes 0": ask(0, partition_max_bytes=0),
            "max_bytes 1": ask(0, max_bytes=1), "negative max_bytes": ask(0, max_bytes=-1),
            "min_bytes 0": ask(9, min_bytes=0), "read committed": ask(0, isolation=1),
            "isolation 2": ask(0, isolation=2), "isolation -1": ask(0, isolation=-1),
            "negative wait": ask(9, max_wait_ms=-1), "negative max_bytes at the end": ask(9, max_bytes=-1),
            "negative max_bytes beyond": ask(10, max_bytes=-5), "negative partition_max_bytes": ask(0, partition_max_bytes=-1),
            "isolation 2, unknown topic": ask(0, topic="nobody", isolation=2),
            "isolation 2, unknown partition": ask(0, 9, isolation=2), "isolation 2, beyond": ask(99, isolation=2),
        }.items():
            check(case, "Fetch", version, values, settle_records)
        if version >= 9:
            for epoch in (0, 1, 99, -2):
                check(f"leader epoch {epoch}", "Fetch", version, ask(0, epoch=epoch), settle_records)
        if version >= 12:
            for case, last, offset in (("ahead", 99, 3), ("the same", 0, 3), ("the same, at the end", 0, 9), ("-2", -2, 3),
                                       ("the same, beyond", 0, 10), ("the same, negative offset", 0, -1), ("1", 1, 0)):
                def diverging(side, ask=ask, last=last, offset=offset):
                    values = ask(offset)(side)
                    values["topics"][0]["partitions"][0]["last_fetched_epoch"] = last
                    return values
                check(f"last fetched epoch {case}", "Fetch", version, diverging, settle_records)
        several(version)
    for version in (7, 12, 13, 17):
        sessions(version)


def several(version):
    """Bounds below zero for several partitions at once, and the isolation level that doesn't exist in a session."""
    def ask(case, partitions, **options):
        def values(side):
            name = side.id("f") if version >= 13 else "f"
            request = fetch(name, 0, 0, version, **options)
            topic = trim(request["topics"][0], version)
            topic["partitions"] = [topic["partitions"][0] | one for one in partitions]
            return request | {"topics": [topic]}
        check(case, "Fetch", version, values, settle_records)
    two = [{"partition": 0, "fetch_offset": 3}, {"partition": 0, "fetch_offset": 0}]
    ask("negative max_bytes, one at its end", [{"partition": 1}, {"partition": 0}], max_bytes=-1)
    ask("negative max_bytes, one that has some", [{"partition": 0}, {"partition": 1}], max_bytes=-1)
    ask("negative max_bytes, an unknown one", [{"partition": 9}, {"partition": 0}], max_bytes=-1)
    ask("negative max_bytes, twice", two, max_bytes=-1)
    ask("negative partition_max_bytes, one", [{"partition": 0, "partition_max_bytes": -1}, {"partition": 1}])
    ask("isolation 2, two", [{"partition": 0}, {"partition": 9}], isolation=2)


def trim(topic, version):
    fields = dict((field[0], field) for field in wire.REQUEST[1])["topics"][1]
    partition_fields = dict((field[0], field) for field in fields)["partitions"][1]
    known = {field[0] for field in partition_fields if field[2] <= version <= field[3]}
    return topic | {"partitions": [{key: value for key, value in partition.items() if key in known}
                                   for partition in topic["partitions"]]}


def sessions(version):
    def named(side, name="f"):
        return side.id(name) if version >= 13 else name

    def ask(case, epoch, offset=None, partition=0, session=None, forgotten=None, topic="f", wait=0, isolation=0):
        def values(side):
            number = side.known.get("session", 0) if session is None else session
            request = fetch(named(side, topic), partition, offset or 0, version, session=(number, epoch),
                            max_wait_ms=wait, isolation=isolation)
            topics = [] if offset is None else [trim(request["topics"][0], version)]
            if forgotten is not None:
                key = "topic_id" if version >= 13 else "topic"
                request["forgotten"] = [{key: named(side), "partitions": forgotten}]
            if version < 11:
                request.pop("rack_id")
            return request | {"topics": topics}

        answers = check(f"session: {case}", "Fetch", version, values, settle_records)
        for side, answer in zip(sides, answers):
            if answer.get("session_id"):
                side.known["session"] = answer["session_id"]

    ask("made", 0, 0, session=0)
    ask("goes on, unchanged but for records", 1)
    ask("moved to the end", 2, 9)
    ask("nothing new", 3)
    ask("wrong epoch", 3)
    ask("wrong epoch ahead", 44)
    ask("unknown session", 1, 0, session=12345)
    ask("another partition", 4, 0, partition=1)
    ask("out of range", 5, 77)
    ask("the error again", 6)
    ask("an unknown partition", 7, 0, partition=9)
    ask("the unknown partition again", 8)
    ask("forgotten", 9, forgotten=[9, 0])
    ask("all forgotten", 10, forgotten=[1])
    ask("gone then", 11)
    ask("a full one again", 0, 0, session=0)
    ask("an isolation level that does not exist", 1, isolation=2)
    ask("the same again", 1)
    ask("after it", 2)
    ask("a new one with it", 0, 0, session=0, isolation=-1)
    ask("after that", 3)
    ask("ended", -1, 0)
    ask("after its end", 1)
    ask("empty and new", 0, session=0)
    ask("epoch without a session", 5, 0, session=0)
    ask("final without a session", -1, 0, session=0)


def offsets():
    setup(new_topic("o", 2))
    for n in range(3):
        check("fill", "Produce", 9, produce("o", 0, batch([b"%d" % n] * 3, timestamp=1_000 * (n + 1))))
    for version in range(1, 11):
        def ask(timestamp, partition=0, topic="o", **options):
            values = list_offsets(topic, partition, timestamp, **options)
            if version < 4:
                del values["topics"][0]["partitions"][0]["current_leader_epoch"]
            if version < 2:
                del values["isolation_level"]
            if version < 10:
                del values["timeout_ms"]
            return values
        for timestamp in (-1, -2, -3, -4, -5, -6, -7, -100, 0, 1, 1_000, 1_001, 2_000, 3_000, 3_001, 2**62):
            check(f"timestamp {timestamp}", "ListOffsets", version, ask(timestamp))
            if timestamp in (-1, -2, -3, 0):
                check(f"empty, timestamp {timestamp}", "ListOffsets", version, ask(timestamp, 1))
        check("unknown partition", "ListOffsets", version, ask(-1, 9))
        check("unknown topic", "ListOffsets", version, ask(-1, topic="nobody"))
        check("read committed", "ListOffsets", version, ask(-1, isolation=1) if version >= 2 else ask(-1))
        if version >= 2:
            check("isolation 2", "ListOffsets", version, ask(-1, isolation=2))
        if version >= 4:
            for epoch in (0, 1, 99, -2):
                check(f"leader epoch {epoch}", "ListOffsets", version, ask(-1, epoch=epoch))
        twice = ask(-1)
        twice["topics"][0]["partitions"] *= 2
        check("twice", "ListOffsets", version, twice)
        check("a replica asks", "ListOffsets", version, ask(-1, replica=5))


def delete_records():
    setup(new_topic("dr", 2), new_topic("drc", 1, 1, configs=[("cleanup.policy", "compact")]),
          new_topic("drb", 1, 1, configs=[("cleanup.policy", "compact,delete")]),
          new_topic("drn", 1, 1, configs=[("cleanup.policy", "")]))
    for topic in ("dr", "drc", "drb", "drn"):
        for n in range(8):
            check("fill", "Produce", 9, produce(topic, 0, batch([b"%d" % n] * 3, key=b"k", timestamp=1_000 * (n + 1))))

    def ask(case, *partitions, version=2, timeout_ms=10_000):
        topics = [{"name": name, "partitions": [{"partition_index": index, "offset": offset}]}
                  for name, index, offset in partitions]
        check(case, "DeleteRecords", version, {"topics": topics, "timeout_ms": timeout_ms}, by_name)
        for timestamp in (-2, -1, 0, 4_000):
            check("what is left", "ListOffsets", 7, {key: value for key, value in list_offsets(
                "dr", 0, timestamp).items() if key != "timeout_ms"})

    for version in range(3):
        ask("within a batch", ("dr", 0, 2 + 3 * version), version=version)
        ask("less", ("dr", 0, 1), version=version)
        ask("beyond", ("dr", 0, 25), version=version)
    check("what is gone", "Fetch", 12, fetch("dr", 0, 7), settle_records)
    check("what begins within a batch", "Fetch", 12, fetch("dr", 0, 8), settle_records)
    for offset in (-2, -100, 2**62):
        ask(f"offset {offset}", ("dr", 0, offset))
    ask("an empty one", ("dr", 1, 0))
    ask("an empty one, the end", ("dr", 1, -1))
    ask("an empty one, beyond", ("dr", 1, 1))
    for index in (9, -1):
        ask(f"partition {index}", ("dr", index, 0))
    for name in ("nobody", "", "a b", "__cluster_metadata"):
        ask(f"topic {name!r}", (name, 0, 0))
    ask("compacted", ("drc", 0, 1))
    ask("compacted, beyond", ("drc", 0, 99))
    ask("compacted and deleted", ("drb", 0, 1))
    ask("neither", ("drn", 0, 1))
    ask("twice", ("dr", 0, 9), ("dr", 0, 10))
    ask("two topics", ("dr", 0, 11), ("drb", 0, 2))
    ask("nothing")
    check("no partitions", "DeleteRecords", 2, {"topics": [{"name": "dr", "partitions": []}], "timeout_ms": 1_000})
    ask("no time", ("dr", 0, 12), timeout_ms=0)
    ask("negative time", ("dr", 0, 13), timeout_ms=-5)
    ask("the end", ("dr", 0, -1))
    check("after the end", "Produce", 9, produce("dr", 0, batch((b"v",), timestamp=99_000)))
    ask("the start", ("dr", 0, 0))
