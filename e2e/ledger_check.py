"""Compares what consumers read with the producers' ledgers. It shares no code with the producer.

ledger_check.py LEDGER... < RECORDS

RECORDS has a line `partition<TAB>offset<TAB>key<TAB>value` for every record (Kafka's console consumer writes
`Partition:` and `Offset:` before the numbers). Names of idempotent producers begin with `i`. Counted are:

lost        an acknowledged offset that holds nothing, another record, or other bytes
reused      an offset that was acknowledged for two different records
duplicates  an idempotent record that is there more than once
disorder    a record of an idempotent producer that stands behind a later one of its partition
damaged     a record whose own checksum or key does not fit its bytes
gaps        an offset that is missing between two others, or comes twice

Records of other producers that are there more than once are counted as `repeats`, which are no fault.
"""

import array
import collections
import sys
import zlib

FAULTS = ("lost", "reused", "duplicates", "disorder", "damaged", "gaps")
SHOWN = 5


class Check:
    def __init__(self):
        self.names = {}
        self.idents = collections.defaultdict(lambda: array.array("Q"))
        self.crcs = collections.defaultdict(lambda: array.array("L"))
        self.seen = collections.defaultdict(set)
        self.last = {}
        self.counts = collections.Counter()

    def fault(self, kind, text):
        self.counts[kind] += 1
        if self.counts[kind] <= SHOWN:
            print(f"{kind}: {text}", file=sys.stderr)

    def ident(self, record):
        """A number for an id: the producer above, the record's number below."""
        name, _, number = record.partition("-")
        return (self.names.setdefault(name, len(self.names)) << 40) | int(number)

    def read(self, lines):
        for line in lines:
            partition, offset, key, value = line.rstrip(b"\n").split(b"\t", 3)
            partition = int(partition.removeprefix(b"Partition:"))
            offset = int(offset.removeprefix(b"Offset:"))
            where = f"partition {partition} offset {offset}"
            self.counts["read"] += 1
            idents, crcs = self.idents[partition], self.crcs[partition]
            if offset != len(idents):
                self.fault("gaps", f"{where} where {len(idents)} is due")
                if offset < len(idents):
                    continue
                fill = offset - len(idents)
                idents.extend([2**64 - 1] * fill)
                crcs.extend([2**32 - 1] * fill)
            name, crc, body = value.split(b":", 2)
            if name != key or int(crc, 16) != zlib.crc32(body):
                self.fault("damaged", where)
            record = name.decode()
            ident = self.ident(record)
            idents.append(ident)
            crcs.append(zlib.crc32(value))
            idempotent = record.startswith("i")
            producer = ident >> 40
            if ident in self.seen[producer]:
                if idempotent:
                    self.fault("duplicates", f"{record} again at {where}")
                else:
                    self.counts["repeats"] += 1
            elif idempotent and self.last.get((producer, partition), -1) > ident:
                self.fault("disorder", f"{record} at {where}")
            self.seen[producer].add(ident)
            self.last[producer, partition] = max(ident, self.last.get((producer, partition), -1))

    def compare(self, lines):
        """`lines` of all ledgers: an offset that was given twice may be in two of them."""
        acknowledged = collections.defaultdict(dict)
        for line in lines:
            partition, offset, record, crc = line.split()
            partition, offset, ident = int(partition), int(offset), self.ident(record)
            where = f"partition {partition} offset {offset}"
            self.counts["acknowledged"] += 1
            other = acknowledged[partition].setdefault(offset, ident)
            if other != ident:
                self.fault("reused", f"{where} was acknowledged for {record} and for another")
            idents = self.idents[partition]
            if not 0 <= offset < len(idents):
                self.fault("lost", f"{record}: {where} is not there")
            elif idents[offset] != ident:
                self.fault("lost", f"{record}: {where} holds another record")
            elif self.crcs[partition][offset] != int(crc):
                self.fault("lost", f"{record}: {where} holds other bytes")


def main(*paths):
    check = Check()
    check.read(sys.stdin.buffer)

    def ledgers():
        for path in paths:
            with open(path) as ledger:
                yield from ledger

    check.compare(ledgers())
    print(*(f"{name}={check.counts[name]}" for name in ("acknowledged", "read", "repeats", *FAULTS)))
    if not check.counts["acknowledged"] or any(check.counts[name] for name in FAULTS):
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
