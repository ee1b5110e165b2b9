"""Compares what both brokers have written to `__consumer_offsets` and `__transaction_state`, for the differential test.

Tools, links and another Kafka read these topics, so their records must be Kafka's: the same key in the same partition, and
the same last value in the same version, but for what is each broker's own."""
import struct

import messages
from differential_values import batches, flat

OFFSETS, TRANSACTIONS = "__consumer_offsets", "__transaction_state"
# What a definition's record is of is the name of its key without `Key`, as with its value's.
VALUES = {"LegacyOffsetCommitKey": "OffsetCommitValue"}


def definitions(catalogue, topic):
    """Each key's version with the definitions of the key and of its value."""
    found = {}
    for name, key in catalogue.items():
        if name.endswith("Key") and (name == "TransactionLogKey") == (topic == TRANSACTIONS):
            found[key.key] = (key, catalogue[VALUES.get(name, name.removesuffix("Key") + "Value")])
    return found


def read(side, api, topic, index):
    """All records of a partition, as (key, value)."""
    offset = 0
    while True:
        sent = side.send("records", api, 12, {"max_wait_ms": 0, "min_bytes": 0, "max_bytes": 1 << 24, "topics": [
            {"topic": topic, "partitions": [{"partition": index, "fetch_offset": offset, "partition_max_bytes": 1 << 24}]}]})
        answer = side.receive("records", api, 12, sent)["responses"][0]["partitions"][0]
        if answer["error_code"]:
            raise ValueError(f"{topic}-{index} can't be read: {answer['error_code']}")
        found = batches(answer["records"] or b"")
        for batch in found:
            if not batch["attributes"] & 0x20:
                yield from ((one["key"], one["value"]) for one in batch["records"])
        if not found:
            return
        offset = found[-1]["base_offset"] + found[-1]["last_offset_delta"] + 1


def states(side, api, topic, partitions, catalogue):
    """The last value of each key: (partition, the key's definition, its fields, the value's version, its fields)."""
    known, last = definitions(catalogue, topic), {}
    for index in range(partitions):
        for key, value in read(side, api, topic, index):
            last[index, key] = value
    for (index, key), value in last.items():
        version, = struct.unpack(">h", key[:2])
        if version not in known:
            yield index, f"key of version {version}", {"key": key[2:]}, None, {}
            continue
        key_type, value_type = known[version]
        fields = key_type.decode(key[2:], 0)
        if value is not None:
            of, = struct.unpack(">h", value[:2])
            yield index, key_type.name, fields, of, value_type.decode(value[2:], of)


def comparable(script, index, found):
    """A broker's records of a script by their keys, with its ids as symbols."""
    normal, out = script.sides[index].normal, {}
    for partition, name, key, version, value in found:
        owner = next((item for item in key.values() if isinstance(item, str)), "")
        if owner.startswith(script.tag):
            shown = f"{name}({', '.join(str(normal.value('records', field, item, False)) for field, item in key.items())})"
            body = normal.value("records", "", {"partition": partition, "version": version, "value": value}, False)
            out.setdefault(shown, []).append(dict(flat(body)))
    return {shown: sorted(ones, key=repr) for shown, ones in out.items()}


def compare(scripts, catalogue, differ):
    """Tells `differ(script, key, path, Levee's, Kafka's)` of every field that differs; how many records were compared."""
    api, metadata = (messages.Api(catalogue, name) for name in ("Fetch", "Metadata"))
    compared = 0
    for topic in (OFFSETS, TRANSACTIONS):
        found = []
        for side in scripts[0].sides:
            sent = side.send("records", metadata, 9, {"topics": [{"name": topic}]})
            told = side.receive("records", metadata, 9, sent)["topics"][0]
            found.append(list(states(side, api, topic, len(told["partitions"]), catalogue)))
        for script in scripts:
            ours, kafkas = (comparable(script, index, one) for index, one in enumerate(found))
            for shown in sorted(ours.keys() | kafkas.keys()):
                left, right = ours.get(shown, []), kafkas.get(shown, [])
                compared += len(right)
                if len(left) != len(right):
                    differ(script, shown, "records", len(left), len(right))
                for one, other in zip(left, right):
                    for path in sorted(one.keys() | other.keys()):
                        if script.own_epochs and path.endswith("epoch"):
                            continue
                        if one.get(path, "absent") != other.get(path, "absent"):
                            differ(script, shown, path, one.get(path, "absent"), other.get(path, "absent"))
    return compared
