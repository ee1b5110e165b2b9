"""Groups and transactions that leave their marks in the internal topics, and what must be found of them.

fill HOST:PORT FILE       groups of both protocols and transactions that commit offsets, all in one partition; what must be
                          found goes into the file, as JSON. Prints how many records Kafka's console consumer will get
                          of the offsets' partition, of it without aborted transactions, and of all transactions
check FILE OUT-FOLDER     compares that with what Kafka's formatters have printed of the internal topics: offsets (all),
                          stable (of no aborted transaction), groups and transactions
churn HOST:PORT FILE      the same keys over and over, until compaction has made both topics short; what has been
                          committed in the end is added to the file
same HOST:PORT FILE       compares what is committed with that, and goes on with the transactional id
"""

import json
import os
import sys
import time

from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType)

from load import INTERNAL_PARTITIONS, java_hash, partition_of_hash

TOPIC, PARTITIONS, RECORDS = "read", 2, 20
OFFSETS, TRANSACTIONS = "__consumer_offsets", "__transaction_state"
TRANSACTIONAL_ID, TRANSACTION_TIMEOUT_MS = "one-transaction", 45_000
ROUNDS, PATIENCE_S = 150, 60


def partition_of(name):
    return partition_of_hash(java_hash(name))


def beside(name):
    """A group's name that begins so and is in the partition that all of them are in."""
    return next(f"{name}-{number}" for number in range(10_000) if partition_of(f"{name}-{number}") == PARTITION)


PARTITION = partition_of("exactly-once")
CLASSIC, CONSUMER, EXACTLY_ONCE, NEIGHBOUR = map(beside, ("classic", "consumer", "exactly-once", "neighbour"))


def consume(broker, group, protocol):
    """Reads all of the topic as a member of the group, and commits: {partition: offset}."""
    config = {"bootstrap.servers": broker, "group.id": group, "group.protocol": protocol, "enable.auto.commit": False,
              "auto.offset.reset": "earliest"}
    consumer = Consumer(config)
    consumer.subscribe([TOPIC])
    offsets, until = {}, time.monotonic() + PATIENCE_S
    while sum(offsets.values()) < RECORDS:
        assert time.monotonic() < until, f"{group} has read up to {offsets} in {PATIENCE_S} s"
        message = consumer.poll(1)
        if message is not None:
            assert not message.error(), message.error()
            offsets[message.partition()] = message.offset() + 1
    for partition, offset in offsets.items():
        consumer.commit(offsets=[TopicPartition(TOPIC, partition, offset, f"of {group}")], asynchronous=False)
    consumer.close()
    return offsets


class Transactions:
    """One transactional id, whose transactions commit offsets of EXACTLY_ONCE."""

    def __init__(self, broker):
        # One consumer for its group's metadata; it is a member of nothing.
        self.consumer = Consumer({"bootstrap.servers": broker, "group.id": EXACTLY_ONCE})
        self.producer = Producer({"bootstrap.servers": broker, "transactional.id": TRANSACTIONAL_ID,
                                  "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS})
        self.producer.init_transactions(PATIENCE_S)

    def run(self, offset, commit):
        self.producer.begin_transaction()
        self.producer.produce("written", b"v", partition=0)
        offsets = [TopicPartition(TOPIC, partition, offset + partition) for partition in range(PARTITIONS)]
        self.producer.send_offsets_to_transaction(offsets, self.consumer.consumer_group_metadata(), PATIENCE_S)
        (self.producer.commit_transaction if commit else self.producer.abort_transaction)(PATIENCE_S)


def fill(broker, path):
    admin = AdminClient({"bootstrap.servers": broker})
    for future in admin.create_topics([NewTopic(TOPIC, PARTITIONS), NewTopic("written", 1)]).values():
        future.result(PATIENCE_S)
    producer = Producer({"bootstrap.servers": broker})
    for number in range(RECORDS):
        producer.produce(TOPIC, str(number).encode(), partition=number % PARTITIONS)
    assert producer.flush(PATIENCE_S) == 0
    expected = {group: consume(broker, group, protocol) for group, protocol in ((CLASSIC, "classic"),
                                                                              (CONSUMER, "consumer"))}
    transactions = Transactions(broker)
    transactions.run(5, True)
    transactions.run(8, False)
    expected[EXACTLY_ONCE] = {partition: 5 + partition for partition in range(PARTITIONS)}
    with open(path, "w") as file:
        json.dump(expected, file)
    states = [count(broker, TRANSACTIONS, partition)[0] for partition in range(INTERNAL_PARTITIONS)]
    print(PARTITION, count(broker, OFFSETS, PARTITION)[0], count(broker, OFFSETS, PARTITION, "read_committed")[0],
          sum(states))


def printed(folder, name):
    """What a formatter has printed, one after the other: (the key's data, the value's data or None for a tombstone)."""
    with open(os.path.join(folder, name)) as file:
        text = file.read().strip()
    decoder, at, found = json.JSONDecoder(), 0, []
    while at < len(text):
        record, at = decoder.raw_decode(text, at)
        found.append((record["key"]["data"], record["value"] and record["value"]["data"]))
    return found


def check(path, folder):
    with open(path) as file:
        expected = json.load(file)
    for name in "offsets", "stable":
        found, metadata, seen = {}, {}, set()
        for key, value in printed(folder, name):
            if key["group"] in expected:
                assert key["topic"] == TOPIC and value, (key, value)
                found.setdefault(key["group"], {})[str(key["partition"])] = value["offset"]
                # The client sends a NUL with it.
                metadata.setdefault(key["group"], set()).add(value["metadata"].rstrip("\0"))
                seen.add((key["group"], value["offset"]))
        aborted = {(EXACTLY_ONCE, 8), (EXACTLY_ONCE, 9)}
        if name == "stable":
            assert found == expected, f"{found} instead of {expected}"
            assert not aborted & seen, f"offsets of an aborted transaction: {seen}"
        else:
            assert aborted <= seen, f"the offsets of an aborted transaction are not there: {seen}"
        assert metadata[CLASSIC] == {f"of {CLASSIC}"} and metadata[EXACTLY_ONCE] == {""}, metadata
        print(f"{name}: {len(seen)} offsets of {len(found)} groups, as they were committed")
    classic = [value for key, value in printed(folder, "groups") if key["group"] == CLASSIC]
    # A group that is new is written down before it has a protocol type.
    types = {value["protocolType"] for value in classic if value["generation"]}
    assert types == {"consumer"}, classic
    assert any(len(value["members"]) == 1 and value["protocol"] for value in classic), classic
    last = classic[-1]
    assert last["members"] == [] and last["leader"] is None and last["generation"] >= 2, last
    print(f"groups: {CLASSIC} had a member, and ended empty in generation {last['generation']}")
    states = [value for key, value in printed(folder, "transactions") if key["transactionalId"] == TRANSACTIONAL_ID]
    assert {value["transactionTimeoutMs"] for value in states} == {TRANSACTION_TIMEOUT_MS}, states
    ids = {value["producerId"] for value in states}
    assert len(ids) == 1, ids
    # Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort.
    kinds = [value["transactionStatus"] for value in states]
    assert kinds[0] == 0 and kinds[-1] == 5 and {1, 2, 3, 4} <= set(kinds), kinds
    ongoing = {(topic["topic"], partition) for value in states if value["transactionStatus"] == 1
               for topic in value["transactionPartitions"] for partition in topic["partitionIds"]}
    assert ongoing == {("written", 0), (OFFSETS, PARTITION)}, ongoing
    print(f"transactions: {len(states)} states of {TRANSACTIONAL_ID}, from Empty to CompleteAbort")


def committed(admin, groups):
    found = {}
    for group in groups:
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], require_stable=True)
        partitions = asked[group].result(PATIENCE_S).topic_partitions
        found[group] = {str(at.partition): at.offset for at in partitions}
    return found


def count(broker, topic, partition, isolation="read_uncommitted"):
    """The records that are in a partition, and where it ends."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "none", "enable.auto.commit": False,
                         "enable.partition.eof": True, "isolation.level": isolation})
    consumer.assign([TopicPartition(topic, partition, 0)])
    records, until = 0, time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        message = consumer.poll(1)
        if message is None:
            continue
        if not message.error():
            records += 1
        elif message.error().code() == KafkaError._PARTITION_EOF:
            end = message.offset()
            consumer.close()
            return records, end
        else:
            raise KafkaException(message.error())
    sys.exit(f"{topic}: the end was not reached in {PATIENCE_S} s")


def alter(admin, topic, **configs):
    entries = [ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
               for name, value in configs.items()]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin.incremental_alter_configs([resource])[resource].result(PATIENCE_S)


def churn(broker, path):
    with open(path) as file:
        expected = json.load(file)
    admin = AdminClient({"bootstrap.servers": broker})
    for topic in OFFSETS, TRANSACTIONS:
        alter(admin, topic, segment_ms="300", min_cleanable_dirty_ratio="0.01", delete_retention_ms="0")
    transactions = Transactions(broker)
    simple = Consumer({"bootstrap.servers": broker, "group.id": NEIGHBOUR, "enable.auto.commit": False})

    def turn(number):
        """Commits of a group, and of transactions of which each third is aborted."""
        simple.commit(offsets=[TopicPartition(TOPIC, at, number + at) for at in range(PARTITIONS)], asynchronous=False)
        expected[NEIGHBOUR] = {str(at): number + at for at in range(PARTITIONS)}
        transactions.run(number, number % 3 > 0)
        if number % 3 > 0:
            expected[EXACTLY_ONCE] = {str(at): number + at for at in range(PARTITIONS)}

    for number in range(1_000, 1_000 + ROUNDS):
        turn(number)
    looked_at = (OFFSETS, PARTITION), (TRANSACTIONS, partition_of(TRANSACTIONAL_ID))
    # Each turn adds six records to the first and some three to the second; what is in the active segment stays.
    number, until, most = 1_000 + ROUNDS, time.monotonic() + PATIENCE_S, 90
    while True:
        turn(number)
        found = [count(broker, *place) for place in looked_at]
        if all(records <= most for records, _ in found):
            break
        assert time.monotonic() < until, f"still (records, end): {found} after {PATIENCE_S} s"
        number += 1
        # Time has to pass: a segment is rolled by it.
        time.sleep(0.3)
    for (topic, partition), (records, end) in zip(looked_at, found):
        assert end > 3 * ROUNDS, (topic, end)
        print(f"{topic}-{partition}: {records} records are left of {end}")
    now = committed(admin, expected)
    assert now == expected, f"{now} instead of {expected}"
    with open(path, "w") as file:
        json.dump(expected, file)


def same(broker, path):
    with open(path) as file:
        expected = json.load(file)
    admin = AdminClient({"bootstrap.servers": broker})
    now = committed(admin, expected)
    assert now == expected, f"{now} instead of {expected}"
    transactions = Transactions(broker)
    transactions.run(7_000, True)
    expected[EXACTLY_ONCE] = {str(at): 7_000 + at for at in range(PARTITIONS)}
    now = committed(admin, expected)
    assert now == expected, f"{now} instead of {expected}"
    print(f"{len(expected)} groups have what they had committed, and a transaction went on from there")


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {f.__name__: f for f in (fill, check, churn, same)}[name](*arguments)
