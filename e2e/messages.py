"""Kafka's messages, written and read by Kafka's own definitions: every field of every version, with no list by hand.

The definitions lie as JSON in Kafka's jars (common/message). Values are dictionaries with Kafka's field names in
snake case. A field that a request leaves out has its default; one that its version doesn't have is not sent. What an
answer says in tagged fields that the definition doesn't know is kept as bytes under `unknown_tags`."""
import json
import pathlib
import re
import struct
import uuid
import zipfile

FIXED = {"bool": ">?", "int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q",
         "float64": ">d"}
JARS = ("kafka-clients-*.jar", "kafka-group-coordinator-[0-9]*.jar", "kafka-transaction-coordinator-*.jar")
NIL = uuid.UUID(int=0)
NEVER = range(0)


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def versions(text):
    """'3+', '0-12', '7' or 'none' as a range."""
    if text is None or text == "none":
        return NEVER
    if text.endswith("+"):
        return range(int(text[:-1]), 1 << 15)
    low, _, high = text.partition("-")
    return range(int(low), int(high or low) + 1)


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


class Field:
    """One field of a message: its type, the versions that have it, and its default."""

    def __init__(self, definition, structs):
        self.name, self.type = snake(definition["name"]), definition["type"]
        self.versions = versions(definition.get("versions", "0+"))
        self.nullable = versions(definition.get("nullableVersions"))
        self.tag, self.tagged = definition.get("tag"), versions(definition.get("taggedVersions"))
        self.array, self.element = self.type.startswith("[]"), self.type.removeprefix("[]")
        self.default = self.default_of(definition.get("default"))
        self.structs = structs

    def fields(self):
        return self.structs[self.element]

    def default_of(self, given):
        if given == "null":
            return None
        if self.array:
            return []
        if self.type in FIXED:
            if self.type == "bool":
                return str(given).lower() == "true"
            return float(given or 0) if self.type == "float64" else int(str(given or 0), 0)
        return {"string": given or "", "uuid": NIL, "bytes": b"", "records": None}.get(self.type, {})


class Message:
    """A definition: its key, the versions that are valid and stable, and its fields."""

    def __init__(self, definition):
        self.name, self.key = definition["name"], definition.get("apiKey")
        self.versions = versions(definition["validVersions"])
        self.flexible_versions = versions(definition.get("flexibleVersions"))
        self.structs = {}
        for common in definition.get("commonStructs", []):
            self.structs[common["name"]] = self.read_fields(common["fields"])
        self.fields = self.read_fields(definition["fields"])

    def read_fields(self, definitions):
        for one in definitions:
            if "fields" in one:
                self.structs[one["type"].removeprefix("[]")] = self.read_fields(one["fields"])
        return [Field(one, self.structs) for one in definitions]

    def encode(self, values, version):
        return Writer(version, version in self.flexible_versions).struct(self.fields, values)

    def decode(self, data, version):
        """The values, of which nothing may be left over."""
        reader = Reader(data, version, version in self.flexible_versions)
        values = reader.struct(self.fields)
        if reader.at != len(data):
            raise ValueError(f"{self.name} v{version}: {len(data) - reader.at} bytes too many")
        return values


class Writer:
    def __init__(self, version, flexible):
        self.version, self.flexible = version, flexible

    def struct(self, fields, values):
        unknown = set(values) - {field.name for field in fields}
        if unknown:
            raise KeyError(f"no such fields: {unknown}")
        out, tags = b"", []
        for field in fields:
            if self.version not in field.versions:
                continue
            value = values.get(field.name, field.default)
            if self.version not in field.tagged:
                out += self.value(field, value)
            elif value != field.default:
                tags.append((field.tag, self.value(field, value)))
        if self.flexible:
            out += varint(len(tags))
            for tag, body in sorted(tags):
                out += varint(tag) + varint(len(body)) + body
        return out

    def length(self, n, narrow):
        if self.flexible:
            return varint(0 if n is None else n + 1)
        return struct.pack(">h" if narrow else ">i", -1 if n is None else n)

    def value(self, field, value):
        if field.array:
            one = self.length(None if value is None else len(value), False)
            return one + b"".join(self.single(field, item) for item in value or ())
        return self.single(field, value)

    def single(self, field, value):
        kind = field.element
        if kind in FIXED:
            return struct.pack(FIXED[kind], 0 if value is None else value)
        if kind == "uuid":
            return (value or NIL).bytes
        if kind in ("string", "bytes", "records"):
            data = value.encode() if isinstance(value, str) else value
            return self.length(None if data is None else len(data), kind == "string") + (data or b"")
        if not field.array and field.nullable and self.version in field.nullable:
            absent = b"\0" if self.version in field.tagged else b"\xff"
            return absent if value is None else b"\1" + self.struct(field.fields(), value)
        return self.struct(field.fields(), value)


class Reader:
    def __init__(self, data, version, flexible):
        self.data, self.at, self.version, self.flexible = data, 0, version, flexible

    def take(self, n):
        if n < 0 or self.at + n > len(self.data):
            raise ValueError(f"{n} bytes at {self.at} of {len(self.data)}")
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

    def struct(self, fields):
        out, tagged = {}, {}
        for field in fields:
            if self.version in field.versions:
                if self.version in field.tagged:
                    tagged[field.tag] = field
                    out[field.name] = field.default
                else:
                    out[field.name] = self.value(field)
        for _ in range(self.varint() if self.flexible else 0):
            tag, size = self.varint(), self.varint()
            if tag in tagged:
                end = self.at + size
                out[tagged[tag].name] = self.value(tagged[tag])
                if self.at != end:
                    raise ValueError(f"tag {tag} is {size} bytes and was read to {self.at - end} after its end")
            else:
                out.setdefault("unknown_tags", {})[tag] = self.take(size)
        return out

    def value(self, field):
        if field.array:
            n = self.length(False)
            return None if n < 0 else [self.single(field) for _ in range(n)]
        return self.single(field)

    def single(self, field):
        kind = field.element
        if kind in FIXED:
            return struct.unpack(FIXED[kind], self.take(struct.calcsize(FIXED[kind])))[0]
        if kind == "uuid":
            return uuid.UUID(bytes=self.take(16))
        if kind in ("string", "bytes", "records"):
            n = self.length(kind == "string")
            data = None if n < 0 else self.take(n)
            return data.decode() if data is not None and kind == "string" else data
        # A struct that can be null has a byte before it, which says 'null' otherwise in a tagged field.
        if not field.array and field.nullable and self.version in field.nullable and self.take(1) in (b"\xff", b"\0"):
            return None
        return self.struct(field.fields())


def load(libs):
    """All requests, responses and records of Kafka's jars in the folder `libs`, by name."""
    messages = {}
    for jar in sorted(jar for name in JARS for jar in pathlib.Path(libs).glob(name)):
        with zipfile.ZipFile(jar) as files:
            for name in files.namelist():
                if name.startswith("common/message/") and name.endswith(".json"):
                    definition = json.loads(re.sub(r"^\s*//.*$", "", files.read(name).decode(), flags=re.M))
                    if definition.get("fields") is not None and definition["validVersions"] != "none":
                        messages[definition["name"]] = Message(definition)
    return messages


class Api:
    """A request and its response, by Kafka's name for both."""

    def __init__(self, messages, name):
        self.name, self.request_type = name, messages[name + "Request"]
        self.response_type, self.key = messages[name + "Response"], messages[name + "Request"].key

    def request(self, version, values, correlation, client="levee", body=None):
        """A whole frame; `body` in place of the values is sent as it is."""
        head = struct.pack(">hhih", self.key, version, correlation, len(client)) + client.encode()
        if version in self.request_type.flexible_versions:
            head += b"\0"
        body = self.request_type.encode(values, version) if body is None else body
        return struct.pack(">i", len(head) + len(body)) + head + body

    def answer(self, version, frame, correlation):
        if struct.unpack(">i", frame[:4])[0] != correlation:
            raise ValueError("another request's answer")
        at = 4
        if version in self.response_type.flexible_versions and self.name != "ApiVersions":
            if frame[4]:
                raise ValueError("tags in a response's header")
            at = 5
        return self.response_type.decode(frame[at:], version)
