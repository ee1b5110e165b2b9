"""The differential test's scripts for groups, offsets and transactions, run against Levee and Apache Kafka at once.

    differential_coordinators.py LEVEE-PORT KAFKA-PORT [--seed N] [--coverage FILE] [SCRIPT...]"""
import differential_consumer
import differential_groups
import differential_offsets
import differential_run
import differential_transactions

# (API and case, or API *; field) -> why Levee differs. The same in words is in docs/kafka-differences.md.
EXPECTED = {}

if __name__ == "__main__":
    differential_run.main(differential_groups.SCRIPTS + differential_consumer.SCRIPTS + differential_offsets.SCRIPTS
                          + differential_transactions.SCRIPTS, EXPECTED)
