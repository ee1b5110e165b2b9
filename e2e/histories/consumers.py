"""Clients of a history that read: members of groups, readers of whole topics, and those that transform.

consumers.py FOLDER BOOTSTRAP WHO SEED member GROUP classic|consumer ISOLATION TOPIC
consumers.py FOLDER BOOTSTRAP WHO SEED visitor GROUP classic|consumer ISOLATION TOPIC      joins and leaves
consumers.py FOLDER BOOTSTRAP WHO SEED transform GROUP classic|consumer TOPIC TO PARTITIONS
consumers.py FOLDER BOOTSTRAP WHO SEED tail|final ISOLATION          all topics of `ends.json` or of `topics.json`
"""

import json
import os
import sys
import threading
import time

from client import Client, ident_of, part
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from producers import SETTLE_S, Writer, anew, begin, finish, settled, survived, transactional

STOP = "stop-members"
STOP_TRANSFORMS = "stop-transforms"
ENDS = "ends.json"
PATIENCE = float(os.environ.get("PATIENCE", "1"))
TAIL_S = 30 * PATIENCE
SESSION_MS = 6_000
# A member whose farewell is lost is missed by its group for as long as a consumer group's session takes, 45 s. So no
# visitor leaves in a fault, around which the harness puts the first file there, and no fault comes while one leaves,
# which puts the second there.
HOLD, LEAVING = "hold", "leaving"
# librdkafka's send_offsets_to_transaction never returns when its connection is lost at the wrong moment
# (confluentinc/librdkafka#5456), whatever its time-out says. Then the client ends by itself, and with this code.
HANGS_S = 4 * PATIENCE
HANGS_CODE = 75


def parts(list_of):
    return [part(at.topic, at.partition) for at in list_of]


class Reader:
    """A consumer whose every step is written down."""

    def __init__(self, client, group=None, **config):
        self.client, self.group, self.commits = client, group, 0
        self.eof = {}  # by part, where its end was met last
        self.uncommitted = {}  # by topic and partition, the end of what was read
        self.consumer = Consumer(client.config(**{
            "enable.auto.commit": False, "enable.auto.offset.store": False, "auto.offset.reset": "earliest",
            "group.id": group or "none", "check.crcs": True, "enable.partition.eof": True, "fetch.wait.max.ms": 100,
            "topic.metadata.refresh.interval.ms": 2_000, **config,
        }))

    def subscribe(self, topic):
        self.consumer.subscribe(
            [topic],
            on_assign=lambda _, these: self.client.note("assigned", parts=parts(these)),
            on_revoke=lambda _, these: self.gone("revoked", these),
            on_lost=lambda _, these: self.gone("lost", these),
        )

    def gone(self, how, these):
        """Parts that are another member's from now on, so that nothing may be committed for them any more."""
        self.client.note(how, parts=parts(these))
        for at in these:
            self.uncommitted.pop((at.topic, at.partition), None)

    def read(self, count, seconds):
        """The records that have come, after they have been written down."""
        records, fresh = [], []
        for message in self.consumer.consume(count, seconds):
            error = message.error()
            if error is None:
                fresh.append(message)
                continue
            records, fresh = records + self.write(fresh), []
            at = part(message.topic() or "", message.partition())
            if error.code() == KafkaError._PARTITION_EOF:
                self.eof[at] = message.offset()
                self.client.note("eof", part=at, offset=message.offset())
            else:
                self.client.error(error, part=at)
        records += self.write(fresh)
        self.uncommitted |= ends_of(records)
        return records

    def write(self, records):
        if records:
            self.client.note("read", records=[
                [record.topic(), record.partition(), record.offset(), ident_of(record.value()), record.timestamp()[1]]
                for record in records
            ])
        return records

    def commit(self):
        self.commits += 1
        number, ends, self.uncommitted = self.commits, self.uncommitted, {}
        self.client.note("commit", n=number, group=self.group, offsets={part(*at): end for at, end in ends.items()})
        try:
            done = self.consumer.commit(offsets=to_list(ends), asynchronous=False)
            failed = [at.error.name() for at in done if at.error]
        except KafkaException as exception:
            failed = [exception.args[0].name()]
        if failed:
            self.client.note("commit-failed", n=number, error=failed[0])
        else:
            self.client.note("commit-ok", n=number)

    def close(self):
        self.consumer.close()
        self.client.note("end")


def to_list(ends):
    return [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]


def ends_of(records):
    return {(record.topic(), record.partition()): record.offset() + 1 for record in records}


def grouped(client, group, protocol, **config):
    if protocol == "classic":
        config |= {"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 500}
    return Reader(client, group, **{"group.protocol": protocol, **config})


def member(base, group, protocol, isolation, topic, stays=None):
    """Reads, and commits what it has read, until it has to stop or its time is over."""
    client = Client(*base, role="member" if stays is None else "visitor", group=group, protocol=protocol,
                    isolation=isolation)
    reader = grouped(client, group, protocol, **{"isolation.level": isolation})
    reader.subscribe(topic)
    until = time.monotonic() + (stays or float("inf"))
    while client.going(STOP) and (time.monotonic() < until or not may_leave(reader, topic)):
        records = reader.read(200, 0.3)
        # What is read is committed in the end, but often not at once.
        if reader.uncommitted and (not records or client.random.random() < 0.7):
            reader.commit()
    reader.close()
    (client.folder / LEAVING).unlink(missing_ok=True)
    return client.going(STOP)


def may_leave(reader, topic):
    """Whether a farewell would get through: the coordinator has just answered, and no fault is coming."""
    leaving = reader.client.folder / LEAVING
    leaving.touch()
    if reader.client.going(HOLD):
        try:
            reader.consumer.committed([TopicPartition(topic, 0)], 1)
            return True
        except KafkaException:
            pass
    leaving.unlink()
    return False


def visitor(folder, bootstrap, who, seed, *rest):
    """Joins and leaves, again and again, each time as another incarnation."""
    number = 1
    while True:
        base = folder, bootstrap, f"{who}.{number}", seed
        if not member(base, *rest, stays=3 + number * 7 % 5):
            break
        number += 1


def transform(base, group, protocol, topic, to, partitions):
    """Writes a record for each one that it has read, and commits with the same transaction where it has read to."""
    described = {"role": "transform", "group": group, "protocol": protocol, "isolation": "read_committed"}
    # Few and large batches, or it falls behind those who write with many small ones.
    config = transactional(base[2]) | {"batch.num.messages": 200}
    writer = Writer(base, described, to, int(partitions), config)
    while not survived(writer, transform_on, group, protocol, topic):
        writer.restart()


def transform_on(writer, group, protocol, topic):
    reader = grouped(writer, group, protocol, **{"isolation.level": "read_committed"})
    reader.subscribe(topic)
    ready = anew(writer)
    while writer.going(STOP_TRANSFORMS):
        if not ready:
            ready = anew(writer)
            continue
        records = reader.read(500, 0.2)
        if not records:
            continue
        ready = transform_once(writer, reader, records)
        if writer.ended == "committed":
            continue
        # What is in doubt has to be decided before it is asked where to go on.
        while not ready and writer.going(STOP_TRANSFORMS):
            ready = anew(writer)
        back(writer, reader, records)
    reader.close()


def transform_once(writer, reader, records):
    """One transaction. Returns whether the producer can begin another one; `writer.ended` says how this one ended."""
    txn = begin(writer)
    for record in records:
        writer.send(1, txn, source=[part(record.topic(), record.partition()), record.offset()])
    writer.producer.poll(0)
    ends = ends_of(records)
    writer.note("offsets", txn=txn, group=reader.group, offsets={part(*at): end for at, end in ends.items()})
    watchdog = threading.Timer(HANGS_S, hangs, (writer,))
    watchdog.daemon = True
    watchdog.start()
    error = settled(writer, writer.producer.send_offsets_to_transaction, to_list(ends),
                    reader.consumer.consumer_group_metadata(), 2)
    watchdog.cancel()
    if error is not None and error.fatal():
        return False
    return finish(writer, txn, commit=error is None and writer.random.random() < 0.85)


def hangs(writer):
    writer.note("hangs", call="send_offsets_to_transaction")
    os._exit(HANGS_CODE)


def back(writer, reader, records):
    """Goes back to what is committed on all partitions that the records came from."""
    assigned = {(at.topic, at.partition) for at in reader.consumer.assignment()}
    these = {(record.topic(), record.partition()) for record in records} & assigned
    deadline = time.monotonic() + SETTLE_S
    while these and time.monotonic() < deadline:
        began = time.monotonic()
        try:
            committed = reader.consumer.committed([TopicPartition(*at) for at in these], 5)
        except KafkaException:
            continue
        for at in committed:
            if at.error:
                continue
            name, offset = part(at.topic, at.partition), at.offset if at.offset >= 0 else OFFSET_BEGINNING
            writer.note("fetched", group=reader.group, began=began, offsets={name: max(at.offset, -1)})
            writer.note("seek", part=name, offset=max(at.offset, 0))
            try:
                reader.consumer.seek(TopicPartition(at.topic, at.partition, offset))
            except KafkaException as exception:
                writer.note("error", error=exception.args[0].name(), text="seek", fatal=False)
            these.discard((at.topic, at.partition))


def tail(base, role, isolation):
    """Reads everything from the beginning, as it comes, without a group. It is to meet no error at all."""
    client = Client(*base, role=role, isolation=isolation)
    reader = Reader(client, **{"isolation.level": isolation, "auto.offset.reset": "error"})
    topics = json.loads((client.folder / "topics.json").read_text())
    all_of = [TopicPartition(topic, partition, OFFSET_BEGINNING)
              for topic, count in topics.items() for partition in range(count)]
    reader.consumer.assign(all_of)
    client.note("assigned", parts=parts(all_of))
    deadline = None
    while client.going("never"):
        reader.read(1_000, 0.2)
        if client.going(ENDS):
            continue
        deadline = deadline or time.monotonic() + TAIL_S
        ends = json.loads((client.folder / ENDS).read_text())
        if all(reader.eof.get(at, -1) >= end for at, end in ends.items()) or time.monotonic() > deadline:
            break
    reader.close()


def main(*arguments):
    base, (role, *rest) = arguments[:4], arguments[4:]
    if role == "member":
        member(base, *rest)
    elif role == "visitor":
        visitor(*base, *rest)
    elif role == "transform":
        transform(base, *rest)
    else:
        tail(base, role, *rest)


if __name__ == "__main__":
    main(*sys.argv[1:])
