"""The differential test's scripts for groups, offsets, transactions and partitions, run against Levee and Apache Kafka at once.

    coordinators.py LEVEE-PORT KAFKA-PORT [--seed N] [--coverage FILE] [SCRIPT...]"""
import consumer
import edges
import groups
import offsets
import partitions
import run
import transactions
import walks

SCRIPTS = [script for part in (groups, consumer, offsets, transactions, partitions, edges, walks) for script in part.SCRIPTS]

if __name__ == "__main__":
    run.main(SCRIPTS)
