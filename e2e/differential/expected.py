"""What may differ between Levee and Apache Kafka in the differential test: all of it, for all its parts.

    expected.py PAGE [--write]     checks that docs/kafka-differences.md tells of it, or writes it there

ROWS are fields that may differ. None of them ever stands for an error code, nor for a connection that is closed or silent:
`is_code` sees to that whatever a row says. TOOLS are command lines whose output may differ. CODES are the cases in which Levee
answers with another error code on purpose; both brokers' codes are pinned, and a case that no longer differs exactly so fails
the run. UNANSWERED are those that Kafka never answers, with what Levee says. What is not seen in a whole run fails it as well."""
import argparse
import pathlib
import re
import sys
import threading

MAX_ROWS = 30

# (request: API and case, of which `*` stands for any rest; field) -> why it differs.
ROWS = {
    ("ApiVersions *", "tags"): "features (supported, their epoch, finalized): those that Levee has, each at its one level",
    ("CreateTopics *", "config_source"): "Kafka sets `min.insync.replicas` for the whole cluster (KIP-966)",
    ("CreateTopics validate only*", "topic_id"): "Kafka draws an id for the topic that it doesn't make; Levee names none",
    ("CreateTopics validate only, retention.ms=' 5 '", "value"): "values are told as they are kept, without blanks around them",
    ("Produce *", "error_message"): "Levee says what is wrong with a refused batch; Kafka has words for single records only",
    ("Produce *", "log_append_time_ms"): "Kafka gives a duplicate the batch's own timestamp, though the topic is CreateTime; "
                                         "Levee says -1, as for the first",
    ("Fetch a bound*", "aborted_transactions"): "those that overlap the records returned; Kafka goes on to the next entry of its "
                                                "offset index",
    ("AddPartitionsToTxn the same twice", "partition_index"): "Kafka looks both entries up by one id; only brokers name several",
    ("ConsumerGroupDescribe another *", "partitions"): "where subscriptions differ, the uniform assignor is as balanced as "
                                                       "Kafka's and deals otherwise",
    ("DescribeConfigs cluster", "configs"): "Kafka sets `min.insync.replicas` for the whole cluster (KIP-966)",
    ("DescribeLogDirs *", "total_bytes"): "a store has no size that could be told",
    ("DescribeLogDirs *", "usable_bytes"): "a store has no size that could be told",
}

# Beginning of the command line of one of Kafka's tools -> why what it prints differs (tools.py).
TOOLS = {
    "broker-api-versions": "the APIs that Levee doesn't serve (docs/kafka-apis.md)",
    "features describe": "each feature stands for what Levee does, which has one level",
}

# Request -> Levee's error codes, Kafka's, and why.
CODES = {
    "CreateTopics replication factor 3 on one broker": (
        [0], [38], "replication is the store's: topics that were defined for three brokers are created unchanged"),
    "CreateTopics colliding in a request": (
        [0, 17], [0, 0], "no two of Levee's topics have names that collide; Kafka compares them with those before the request only"),
    "Produce gzip of garbage": (
        [0], [-1], "compressed batches are opened only where the topic asks for it: keys for compaction, bounds on timestamps"),
    "Produce gzip, count 5 of 1": (
        [0], [87], "the same; a count that lies is found out in batches that are not compressed"),
    "UpdateFeatures transaction.version 1 downward": (
        [95], [0], "each feature stands for what Levee does, which has one level"),
    "UpdateFeatures kraft.version where it is": (
        [95], [0], "this one is about the quorum of Kafka's controllers, which Levee doesn't have"),
    "IncrementalAlterConfigs a logger's level": (
        [40], [0], "Levee logs by one filter, `--log-level`, and has no loggers that could be changed"),
}

# Request -> Levee's error codes.
UNANSWERED = {
    "Produce null records": [87],
    "AlterConfigs a topic twice": [42, 42],
}


def rows():
    return len(ROWS) + len(TOOLS)


def is_code(path):
    """Whether a path of an answer is an error code, or says that there was no answer."""
    name = re.split(r"[.\[#]", path)[0 if path.startswith("connection") else -1]
    return name in ("connection", "error") or path.rsplit(".", 1)[-1].endswith("error_code")


def matches(pattern, request):
    return request.startswith(pattern[:-1]) if pattern.endswith("*") else request == pattern


class Expected:
    """What of the expected has shown; scripts ask from several threads."""

    def __init__(self):
        self.lock, self.seen = threading.Lock(), set()
        if rows() > MAX_ROWS:
            raise ValueError(f"{rows()} rows of expected differences, of at most {MAX_ROWS}")
        for _, field in ROWS:
            if field == "*" or is_code(field):
                raise ValueError(f"no row may stand for {field}")

    def excuses(self, request, path):
        """Whether a row says that this field of the answer may differ."""
        if is_code(path):
            return False
        fields = re.split(r"[.\[#]", path)
        for pattern, field in ROWS:
            if field in fields and matches(pattern, request):
                with self.lock:
                    self.seen.add(f"{pattern}: {field}")
                return True
        return False

    def pinned(self, request, ours, kafkas):
        """None where both answers' codes are to be the same; what is wrong, or "", where they differ as they are to."""
        if request not in CODES and request not in UNANSWERED:
            return None
        wanted = CODES[request][:2] if request in CODES else (UNANSWERED[request], ["silent"])
        with self.lock:
            self.seen.add(request)
        found = (ours, kafkas)
        return "" if all(sorted(map(str, one)) == sorted(map(str, other)) for one, other in zip(wanted, found)) else (
            f"error codes {ours} and {kafkas}, which were to be {wanted[0]} and {wanted[1]}")


def everything():
    return {f"{pattern}: {field}" for pattern, field in ROWS} | CODES.keys() | UNANSWERED.keys()


def shown(codes, names):
    return " and ".join("no error" if code == 0 else names[code] for code in dict.fromkeys(codes))


NAMES = {-1: "UNKNOWN_SERVER_ERROR", 17: "INVALID_TOPIC_EXCEPTION", 38: "INVALID_REPLICATION_FACTOR", 40: "INVALID_CONFIG",
         42: "INVALID_REQUEST", 87: "INVALID_RECORD", 95: "INVALID_UPDATE_VERSION"}


def sections():
    """The page's tables, by the name of each."""
    quoted = lambda request: "`" + request.replace("|", "\\|") + "`"
    yield "codes", ["| request | Levee | Kafka | why |", "|---|---|---|---|"] + [
        f"| {quoted(request)} | {shown(ours, NAMES)} | {shown(kafkas, NAMES)} | {why} |"
        for request, (ours, kafkas, why) in CODES.items()]
    yield "unanswered", ["| request | Levee |", "|---|---|"] + [
        f"| {quoted(request)} | {shown(ours, NAMES)} |" for request, ours in UNANSWERED.items()]
    yield "rows", ["| field | request | why |", "|---|---|---|"] + [
        f"| `{field}` | {quoted(request)} | {why} |" for (request, field), why in ROWS.items()] + [
        f"| what is printed | {quoted('kafka-' + command)} | {why} |" for command, why in TOOLS.items()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    Expected()
    page = options.page.read_text()
    for name, lines in sections():
        begin, end = f"<!-- {name} of e2e/differential/expected.py -->", "<!-- end -->"
        at = page.index(begin) + len(begin)
        until = page.index(end, at)
        table = "\n" + "\n".join(lines) + "\n"
        if not options.write and page[at:until] != table:
            sys.exit(f"{options.page} does not tell what expected.py has; see e2e/differential/expected.py {options.page} --write")
        page = page[:at] + table + page[until:]
    if options.write:
        options.page.write_text(page)


if __name__ == "__main__":
    main()
