#!/usr/bin/env python3
"""Writes src/wire/guard/schema.rs from Apache Kafka's message definitions.

    python3 crates/broker/tools/request_schema.py kafka-clients-4.3.0.jar > crates/broker/src/wire/guard/schema.rs

The definitions lie in the kafka-clients jar as common/message/*Request.json. Run it by hand when Kafka or the
kafka-protocol crate moves on; the tests of the guard say whether its result and the crate agree.
"""

import json
import re
import sys
import zipfile

# Requests for which the crate has no types; what their elements take in memory is estimated from above.
NOT_IN_THE_CRATE = {"StreamsGroupHeartbeatRequest", "StreamsGroupDescribeRequest"}
FIXED = {"bool": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "float64": 8, "uuid": 16}
NAMED = {1: "B1", 2: "B2", 4: "B4", 8: "B8", 16: "B16"}
# The size of `bytes::Bytes`, and of the crate's strings, which wrap one.
BYTES = 32


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def versions(text):
    """'3+', '0-12', '7' or 'none' as the two ends."""
    if text in (None, "none"):
        return "NONE"
    if text.endswith("+"):
        return "ALL" if text == "0+" else f"from({text[:-1]})"
    low, _, high = text.partition("-")
    return f"between({low}, {high or low})"


class Message:
    def __init__(self, definition):
        self.definition = definition
        self.name = definition["name"]
        self.structs = {s["name"]: s for s in definition.get("commonStructs", [])}
        self.collect(definition["fields"])
        for struct in definition.get("commonStructs", []):
            self.collect(struct["fields"])

    def collect(self, fields):
        for field in fields:
            if "fields" in field:
                name = field["type"].removeprefix("[]")
                assert self.structs.get(name, field) is field, f"{self.name}: {name} is defined twice"
                self.structs[name] = field
                self.collect(field["fields"])

    def shape(self, struct):
        return f"{snake(self.name.removesuffix('Request'))}_{snake(struct)}".upper()

    def estimate(self, struct):
        """From above, in bytes: what a value of this struct takes by itself."""
        total = 32
        for field in self.structs[struct]["fields"]:
            kind = field["type"]
            if kind.startswith("[]") or kind in FIXED:
                total += 32
            elif kind in ("string", "bytes", "records"):
                total += BYTES
            else:
                total += self.estimate(kind) + 8
        return total

    def memory(self, kind):
        """What one element of an array takes, as a Rust expression."""
        if kind in FIXED:
            return str(FIXED[kind])
        if kind in ("string", "bytes", "records"):
            return str(BYTES)
        if self.name in NOT_IN_THE_CRATE:
            return str(self.estimate(kind))
        return f"size_of::<m::{snake(self.name)}::{kind}>()"

    def kind(self, text):
        if text.startswith("[]"):
            element = text[2:]
            return f"Array(&{self.kind(element)}, {self.memory(element)})"
        if text in FIXED:
            return NAMED[FIXED[text]]
        if text == "string":
            return "Text"
        if text in ("bytes", "records"):
            return "Blob"
        return f"Struct(&{self.shape(text)})"

    def fields(self, fields, indent):
        out = []
        for field in fields:
            assert "flexibleVersions" not in field, f"{self.name}.{field['name']}: own flexible versions"
            made = f"f({self.kind(field['type'])}, {versions(field['versions'])})"
            if field.get("nullableVersions", "none") != "none":
                made += f".nullable({versions(field['nullableVersions'])})"
            if "tag" in field:
                assert field["taggedVersions"] == field["versions"], f"{self.name}.{field['name']}: tagged in part"
                made += f".tag({field['tag']})"
            out.append(f"{indent}{made}, // {field['name']}")
        return "\n".join(out)

    def write(self):
        print(f"\n// {self.name}")
        for name, struct in self.structs.items():
            print(f"static {self.shape(name)}: Shape = Shape(&[")
            print(self.fields(struct["fields"], "    "))
            print("]);")
        base = snake(self.name.removesuffix("Request")).upper()
        print(f"static {base}: Shape = Shape(&[")
        if self.definition["fields"]:
            print(self.fields(self.definition["fields"], "    "))
        print("]);")
        return (
            f"    Message {{ key: {self.definition['apiKey']}, name: \"{self.name.removesuffix('Request')}\", "
            f"versions: {versions(self.definition['validVersions'])}, "
            f"flexible: {versions(self.definition.get('flexibleVersions'))}, body: &{base} }},"
        )


def main():
    path = sys.argv[1]
    messages = []
    with zipfile.ZipFile(path) as jar:
        for name in jar.namelist():
            if name.startswith("common/message/") and name.endswith("Request.json"):
                text = re.sub(r"^\s*//.*$", "", jar.read(name).decode(), flags=re.M)
                definition = json.loads(text)
                if definition["validVersions"] != "none":
                    messages.append(Message(definition))
    messages.sort(key=lambda message: message.definition["apiKey"])
    print(f"""\
//! What each Kafka request consists of: the table that the guard walks by. Generated, not edited:
//! `python3 crates/broker/tools/request_schema.py {path.split("/")[-1]} > crates/broker/src/wire/guard/schema.rs`
//! makes it from the message definitions of Apache Kafka (Apache License 2.0) that lie in that jar.

use super::shape::Kind::{{Array, B1, B2, B4, B8, B16, Blob, Struct, Text}};
use super::shape::{{ALL, Message, NONE, Shape, between, f, from}};
use kafka_protocol::messages as m;""")
    rows = [message.write() for message in messages]
    print("\n/// Every request, in the order of their keys.")
    print("pub static MESSAGES: &[Message] = &[")
    print("\n".join(rows))
    print("];")


main()
