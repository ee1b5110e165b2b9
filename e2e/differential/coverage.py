"""What a run of the differential test has covered."""
import json
import threading


class Coverage:
    """By API: requests sent to both brokers, answers compared, versions, and the error codes that came from Kafka."""

    def __init__(self):
        self.lock, self.rows = threading.Lock(), {}

    def add(self, api, version, codes):
        """A request whose answers are compared. `codes` are what Kafka has answered with: numbers, or that it closed."""
        with self.lock:
            row = self.rows.setdefault(api, {"requests": 0, "codes": [], "versions": [], "compared": 0})
            row["requests"] += 1
            row["compared"] += 1
            row["codes"] = in_order({*row["codes"], *codes} - {0})
            row["versions"] = sorted({*row["versions"], version} - {None})

    def requests(self):
        return sum(row["requests"] for row in self.rows.values())

    def save(self, path, seen):
        """Adds this run to the file that the judge reads, with what of the expected has shown."""
        found = json.loads(path.read_text()) if path.exists() else {"apis": {}, "seen": []}
        for api, row in self.rows.items():
            old = found["apis"].get(api, {"requests": 0, "codes": [], "versions": [], "compared": 0})
            found["apis"][api] = {
                "requests": old["requests"] + row["requests"], "compared": old["compared"] + row["compared"],
                "codes": in_order({*old["codes"], *row["codes"]}), "versions": sorted({*old["versions"], *row["versions"]})}
        found["seen"] = sorted({*found["seen"], *seen})
        path.write_text(json.dumps(found, indent=1))

    def print(self):
        table(self.rows)


def in_order(codes):
    return sorted(codes, key=lambda code: (isinstance(code, str), code))


def table(coverage):
    print(f"{'API':<24}{'requests':>9}{'compared':>9}  versions   error codes seen from Kafka")
    for api, row in sorted(coverage.items()):
        span = "-".join(map(str, sorted({row["versions"][0], row["versions"][-1]}))) if row["versions"] else ""
        print(f"{api:<24}{row['requests']:>9}{row['compared']:>9}  {span:<9}  {' '.join(map(str, row['codes']))}")
