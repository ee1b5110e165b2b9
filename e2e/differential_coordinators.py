"""The differential test's scripts for groups, offsets and transactions, run against Levee and Apache Kafka at once.

    differential_coordinators.py LEVEE-PORT KAFKA-PORT [--seed N] [--coverage FILE] [SCRIPT...]"""
import differential_consumer
import differential_edges
import differential_groups
import differential_offsets
import differential_partitions
import differential_random
import differential_run
import differential_transactions

# (API and case, or API *; field) -> why Levee differs. The same in words is in docs/kafka-differences.md.
EXPECTED = {
    ("ApiVersions *", "api_keys"): "docs/kafka-apis.md, which e2e/api-table compares",
    ("Produce *", "error_message"): "Levee says why",
    ("Fetch a bound", "aborted_transactions"): "those of the records returned; Kafka goes on to its next index entry",
    ("Fetch an empty bound", "aborted_transactions"): "the same",
    ("AddPartitionsToTxn the same twice", "partition_index"): "Kafka looks both up by id; only brokers name several",
    ("ConsumerGroupDescribe another subscription", "partitions"): "the uniform assignor, where subscriptions differ, is as "
                                                                  "balanced and deals otherwise",
    ("ConsumerGroupDescribe another assignor", "partitions"): "the same",
    ("Produce *", "log_append_time_ms"): "Kafka gives a duplicate the batch's timestamp",
}
SCRIPTS = [script for part in (differential_groups, differential_consumer, differential_offsets, differential_transactions,
                               differential_partitions, differential_edges, differential_random) for script in part.SCRIPTS]

if __name__ == "__main__":
    differential_run.main(SCRIPTS, EXPECTED)
