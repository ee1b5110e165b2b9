"""What confluent-kafka can do without groups and transactions.    clients.py BROKER"""
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

BROKER = {"bootstrap.servers": sys.argv[1]}
TOPIC = "confluent"


def ensure(what, holds):
    if not holds:
        sys.exit(f"confluent-kafka: {what}: not so")
    print(f"confluent-kafka: {what}")


def poll(consumer, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        message = consumer.poll(1)
        if message and not message.error():
            return message
    sys.exit("confluent-kafka: no record came")


admin = AdminClient(BROKER)
admin.create_topics([NewTopic(TOPIC, 2, config={"retention.ms": "100000000000000"})])[TOPIC].result(20)
try:
    admin.create_topics([NewTopic(TOPIC, 2)])[TOPIC].result(20)
    ensure("a topic is not created twice", False)
except KafkaException as error:
    ensure("a topic is not created twice", error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS)
ensure("metadata", len(admin.list_topics(TOPIC, timeout=20).topics[TOPIC].partitions) == 2)

producer = Producer(BROKER | {"enable.idempotence": True, "compression.type": "lz4"})
for number in range(100):
    producer.produce(TOPIC, str(number), partition=number % 2, timestamp=1_000 * (number + 1))
ensure("an idempotent producer", producer.flush(30) == 0)

consumer = Consumer(BROKER | {"group.id": "unused", "enable.auto.commit": False, "auto.offset.reset": "earliest"})
ensure("watermarks", consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=20) == (0, 50))
times = [TopicPartition(TOPIC, 0, 50_001), TopicPartition(TOPIC, 1, 999_999)]
ensure("offsets by time", [at.offset for at in consumer.offsets_for_times(times, timeout=20)] == [25, -1])
ends = admin.list_offsets({TopicPartition(TOPIC, 0): OffsetSpec.max_timestamp(),
                           TopicPartition(TOPIC, 1): OffsetSpec.earliest()})
ensure("the largest timestamp and the earliest offset",
       {at.partition: found.result(20).offset for at, found in ends.items()} == {0: 49, 1: 0})
consumer.assign([TopicPartition(TOPIC, 0, 0), TopicPartition(TOPIC, 1, 10)])
ensure("records by partition", len([poll(consumer) for _ in range(90)]) == 90)
consumer.seek(TopicPartition(TOPIC, 0, 49))
ensure("seek", poll(consumer).offset() == 49)
consumer.assign([TopicPartition(TOPIC, 0, 1_000)])
ensure("an offset out of range is reset", poll(consumer).offset() == 0)
consumer.close()
admin.delete_topics([TOPIC])[TOPIC].result(20)
while TOPIC in admin.list_topics(timeout=20).topics:
    time.sleep(0.05)
ensure("a topic is deleted", True)
