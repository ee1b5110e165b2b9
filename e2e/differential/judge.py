"""Judges whether what a run of the differential test has covered is enough, and prints it.

    judge.py FILE LEVEE-PORT KAFKA-PORT

Of each API that Levee advertises there have to be at least 50 requests, an error code of Kafka's, and every version that
both serve; and everything that is expected to differ has to have shown."""
import argparse
import json
import pathlib
import sys

import coverage
import expected
import run

MIN_REQUESTS = 50
# APIs for which Kafka has no error code without ACLs and other brokers, and why; closing the connection counts.
NO_ERROR_CODE = {
    "DescribeLogDirs": "topics and partitions that are not there are left out of the answer",
    "ListGroups": "unknown states and types filter everything away, and that is all one can ask wrongly",
}


def judge():
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("levee", type=int)
    parser.add_argument("kafka", type=int)
    options = parser.parse_args()
    found, problems = json.loads(options.file.read_text()), []
    rows = found["apis"]
    coverage.table(rows)
    catalogue = run.catalogue_of(options.levee, options.kafka)
    definitions, ours, kafkas = catalogue["messages"], catalogue["ours"], catalogue["served"]
    keys = {name.removesuffix("Request"): one.key for name, one in definitions.items() if name.endswith("Request")}
    judged = sorted(name for name, key in keys.items() if key in ours)
    for api in judged:
        row = rows.get(api, {"requests": 0, "codes": [], "versions": []})
        low, high = ours[keys[api]], kafkas.get(keys[api], (0, -1))
        both = {version for version in definitions[api + "Request"].versions[:99]
                if max(low[0], high[0]) <= version <= min(low[1], high[1])}
        if row["requests"] < MIN_REQUESTS:
            problems.append(f"{api}: {row['requests']} requests, of at least {MIN_REQUESTS}")
        if not any(isinstance(code, int) or api in NO_ERROR_CODE for code in row["codes"]):
            problems.append(f"{api}: no error code was seen from Kafka")
        if missing := sorted(both - set(row["versions"])):
            problems.append(f"{api}: not sent in the versions {missing}")
    problems += [f"an expected difference does not show any more: {one}"
                 for one in sorted(expected.everything() - set(found["seen"]))]
    for problem in problems:
        print(f"NOT COVERED  {problem}")
    requests = [rows.get(api, {"requests": 0})["requests"] for api in judged]
    print(f"{len(judged)} APIs, {sum(requests)} requests to both, at least {min(requests)} of each API, "
          f"{sum(row['compared'] for row in rows.values())} answers compared; {expected.rows()} rows of what may differ "
          f"(of at most {expected.MAX_ROWS}), {len(expected.CODES)} cases with other error codes on purpose, "
          f"{len(expected.UNANSWERED)} that Kafka never answers")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    judge()
