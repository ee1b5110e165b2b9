"""Kafka's protocol by hand: what a client library would refuse to send, for bad_input.py and differential.py.

A message is a list of fields (name, type, first version, last version); a type is a name, or a list of fields for an
array of structs, or ("array", name) for an array of plain values, or ("maybe", fields) for a struct or null. Tagged fields are kept as they are, by number."""
import socket
import struct
import uuid

LAST = 99
PLAIN = {"i8": ">b", "i16": ">h", "i32": ">i", "i64": ">q", "bool": ">?"}


def f(name, kind, first=0, last=LAST):
    return (name, kind, first, last)


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def zigzag(n):
    return varint((n << 1) ^ (n >> 63))


class Out:
    def __init__(self, flexible):
        self.bytes, self.flexible = bytearray(), flexible

    def length(self, n, narrow):
        if self.flexible:
            self.bytes += varint(0 if n is None else n + 1)
        else:
            self.bytes += struct.pack(">h" if narrow else ">i", -1 if n is None else n)

    def value(self, kind, value, version):
        if isinstance(kind, str) and kind in PLAIN:
            self.bytes += struct.pack(PLAIN[kind], value)
        elif kind == "uuid":
            self.bytes += value.bytes
        elif kind in ("str", "bytes"):
            data = value.encode() if isinstance(value, str) else value
            self.length(None if data is None else len(data), kind == "str")
            self.bytes += data or b""
        elif isinstance(kind, tuple) and kind[0] == "maybe":
            self.bytes += struct.pack(">b", -1 if value is None else 1)
            if value is not None:
                self.struct(kind[1], value, version)
        else:
            plain = isinstance(kind, tuple)
            if isinstance(value, int):  # a length that lies, with nothing behind it
                self.length(value, False)
                return
            self.length(None if value is None else len(value), False)
            for item in value or []:
                if plain:
                    self.value(kind[1], item, version)
                else:
                    self.struct(kind, item, version)

    def struct(self, fields, values, version):
        unknown = set(values) - {name for name, *_ in fields}
        assert not unknown, unknown
        for name, kind, first, last in fields:
            if first <= version <= last:
                value = values[name] if name in values else default(kind)
                self.value(kind, value, version)
        if self.flexible:
            self.bytes += b"\0"


def default(kind):
    if isinstance(kind, str) and kind in PLAIN:
        return 0
    if isinstance(kind, tuple) and kind[0] == "maybe":
        return None
    return {"uuid": uuid.UUID(int=0), "str": "", "bytes": None}.get(kind, []) if isinstance(kind, str) else []


class In:
    def __init__(self, data, flexible):
        self.data, self.at, self.flexible = data, 0, flexible

    def take(self, n):
        assert self.at + n <= len(self.data), "the answer is cut short"
        self.at += n
        return self.data[self.at - n:self.at]

    def varint(self):
        n = shift = 0
        while True:
            byte = self.take(1)[0]
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n

    def length(self, narrow):
        if self.flexible:
            return self.varint() - 1
        return struct.unpack(">h" if narrow else ">i", self.take(2 if narrow else 4))[0]

    def value(self, kind, version):
        if isinstance(kind, str) and kind in PLAIN:
            return struct.unpack(PLAIN[kind], self.take(struct.calcsize(PLAIN[kind])))[0]
        if kind == "uuid":
            return uuid.UUID(bytes=self.take(16))
        if isinstance(kind, tuple) and kind[0] == "maybe":
            return None if self.value("i8", version) < 0 else self.struct(kind[1], version)
        n = self.length(kind == "str")
        if kind in ("str", "bytes"):
            data = None if n < 0 else self.take(n)
            return data if data is None or kind == "bytes" else data.decode()
        if n < 0:
            return None
        if isinstance(kind, tuple):
            return [self.value(kind[1], version) for _ in range(n)]
        return [self.struct(kind, version) for _ in range(n)]

    def struct(self, fields, version):
        out = {name: self.value(kind, version) for name, kind, first, last in fields if first <= version <= last}
        if self.flexible:
            tags = self.tags()
            if tags:
                out["tags"] = tags
        return out

    def tags(self):
        return {self.varint(): self.take(self.varint()) for _ in range(self.varint())}


NAMES = {"Produce": 0, "Fetch": 1, "ListOffsets": 2, "Metadata": 3, "OffsetCommit": 8, "OffsetFetch": 9,
         "FindCoordinator": 10, "ApiVersions": 18,
         "CreateTopics": 19, "DeleteTopics": 20, "DeleteRecords": 21, "InitProducerId": 22, "DescribeConfigs": 32,
         "AlterConfigs": 33, "DescribeLogDirs": 35, "CreatePartitions": 37, "ElectLeaders": 43,
         "IncrementalAlterConfigs": 44, "UpdateFeatures": 57, "DescribeCluster": 60, "ListConfigResources": 74,
         "DescribeTopicPartitions": 75}
FLEXIBLE = {0: 9, 1: 12, 2: 6, 3: 9, 8: 8, 9: 6, 10: 3, 18: 3, 19: 5, 20: 4, 21: 2, 22: 2, 32: 4, 33: 2, 35: 2, 37: 2, 43: 2, 44: 1,
            57: 0, 60: 0, 74: 0, 75: 0}
CURSOR = ("maybe", [("topic_name", "str", 0, LAST), ("partition_index", "i32", 0, LAST)])
REQUEST = {
    0: [f("transactional_id", "str", 3), f("acks", "i16"), f("timeout_ms", "i32"),
        f("topics", [f("name", "str", 0, 12), f("topic_id", "uuid", 13),
                     f("partitions", [f("index", "i32"), f("records", "bytes")])])],
    1: [f("replica_id", "i32", 0, 14), f("max_wait_ms", "i32"), f("min_bytes", "i32"), f("max_bytes", "i32", 3),
        f("isolation_level", "i8", 4), f("session_id", "i32", 7), f("session_epoch", "i32", 7),
        f("topics", [f("topic", "str", 0, 12), f("topic_id", "uuid", 13),
                     f("partitions", [f("partition", "i32"), f("current_leader_epoch", "i32", 9),
                                      f("fetch_offset", "i64"), f("last_fetched_epoch", "i32", 12),
                                      f("log_start_offset", "i64", 5), f("partition_max_bytes", "i32")])]),
        f("forgotten", [f("topic", "str", 7, 12), f("topic_id", "uuid", 13), f("partitions", ("array", "i32"))], 7),
        f("rack_id", "str", 11)],
    2: [f("replica_id", "i32"), f("isolation_level", "i8", 2),
        f("topics", [f("name", "str"), f("partitions", [f("partition_index", "i32"),
                                                        f("current_leader_epoch", "i32", 4), f("timestamp", "i64")])]),
        f("timeout_ms", "i32", 10)],
    3: [f("topics", [f("topic_id", "uuid", 10), f("name", "str")]), f("allow_auto_topic_creation", "bool", 4),
        f("include_cluster_authorized_operations", "bool", 8, 10),
        f("include_topic_authorized_operations", "bool", 8)],
    8: [f("group_id", "str"), f("generation_id", "i32", 1), f("member_id", "str", 1), f("group_instance_id", "str", 7),
        f("retention_time_ms", "i64", 2, 4),
        f("topics", [f("name", "str"), f("partitions", [f("partition_index", "i32"), f("committed_offset", "i64"),
                                                        f("committed_leader_epoch", "i32", 6),
                                                        f("committed_metadata", "str")])])],
    9: [f("group_id", "str", 0, 7), f("topics", [f("name", "str"), f("partitions", ("array", "i32"))], 0, 7),
        f("groups", [f("group_id", "str"), f("member_id", "str", 9), f("member_epoch", "i32", 9),
                     f("topics", [f("name", "str"), f("partitions", ("array", "i32"))])], 8),
        f("require_stable", "bool", 7)],
    10: [f("key", "str", 0, 3), f("key_type", "i8", 1), f("coordinator_keys", ("array", "str"), 4)],
    18: [f("client_software_name", "str", 3), f("client_software_version", "str", 3)],
    19: [f("topics", [f("name", "str"), f("num_partitions", "i32"), f("replication_factor", "i16"),
                      f("assignments", [f("partition_index", "i32"), f("broker_ids", ("array", "i32"))]),
                      f("configs", [f("name", "str"), f("value", "str")])]),
         f("timeout_ms", "i32"), f("validate_only", "bool", 1)],
    20: [f("topics", [f("name", "str"), f("topic_id", "uuid")], 6), f("topic_names", ("array", "str"), 0, 5),
         f("timeout_ms", "i32")],
    21: [f("topics", [f("name", "str"), f("partitions", [f("partition_index", "i32"), f("offset", "i64")])]),
         f("timeout_ms", "i32")],
    22: [f("transactional_id", "str"), f("transaction_timeout_ms", "i32"), f("producer_id", "i64", 3),
         f("producer_epoch", "i16", 3)],
    32: [f("resources", [f("resource_type", "i8"), f("resource_name", "str"),
                         f("configuration_keys", ("array", "str"))]),
         f("include_synonyms", "bool", 1), f("include_documentation", "bool", 3)],
    33: [f("resources", [f("resource_type", "i8"), f("resource_name", "str"),
                         f("configs", [f("name", "str"), f("value", "str")])]), f("validate_only", "bool")],
    35: [f("topics", [f("topic", "str"), f("partitions", ("array", "i32"))])],
    37: [f("topics", [f("name", "str"), f("count", "i32"), f("assignments", [f("broker_ids", ("array", "i32"))])]),
         f("timeout_ms", "i32"), f("validate_only", "bool")],
    43: [f("election_type", "i8", 1), f("topic_partitions", [f("topic", "str"), f("partitions", ("array", "i32"))]),
         f("timeout_ms", "i32")],
    57: [f("timeout_ms", "i32"), f("feature_updates", [
        f("feature", "str"), f("max_version_level", "i16"), f("allow_downgrade", "bool", 0, 0),
        f("upgrade_type", "i8", 1)]), f("validate_only", "bool", 1)],
    60: [f("include_cluster_authorized_operations", "bool"), f("endpoint_type", "i8", 1),
         f("include_fenced_brokers", "bool", 2)],
    74: [f("resource_types", ("array", "i8"), 1)],
    75: [f("topics", [f("name", "str")]), f("response_partition_limit", "i32"), f("cursor", CURSOR)],
    44: [f("resources", [f("resource_type", "i8"), f("resource_name", "str"),
                         f("configs", [f("name", "str"), f("config_operation", "i8"), f("value", "str")])]),
         f("validate_only", "bool")],
}
ALTERED = [f("throttle_time_ms", "i32"), f("responses", [
    f("error_code", "i16"), f("error_message", "str"), f("resource_type", "i8"), f("resource_name", "str")])]
COMMITTED = [f("name", "str"), f("partitions", [
    f("partition_index", "i32"), f("committed_offset", "i64"), f("committed_leader_epoch", "i32", 5),
    f("metadata", "str"), f("error_code", "i16")])]
RESPONSE = {
    0: [f("responses", [f("name", "str", 0, 12), f("topic_id", "uuid", 13), f("partitions", [
        f("index", "i32"), f("error_code", "i16"), f("base_offset", "i64"), f("log_append_time_ms", "i64", 2),
        f("log_start_offset", "i64", 5),
        f("record_errors", [f("batch_index", "i32"), f("message", "str")], 8), f("error_message", "str", 8)])]),
        f("throttle_time_ms", "i32", 1)],
    1: [f("throttle_time_ms", "i32", 1), f("error_code", "i16", 7), f("session_id", "i32", 7),
        f("responses", [f("topic", "str", 0, 12), f("topic_id", "uuid", 13), f("partitions", [
            f("partition_index", "i32"), f("error_code", "i16"), f("high_watermark", "i64"),
            f("last_stable_offset", "i64", 4), f("log_start_offset", "i64", 5),
            f("aborted_transactions", [f("producer_id", "i64"), f("first_offset", "i64")], 4),
            f("preferred_read_replica", "i32", 11), f("records", "bytes")])])],
    2: [f("throttle_time_ms", "i32", 2), f("topics", [f("name", "str"), f("partitions", [
        f("partition_index", "i32"), f("error_code", "i16"), f("timestamp", "i64"), f("offset", "i64"),
        f("leader_epoch", "i32", 4)])])],
    3: [f("throttle_time_ms", "i32", 3), f("brokers", [f("node_id", "i32"), f("host", "str"), f("port", "i32"),
                                                       f("rack", "str", 1)]),
        f("cluster_id", "str", 2), f("controller_id", "i32", 1),
        f("topics", [f("error_code", "i16"), f("name", "str"), f("topic_id", "uuid", 10), f("is_internal", "bool", 1),
                     f("partitions", [f("error_code", "i16"), f("partition_index", "i32"), f("leader_id", "i32"),
                                      f("leader_epoch", "i32", 7), f("replica_nodes", ("array", "i32")),
                                      f("isr_nodes", ("array", "i32")), f("offline_replicas", ("array", "i32"), 5)]),
                     f("topic_authorized_operations", "i32", 8)]),
        f("cluster_authorized_operations", "i32", 8, 10), f("error_code", "i16", 13)],
    8: [f("throttle_time_ms", "i32", 3), f("topics", [f("name", "str"), f("partitions", [
        f("partition_index", "i32"), f("error_code", "i16")])])],
    9: [f("throttle_time_ms", "i32", 3), f("topics", COMMITTED, 0, 7), f("error_code", "i16", 2, 7),
        f("groups", [f("group_id", "str"), f("topics", COMMITTED), f("error_code", "i16")], 8)],
    10: [f("throttle_time_ms", "i32", 1), f("error_code", "i16", 0, 3), f("error_message", "str", 1, 3),
         f("node_id", "i32", 0, 3), f("host", "str", 0, 3), f("port", "i32", 0, 3),
         f("coordinators", [f("key", "str"), f("node_id", "i32"), f("host", "str"), f("port", "i32"),
                            f("error_code", "i16"), f("error_message", "str")], 4)],
    18: [f("error_code", "i16"), f("api_keys", [f("api_key", "i16"), f("min_version", "i16"),
                                                f("max_version", "i16")]), f("throttle_time_ms", "i32", 1)],
    19: [f("throttle_time_ms", "i32", 2), f("topics", [
        f("name", "str"), f("topic_id", "uuid", 7), f("error_code", "i16"), f("error_message", "str", 1),
        f("num_partitions", "i32", 5), f("replication_factor", "i16", 5),
        f("configs", [f("name", "str"), f("value", "str"), f("read_only", "bool"), f("config_source", "i8"),
                      f("is_sensitive", "bool")], 5)])],
    20: [f("throttle_time_ms", "i32", 1), f("responses", [
        f("name", "str"), f("topic_id", "uuid", 6), f("error_code", "i16"), f("error_message", "str", 5)])],
    21: [f("throttle_time_ms", "i32"), f("topics", [f("name", "str"), f("partitions", [
        f("partition_index", "i32"), f("low_watermark", "i64"), f("error_code", "i16")])])],
    22: [f("throttle_time_ms", "i32"), f("error_code", "i16"), f("producer_id", "i64"), f("producer_epoch", "i16")],
    32: [f("throttle_time_ms", "i32"), f("results", [
        f("error_code", "i16"), f("error_message", "str"), f("resource_type", "i8"), f("resource_name", "str"),
        f("configs", [f("name", "str"), f("value", "str"), f("read_only", "bool"), f("is_default", "bool", 0, 0),
                      f("config_source", "i8", 1), f("is_sensitive", "bool"),
                      f("synonyms", [f("name", "str"), f("value", "str"), f("source", "i8")], 1),
                      f("config_type", "i8", 3), f("documentation", "str", 3)])])],
    33: ALTERED,
    35: [f("throttle_time_ms", "i32"), f("error_code", "i16", 3), f("results", [
        f("error_code", "i16"), f("log_dir", "str"), f("topics", [f("name", "str"), f("partitions", [
            f("partition_index", "i32"), f("partition_size", "i64"), f("offset_lag", "i64"),
            f("is_future_key", "bool")])]),
        f("total_bytes", "i64", 4), f("usable_bytes", "i64", 4), f("is_cordoned", "bool", 5)])],
    37: [f("throttle_time_ms", "i32"),
         f("results", [f("name", "str"), f("error_code", "i16"), f("error_message", "str")])],
    43: [f("throttle_time_ms", "i32"), f("error_code", "i16", 1), f("results", [
        f("topic", "str"),
        f("partitions", [f("partition_index", "i32"), f("error_code", "i16"), f("error_message", "str")])])],
    44: ALTERED,
    57: [f("throttle_time_ms", "i32"), f("error_code", "i16"), f("error_message", "str"),
         f("results", [f("feature", "str"), f("error_code", "i16"), f("error_message", "str")], 0, 1)],
    60: [f("throttle_time_ms", "i32"), f("error_code", "i16"), f("error_message", "str"), f("endpoint_type", "i8", 1),
         f("cluster_id", "str"), f("controller_id", "i32"),
         f("brokers", [f("broker_id", "i32"), f("host", "str"), f("port", "i32"), f("rack", "str"),
                       f("is_fenced", "bool", 2)]), f("cluster_authorized_operations", "i32")],
    74: [f("throttle_time_ms", "i32"), f("error_code", "i16"),
         f("config_resources", [f("resource_name", "str"), f("resource_type", "i8", 1)])],
    75: [f("throttle_time_ms", "i32"), f("topics", [
        f("error_code", "i16"), f("name", "str"), f("topic_id", "uuid"), f("is_internal", "bool"),
        f("partitions", [f("error_code", "i16"), f("partition_index", "i32"), f("leader_id", "i32"),
                         f("leader_epoch", "i32"), f("replica_nodes", ("array", "i32")),
                         f("isr_nodes", ("array", "i32")), f("eligible_leader_replicas", ("array", "i32")),
                         f("last_known_elr", ("array", "i32")), f("offline_replicas", ("array", "i32"))]),
        f("topic_authorized_operations", "i32")]), f("next_cursor", CURSOR)],
}


def flexible(api, version):
    return version >= FLEXIBLE.get(api, LAST)


def request(api, version, values, correlation=7, client="wire.py"):
    """A whole frame."""
    api = NAMES.get(api, api)
    head = struct.pack(">hhi", api, version, correlation)
    head += struct.pack(">h", len(client)) + client.encode()
    out = Out(flexible(api, version))
    if out.flexible:
        head += b"\0"
    out.struct(REQUEST[api], values, version)
    return struct.pack(">i", len(head) + len(out.bytes)) + head + bytes(out.bytes)


def answer(api, version, frame, correlation=7):
    """The values of an answer, of which nothing may be left over."""
    api = NAMES.get(api, api)
    data = In(frame, flexible(api, version))
    assert struct.unpack(">i", data.take(4))[0] == correlation, "another request's answer"
    if data.flexible and api != 18:
        assert data.tags() == {}
    values = data.struct(RESPONSE[api], version)
    assert data.at == len(frame), f"{len(frame) - data.at} bytes too many"
    return values


class Connection:
    def __init__(self, port, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)

    def send(self, data):
        self.socket.sendall(data)

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError("closed by the broker")
            data += more
        return data

    def frame(self):
        return self.read(struct.unpack(">i", self.read(4))[0])

    def ask(self, api, version, values):
        self.send(request(api, version, values))
        return answer(api, version, self.frame())

    def closed(self, timeout=20):
        """Whether the broker closes the connection without an answer."""
        self.socket.settimeout(timeout)
        try:
            return self.socket.recv(1) == b""
        except (ConnectionResetError, BrokenPipeError):
            return True
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def record(value, key=None, offset_delta=0, timestamp_delta=0):
    body = b"\0" + zigzag(timestamp_delta) + zigzag(offset_delta)
    body += zigzag(-1) if key is None else zigzag(len(key)) + key
    body += zigzag(-1) if value is None else zigzag(len(value)) + value
    body += zigzag(0)
    return zigzag(len(body)) + body


def batch(values=(b"v",), *, key=None, producer=(-1, -1, -1), attributes=0, magic=2, crc=None, count=None,
          last_delta=None, base_offset=0, timestamp=1_700_000_000_000, max_timestamp=None, length=None, payload=None):
    """A record batch, any part of which can be made to lie."""
    if payload is None:
        payload = b"".join(record(value, key, at) for at, value in enumerate(values))
    count = len(values) if count is None else count
    last_delta = count - 1 if last_delta is None else last_delta
    tail = struct.pack(">hiqqqhii", attributes, last_delta, timestamp,
                       timestamp if max_timestamp is None else max_timestamp, *producer, count) + payload
    crc = crc32c(tail) if crc is None else crc
    length = 9 + len(tail) if length is None else length
    return struct.pack(">qiibI", base_offset, length, -1, magic, crc) + tail


def produce(topic, index, records, version=9, acks=-1, timeout_ms=10_000):
    topic = {"topic_id": topic} if version >= 13 else {"name": topic}
    return {"transactional_id": None, "acks": acks, "timeout_ms": timeout_ms,
            "topics": [topic | {"partitions": [{"index": index, "records": records}]}]}


def fetch(topic, index, offset, version=12, *, max_wait_ms=100, min_bytes=1, max_bytes=1 << 24, isolation=0,
          session=(0, -1), epoch=-1, partition_max_bytes=1 << 20, forgotten=(), topics=None):
    name = {"topic_id": topic} if version >= 13 else {"topic": topic}
    partition = {"partition": index, "current_leader_epoch": epoch, "fetch_offset": offset, "last_fetched_epoch": -1,
                 "log_start_offset": -1, "partition_max_bytes": partition_max_bytes}
    return {"replica_id": -1, "max_wait_ms": max_wait_ms, "min_bytes": min_bytes, "max_bytes": max_bytes,
            "isolation_level": isolation, "session_id": session[0], "session_epoch": session[1],
            "topics": [name | {"partitions": [partition]}] if topics is None else topics,
            "forgotten": list(forgotten), "rack_id": ""}


def list_offsets(topic, index, timestamp, *, epoch=-1, isolation=0, replica=-1):
    return {"replica_id": replica, "isolation_level": isolation, "timeout_ms": 10_000, "topics": [
        {"name": topic, "partitions": [
            {"partition_index": index, "current_leader_epoch": epoch, "timestamp": timestamp}]}]}


def new_topic(name, partitions=1, factor=1, assignments=(), configs=()):
    return {"name": name, "num_partitions": partitions, "replication_factor": factor,
            "assignments": [{"partition_index": index, "broker_ids": ids} for index, ids in assignments],
            "configs": [{"name": key, "value": value} for key, value in configs]}


def create(*topics, validate_only=False, timeout_ms=10_000):
    return {"topics": list(topics), "timeout_ms": timeout_ms, "validate_only": validate_only}
