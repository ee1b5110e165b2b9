"""Clients of a history that ask: for committed offsets, and for offsets by time beside retention and DeleteRecords.

observers.py FOLDER BOOTSTRAP WHO SEED watcher TOPIC PARTITIONS GROUP...
observers.py FOLDER BOOTSTRAP WHO SEED looker TOPIC PARTITIONS
"""

import sys
import time

from client import Client, part
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

STOP = "stop-members"
ASK_S = 5
# How far from now look-ups ask, in ms: before what is kept, in it, and after it.
ASKED_MS = (-12_000, 3_000)


def asker(client, group):
    """A consumer that is no member of its group. It waits where a transaction's offsets are not decided: Kafka answers
    those who commit it before that is to be seen."""
    return Consumer(client.config(**{
        "group.id": group, "enable.auto.commit": False, "isolation.level": "read_committed",
    }))


def watch(base, topic, partitions, *groups):
    """Fetches what groups have committed, all the time."""
    client = Client(*base, role="watcher")
    askers = {group: asker(client, group) for group in groups}
    while client.going(STOP):
        for group, consumer in askers.items():
            fetch(client, consumer, group, topic, int(partitions))
        time.sleep(client.random.uniform(0.05, 0.3))
    client.note("end")


def fetch(client, consumer, group, topic, partitions):
    """What a group has committed by part, -1 for nothing; None if there was no answer."""
    began = time.monotonic()
    try:
        answer = consumer.committed([TopicPartition(topic, partition) for partition in range(partitions)], ASK_S)
    except KafkaException as exception:
        client.error(exception.args[0])
        return None
    offsets = {part(at.topic, at.partition): max(at.offset, -1) for at in answer if not at.error}
    client.note("fetched", group=group, began=began, offsets=offsets)
    return offsets


class Looker(Client):
    def __init__(self, *base):
        super().__init__(*base, role="looker")
        self.consumer = Consumer(self.config(**{"group.id": "none", "enable.auto.commit": False}))
        self.admin = AdminClient(self.config())

    def ends(self, at):
        """Where the log begins and ends."""
        began = time.monotonic()
        low, high = self.consumer.get_watermark_offsets(at, timeout=ASK_S)
        self.note("low", part=part(at.topic, at.partition), low=low, wall=int(time.time() * 1000), began=began)
        return low, high

    def look(self, at):
        began = time.monotonic()
        low_before, _ = self.ends(at)
        asked = int(time.time() * 1000) + self.random.randint(*ASKED_MS)
        asking = time.monotonic()
        answer, = self.consumer.offsets_for_times([TopicPartition(at.topic, at.partition, asked)], timeout=ASK_S)
        answered = time.monotonic()
        if answer.error:
            self.error(answer.error)
            return
        low_after, _ = self.ends(at)
        self.note("times", part=part(at.topic, at.partition), asked=asked, offset=max(answer.offset, -1),
                  low_before=low_before, low_after=low_after, began=began, asking=asking, answered=answered)

    def delete(self, at):
        """Removes up to the half of what is there, often in the midst of a batch."""
        low, high = self.ends(at)
        before = low + self.random.randint(0, max(0, (high - low) // 2))
        name = part(at.topic, at.partition)
        self.note("delete", part=name, before=before)
        request = self.admin.delete_records([TopicPartition(at.topic, at.partition, before)], request_timeout=ASK_S)
        for done in request.values():
            self.note("deleted", part=name, low=done.result().low_watermark)


def look_up(base, topic, partitions):
    looker = Looker(*base)
    while looker.going(STOP):
        at = TopicPartition(topic, looker.random.randrange(int(partitions)))
        try:
            if looker.random.random() < 0.05:
                looker.delete(at)
            else:
                looker.look(at)
        except KafkaException as exception:
            looker.error(exception.args[0])
        time.sleep(looker.random.uniform(0, 0.1))
    looker.note("end")


def main(*arguments):
    base, (role, *rest) = arguments[:4], arguments[4:]
    {"watcher": watch, "looker": look_up}[role](base, *rest)


if __name__ == "__main__":
    main(*sys.argv[1:])
