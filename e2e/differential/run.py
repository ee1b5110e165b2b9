"""Runs scripts against Levee and Apache Kafka side by side, and tells what differs."""
import argparse
import concurrent.futures
import os
import pathlib
import sys
import time

import messages
import records
from script import LOADING, Report, Script, Side

WORKERS = 6
LIBS = pathlib.Path(os.environ.get("LEVEE_TOOLS_CACHE") or pathlib.Path(
    os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "levee-tools"), "kafka", "libs")


def served(port, catalogue):
    """The versions of each API that a broker advertises, by key."""
    side, kind = Side(port), messages.Api(catalogue, "ApiVersions")
    sent = side.send("main", kind, 4, {"client_software_name": "levee", "client_software_version": "1"})
    answer = side.receive("main", kind, 4, sent)
    side.close()
    return {one["api_key"]: (one["min_version"], one["max_version"]) for one in answer["api_keys"]}


def awake(script):
    """The internal topics exist on both brokers, and their partitions are led."""
    for kind in (0, 1):
        script.until("FindCoordinator", 4, {"key_type": kind, "coordinator_keys": [str(at) for at in range(64)]},
                     lambda answer: not any(one["error_code"] for one in answer["coordinators"]))
    for at in range(64):
        script.until("OffsetFetch", 8, {"groups": [{"group_id": str(at), "topics": None}]},
                     lambda answer: not answer["groups"][0]["error_code"])
        script.until("DescribeTransactions", 0, {"transactional_ids": [str(at)]},
                     lambda answer: answer["transaction_states"][0]["error_code"] not in LOADING)


def summary(report):
    """Each kind of difference once, the first of each script before those that may follow from it.

    Of an answer only the first field is told here, and that is an error code if one differs."""
    kinds, told = {}, set()
    for one in report.differences:
        if (one["script"], one["step"]) in told:
            continue
        told.add((one["script"], one["step"]))
        key = (one["api"], one["path"], one["levee"], one["kafka"])
        kinds.setdefault(key, []).append(one)
    for key, ones in sorted(kinds.items(), key=lambda kind: (min(one["nth"] for one in kind[1]), -len(kind[1]))):
        first = min(ones, key=lambda one: one["nth"])
        print(f"{len(ones)} times, {first['nth']}. of its script: {key[0]} {key[1]}: Levee {key[2]}, Kafka {key[3]}\n"
              f"    e.g. {first['script']} {first['step']} v{first['version']} {first['case']}: {first['request']}")
    for api, ours, kafkas in sorted(report.texts):
        print(f"text of {api}:\n    Levee: {ours}\n    Kafka: {kafkas}")


def catalogue_of(levee, kafka):
    """The messages' definitions, and what each of the brokers at these ports serves."""
    definitions = messages.load(LIBS)
    return {"messages": definitions, "served": served(kafka, definitions), "ours": served(levee, definitions)}


def main(scripts):
    """Runs the scripts, which are (name, function), those of the names given, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("levee", type=int)
    parser.add_argument("kafka", type=int)
    parser.add_argument("parts", nargs="*", help="beginnings of scripts' names")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tag", default="d-", help="what all names begin with, for brokers that were used before")
    parser.add_argument("--coverage", type=pathlib.Path)
    parser.add_argument("--workers", type=int, default=WORKERS)
    options = parser.parse_intermixed_args()
    catalogue = catalogue_of(options.levee, options.kafka)
    report, ports = Report(), (options.levee, options.kafka)
    chosen = [(name, function) for name, function in scripts
              if not options.parts or any(name.startswith(part) for part in options.parts)]
    started = time.monotonic()
    waking = Script("awake", options.tag, ports, catalogue, report, options.seed)
    waking.run(awake)
    waking.close()
    scripts = [Script(name, options.tag, ports, catalogue, report, options.seed) for name, _ in chosen]
    with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
        for script, (_, function) in zip(scripts, chosen):
            pool.submit(script.run, function)
    written = records.compare(scripts, catalogue["messages"], lambda script, key, path, ours, kafkas: script.differ(
        key, (key, "records", 0, None, None), path, ours, kafkas)) if scripts else 0
    for script in scripts:
        script.close()
    summary(report)
    if options.coverage:
        report.coverage.save(options.coverage, report.expected.seen)
    else:
        report.coverage.print()
    for name, why in report.broken:
        print(f"broken: {name}: {why.strip().splitlines()[-1][:300]}")
    for api in sorted(report.missing):
        print(f"not served by Levee: {api}")
    print(f"{written} records in the coordinators' topics compared")
    print(f"seed {options.seed}: {report.coverage.requests()} requests to both in "
          f"{len(chosen)} scripts and {time.monotonic() - started:.0f} s: {len(report.differences)} differences, "
          f"{len(report.broken)} scripts broken, {len(report.texts)} messages in other words")
    sys.exit(1 if report.differences or report.broken or report.missing else 0)
