"""What coordination costs, Levee beside stock Apache Kafka in one run: transactions, groups of 500 members, offset commits.

Each round starts every broker anew with no data, one after the other, so that what the machine does meanwhile hits all
of them. Prints every figure's median, lowest and highest, and the ratios of Levee's to the others' in the same round.
Brokers have their defaults; the internal topics have 50 partitions, and a new classic group waits for 3 s.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys

import groups
import offsets
import transactions
from brokers import Kafka, KafkaFsync, Levee, chosen, on_disk
from measure import shown, spread, table

PARTS = {"transactions": transactions, "groups": groups, "offsets": offsets}
TITLES = {"transactions": "Transactions", "groups": "Groups", "offsets": "Offset commits"}
LEVEE_PORT, KAFKA_PORT = 19592, 19593
QUICK = 5
# Kafka's own defaults, where e2e/kafka has smaller ones.
DEFAULTS = ("offsets.topic.num.partitions=50", "transaction.state.log.num.partitions=50",
            "group.initial.rebalance.delay.ms=3000")


def one_round(broker, parts, scale):
    """{part: {(case, unit): value}}"""
    figures = {}
    broker.start()
    try:
        for part in parts:
            print(f"  {part}", file=sys.stderr, flush=True)
            figures[part] = PARTS[part].measure(broker, scale)
    finally:
        broker.stop()
    # What one leaves in the page cache is not the next one's to write.
    os.sync()
    return figures


def ratio(rounds, part, key, other):
    """Levee's figure by the other's in the same round: the median of the rounds."""
    pairs = zip(rounds["levee"], rounds[other])
    return statistics.median(own[part][key] / theirs[part][key] for own, theirs in pairs)


def tables(brokers, parts, rounds):
    """A table for each unit of each part."""
    others = [b for b in brokers if b.name != "levee" and "levee" in rounds]
    for part in parts:
        keys = list(rounds[brokers[0].name][0][part])
        for unit in dict.fromkeys(unit for _, unit in keys):
            rows = []
            for key in keys:
                if key[1] == unit:
                    cells = [spread([figures[part][key] for figures in rounds[b.name]]) for b in brokers]
                    rows.append([key[0], *cells, *(shown(ratio(rounds, part, key, b.name)) for b in others)])
            head = [f"{TITLES[part]}: {unit}", *(b.title for b in brokers), *(f"Levee by {b.title}" for b in others)]
            yield table(head, rows)


def listed(brokers, parts, rounds):
    """All that was measured, as one list."""
    return [
        {"broker": b.name, "part": part, "case": case, "unit": unit,
         "values": [figures[part][case, unit] for figures in rounds[b.name]]}
        for b in brokers for part in parts for case, unit in rounds[b.name][0][part]
    ]


def main():
    parser = argparse.ArgumentParser(prog="coordination/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", nargs="?", type=int, default=3, help="how often each broker has its turn (3)")
    parser.add_argument("--only", default="levee,kafka,kafka-fsync", help="which brokers, by commas")
    parser.add_argument("--parts", default=",".join(PARTS), help="what of it, by commas")
    parser.add_argument("--quick", action="store_true", help="a fifth of the load: does it work, not how fast")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="tables, or all figures as JSON")
    args = parser.parse_args()
    parts = args.parts.split(",")
    unknown = set(parts) - PARTS.keys()
    if unknown or not 1 <= args.rounds <= 20:
        parser.error(f"unknown {unknown}; there are {', '.join(PARTS)}" if unknown else "ROUNDS is 1 to 20")
    scratch, file_system = on_disk("coordination-bench")
    brokers = chosen(parser, args.only, (
        Levee(scratch, LEVEE_PORT), Kafka(KAFKA_PORT, DEFAULTS), KafkaFsync(KAFKA_PORT, DEFAULTS)))
    rounds = {b.name: [] for b in brokers}
    for number in range(args.rounds):
        for broker in brokers:
            print(f"round {number + 1} of {args.rounds}: {broker.title}", file=sys.stderr, flush=True)
            rounds[broker.name].append(one_round(broker, parts, QUICK if args.quick else 1))
    cpus, system = os.cpu_count(), platform.release().split("-")[0]
    if args.output == "json":
        print(json.dumps({"cores": cpus, "file_system": file_system, "linux": system, "rounds": args.rounds,
                          "quick": args.quick, "figures": listed(brokers, parts, rounds)}, indent=1))
    else:
        print(f"{cpus} cores shared with the clients, {file_system}, Linux {system}; median (lowest to highest) of "
              f"{args.rounds} interleaved rounds")
        for each in tables(brokers, parts, rounds):
            print(f"\n{each}")
    shutil.rmtree(scratch)


main()
