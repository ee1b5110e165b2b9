"""What of an answer is compared, and how: each broker's own values by the role that they play.

Ids are drawn by each broker for itself. The n-th distinct id that a broker tells in a script is compared as `#n`, so
an answer with the wrong one of two ids differs. Times, addresses and the like are compared by whether they are set."""
import re
import struct
import time
import uuid

import messages

NIL = uuid.UUID(int=0)
# Compared by whether they are set.
OWN = {"host", "port", "cluster_id", "session_id", "throttle_time_ms", "transaction_start_time_ms", "last_timestamp",
       "log_append_time_ms", "control_timestamp", "commit_timestamp", "current_state_timestamp", "assignment_timestamp",
       "transaction_last_update_timestamp_ms", "transaction_start_timestamp_ms", "metadata_hash", "assignment_epochs"}
# A timestamp this near is the broker's clock; scripts give records older ones.
NOW_S = 3600
# A coordinator's epoch grows as its partition is led anew; those that scripts give are beyond.
COORDINATOR_EPOCHS = 4
PRODUCERS = {"producer_id", "previous_producer_id", "next_producer_id"}
# Compared by whether there are words; the words are shown.
TEXT = {"error_message", "batch_index_error_message"}
# Both Java's way to write a UUID and Kafka's: member ids consist of one, or end in one.
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<![\w-])[\w-]{22}(?![\w-])")
# Arrays that Kafka fills from a hash map, and that are compared without their order: (message, field).
UNORDERED = {
    ("JoinGroup", "members"), ("DescribeGroups", "members"), ("ConsumerGroupDescribe", "members"),
    ("ListGroups", "groups"), ("ListTransactions", "transaction_states"), ("ListTransactions", "unknown_state_filters"),
    ("DescribeProducers", "active_producers"), ("DescribeTransactions", "topics"), ("DescribeTransactions", "partitions"),
    ("ConsumerGroupHeartbeat", "topic_partitions"), ("ConsumerGroupHeartbeat", "partitions"),
    ("ConsumerGroupDescribe", "topic_partitions"), ("ConsumerGroupDescribe", "partitions"),
    ("ConsumerGroupDescribe", "subscribed_topic_names"), ("Fetch", "aborted_transactions"),
    ("OffsetFetch", "topics"), ("OffsetFetch", "partitions"),
    ("AddPartitionsToTxn", "results_by_transaction"), ("AddPartitionsToTxn", "topic_results"),
    ("AddPartitionsToTxn", "results_by_topic_v3_and_below"), ("AddPartitionsToTxn", "results_by_partition"),
    ("DeleteGroups", "results"), ("DescribeGroups", "groups"), ("ConsumerGroupDescribe", "groups"), ("WriteTxnMarkers", "markers"), ("WriteTxnMarkers", "topics"),
    ("WriteTxnMarkers", "partitions"), ("Produce", "responses"), ("Produce", "partition_responses"),
    ("records", "members"), ("records", "topic_partitions"), ("records", "partitions"), ("records", "assigned_partitions"),
    ("records", "subscribed_topic_names"), ("records", "topics"), ("records", "transaction_partitions"),
    ("records", "partition_ids"),
}


class Each:
    """A value that the two brokers have each for themselves; in a request it stands for that broker's one."""

    def __init__(self, *values):
        self.values = values

    def __getitem__(self, key):
        def dig(value):
            try:
                return value[key]
            except (KeyError, IndexError, TypeError):
                return None
        return Each(*(dig(value) for value in self.values))

    def find(self, **wanted):
        """The first element of an array whose fields are so."""
        def first(items):
            return next((item for item in items or () if all(item.get(k) == v for k, v in wanted.items())), None)
        return Each(*(first(value) for value in self.values))

    def plus(self, n):
        return Each(*(None if value is None else value + n for value in self.values))

    @property
    def kafka(self):
        """What Apache Kafka said, by which a script goes on."""
        return self.values[-1]


def each(function, *arguments):
    """What a function makes of the values of each broker."""
    return Each(*(function(*resolve(list(arguments), side)) for side in range(2)))


def resolve(value, side):
    """A request's values with the side's own in the places of `Each`."""
    if isinstance(value, Each):
        return value.values[side]
    if isinstance(value, dict):
        return {name: resolve(item, side) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolve(item, side) for item in value]
    return value


def zigzag(reader):
    n = reader.varint()
    return n >> 1 ^ -(n & 1)


def read_record(reader):
    end = zigzag(reader) + reader.at
    reader.take(1)
    out = {"timestamp_delta": zigzag(reader), "offset_delta": zigzag(reader)}
    for name in ("key", "value"):
        size = zigzag(reader)
        out[name] = None if size < 0 else reader.take(size)
    out["headers"] = zigzag(reader)
    reader.at = end
    return out


def batches(data):
    """Record batches as values: the header, and the records of what is not compressed."""
    reader, out = messages.Reader(data, 0, True), []
    while len(data) - reader.at >= 61:
        base, length = struct.unpack(">qi", reader.take(12))
        end = min(reader.at + length, len(data))
        _, magic, _, attributes, delta, first, last, producer, epoch, sequence, count = struct.unpack(
            ">ibIhiqqqhii", reader.take(49))
        control = attributes & 32
        times = {"control_timestamp": first} if control else {"first_timestamp": first, "max_timestamp": last}
        out.append({"base_offset": base, "magic": magic, "attributes": attributes, "last_offset_delta": delta, **times,
                    "producer_id": producer, "producer_epoch": epoch, "base_sequence": sequence,
                    "records": count if attributes & 7 else [read_record(reader) for _ in range(count)]})
        if control:
            for one in out[-1]["records"]:
                version, epoch = struct.unpack(">hi", one["value"][:6])
                one["value"] = {"version": version, "coordinator_epoch": epoch, "rest": one["value"][6:]}
        reader.at = end
    return out


class Normal:
    """One broker's answers in a script, made comparable: it remembers the ids that the broker has told."""

    def __init__(self):
        self.symbols = {}

    def symbol(self, role, value, new):
        known = self.symbols.setdefault(role, {})
        if value not in known:
            if not new:
                return "?"
            known[value] = f"{role}#{len(known) + 1}"
        return known[value]

    def of(self, api, answer):
        return self.value(api, "", answer, True)

    def value(self, api, name, value, new):
        if isinstance(value, dict):
            # Beside an error there is no producer, and Kafka says 0 or -1, as the default of the field is.
            if value.get("error_code") and "producer_id" in value:
                value = value | {"producer_id": f"{value['producer_id']}"}
            return {key: self.value(api, key, item, new) for key, item in value.items()}
        if isinstance(value, list):
            if (api, name) not in UNORDERED:
                return [self.value(api, name, item, new) for item in value]
            keyed = sorted(((repr(self.value(api, name, item, False)), item) for item in value), key=lambda one: one[0])
            keys = [key for key, _ in keyed]
            # Of two that look the same but for ids that are new, nothing says which is which: they stay unnumbered.
            return [self.value(api, name, item, new and keys.count(key) == 1) for key, item in keyed]
        if isinstance(value, bytes):
            return self.value(api, "batches", batches(value), new) if name == "records" else value
        if name == "timestamp" and abs(value / 1000 - time.time()) < NOW_S:
            return "now"
        if name == "coordinator_epoch" and 0 <= value < COORDINATOR_EPOCHS:
            return "the coordinator's"
        if name in OWN:
            return "unset" if value in (None, "", -1, 0) else "set"
        if name in TEXT:
            return "none" if value is None else "some"
        if name in PRODUCERS and value != -1 and not isinstance(value, str):
            return self.symbol("producer", value, new)
        if isinstance(value, uuid.UUID):
            return "nil" if value == NIL else self.symbol("uuid", str(value), new)
        if isinstance(value, str):
            return UUID.sub(lambda found: self.symbol("id", found[0], new), value)
        return value


def flat(value, path=""):
    """Every leaf with its path, and every array's length."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from flat(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield f"{path}#", len(value)
        for at, item in enumerate(value):
            yield from flat(item, f"{path}[{at}]")
    else:
        yield path, value


def codes(value):
    """All error codes in an answer, 0 among them."""
    for path, item in flat(value):
        if path.endswith("error_code"):
            yield item
