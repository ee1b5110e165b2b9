"""Compares docs/kafka-apis.md with what a stock Kafka and a Levee say of themselves in ApiVersions.

    api_table.py LEVEE-PORT KAFKA-PORT

Fails where the page says something else than either of them, and on a version that Kafka serves and Levee neither
serves nor leaves out with a reason."""
import pathlib
import sys

import wire

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "kafka-apis.md"


def told(port):
    """The versions by API, as a broker advertises them."""
    with wire.Connection(port) as one:
        answer = one.ask("ApiVersions", 0, {})
    assert answer["error_code"] == 0, answer
    return {api["api_key"]: (api["min_version"], api["max_version"]) for api in answer["api_keys"]}


def versions(text):
    if text == "none":
        return None
    first, _, last = text.partition(" to ")
    return int(first), int(last or first)


def page():
    rows = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].isdigit():
            rows[int(cells[0])] = (cells[1], versions(cells[2]), versions(cells[3]), cells[4])
    return rows


def problems(rows, levee, kafka):
    for key in sorted(set(levee) | set(kafka) | set(rows)):
        if key not in rows:
            yield f"API {key} is not on the page: Kafka {kafka.get(key)}, Levee {levee.get(key)}"
            continue
        name, by_kafka, by_levee, reason = rows[key]
        if kafka.get(key) != by_kafka:
            yield f"{name}: Kafka says {kafka.get(key)}, the page {by_kafka}"
        if levee.get(key) != by_levee:
            yield f"{name}: Levee says {levee.get(key)}, the page {by_levee}"
        first, last = kafka.get(key, (0, -1))
        here = levee.get(key, (0, -1))
        missing = [version for version in range(first, last + 1) if not here[0] <= version <= here[1]]
        if missing and not reason:
            yield f"{name}: Kafka serves {missing}, Levee doesn't, and nothing says why"


def main():
    levee_port, kafka_port = map(int, sys.argv[1:3])
    rows = page()
    assert len(rows) > 90, f"only {len(rows)} APIs on the page"
    found = list(problems(rows, told(levee_port), told(kafka_port)))
    for problem in found:
        print(problem)
    served = sum(levee is not None for _, _, levee, _ in rows.values())
    print(f"{len(rows)} APIs on the page, {served} of them served, {len(found)} problems")
    sys.exit(bool(found))


main()
