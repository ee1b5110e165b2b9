"""The requests of the differential test that are written by hand, sent to Levee and to Apache Kafka.

    apis.py LEVEE-PORT KAFKA-PORT [--coverage FILE] [PART...]      parts are the functions named below"""
import argparse
import pathlib
import sys

from api_cluster import api_versions, coordinators, describe_cluster, describe_log_dirs, elect_leaders, update_features
from api_configs import alter_configs, describe_configs, incremental_alter_configs, other_configs
from api_records import delete_records, fetches, offsets, produce_cases, producer_ids, sequences
from api_topics import create_partitions, create_topics, delete_topics, describe_topic_partitions, metadata
from by_hand import Side, run, sides

# Topics are deleted last, as some of the other parts'.
PARTS = (api_versions, create_topics, metadata, producer_ids, produce_cases, sequences, fetches, offsets, coordinators,
         describe_configs, incremental_alter_configs, alter_configs, other_configs, delete_records, create_partitions,
         describe_cluster, describe_log_dirs, describe_topic_partitions, elect_leaders, update_features, delete_topics)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("levee", type=int)
    parser.add_argument("kafka", type=int)
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--coverage", type=pathlib.Path)
    options = parser.parse_intermixed_args()
    sides.extend(Side(port) for port in (options.levee, options.kafka))
    for part in PARTS:
        if not options.parts or part.__name__ in options.parts:
            print(part.__name__, flush=True)
            part()
    if options.coverage:
        run.coverage.save(options.coverage, run.expected.seen)
    else:
        run.coverage.print()
    print(f"{run.requests} requests to both: {len(run.problems)} differences, {run.excused} fields that may differ, "
          f"{run.pinned} answers with other codes on purpose or none from Kafka, {run.texts} messages in other words")
    sys.exit(1 if run.problems else 0)


if __name__ == "__main__":
    main()
