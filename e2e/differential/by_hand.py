"""The older half of the differential test: requests written by hand (wire.py), one after the other, to both brokers.

What may differ is in expected.py; anything else that differs is a problem, which fails the run."""
import time
import uuid

import wire
from coverage import Coverage
from expected import Expected
from values import codes, flat
from wire import create, list_offsets

# A broker that has not answered by then won't.
SILENCE_S = 5
COORDINATOR_LOAD_IN_PROGRESS = 14
NIL = uuid.UUID(int=0)
# Fields whose values are each broker's own: compared by whether they are set. Error messages are shown, not compared.
OWN = {"topic_id", "cluster_id", "host", "port", "log_dir", "producer_id", "session_id", "log_append_time_ms", "throttle_time_ms"}
TEXT = {"error_message", "message", "documentation"}


def name_of(path):
    return path.rsplit(".", 1)[-1]


def comparable(path, value):
    name = name_of(path)
    if name in OWN:
        return "unset" if value in (None, "", -1, 0, NIL) else "set"
    if name in TEXT:
        return "none" if value is None else "some"
    return value


class Side:
    """One broker, and what was made on it."""

    def __init__(self, port):
        self.port, self.connection, self.ids, self.known = port, wire.Connection(port, SILENCE_S), {}, {}

    def ask(self, api, version, values):
        try:
            return self.connection.ask(api, version, values)
        except (EOFError, ConnectionError, TimeoutError) as error:
            self.connection.close()
            self.connection = wire.Connection(self.port, SILENCE_S)
            return {"connection": "silent" if isinstance(error, TimeoutError) else "closed"}

    def id(self, topic):
        if topic not in self.ids:
            answer = self.ask("Metadata", 12, {"topics": [{"name": topic}]})
            self.ids[topic] = answer["topics"][0]["topic_id"]
        return self.ids[topic]


class Run:
    """What was sent, and found."""

    def __init__(self):
        self.expected, self.coverage = Expected(), Coverage()
        self.requests = self.pinned = self.excused = self.texts = 0
        self.problems = []


sides = []
run = Run()


def check(case, api, version, values, settle=None):
    """`values` may be a function of the side, where the request names its topic ids or sessions."""
    run.requests += 1
    answers = [side.ask(api, version, values(side) if callable(values) else values) for side in sides]
    if settle:
        answers = [settle(answer) for answer in answers]
    found = [[answer["connection"]] if "connection" in answer else list(codes(answer)) for answer in answers]
    run.coverage.add(api, version, found[1])
    request, label = f"{api} {case}", f"{api} v{version} {case}"
    pinned = run.expected.pinned(request, *found)
    if pinned is not None:
        run.pinned += 1
        if pinned:
            differs(label, pinned)
        return answers
    ours, kafkas = [dict(flat(answer)) for answer in answers]
    for path in sorted(set(ours) | set(kafkas)):
        left, right = ours.get(path, "absent"), kafkas.get(path, "absent")
        if name_of(path) in TEXT and left != right and "absent" not in (left, right):
            run.texts += 1
            print(f"  text  {label}: {path}\n          Levee: {left}\n          Kafka: {right}")
        if comparable(path, left) == comparable(path, right):
            continue
        if run.expected.excuses(request, path):
            run.excused += 1
        else:
            differs(label, f"{path}: Levee {left!r}, Kafka {right!r}")
    return answers


def differs(label, what):
    run.problems.append(label)
    print(f"  DIFFERS  {label}: {what}")


def setup(*topics):
    """Creates topics, and waits until both brokers lead their partitions: Kafka answers before it does."""
    check("setup", "CreateTopics", 7, create(*topics), by_name)
    for side in sides:
        for topic in topics:
            for index in range(topic["num_partitions"]):
                ask = list_offsets(topic["name"], index, -1)
                while side.ask("ListOffsets", 10, ask)["topics"][0]["partitions"][0]["error_code"]:
                    time.sleep(0.02)


def by_name(answer):
    for key in ("topics", "responses"):
        if isinstance(answer.get(key), list):
            answer[key].sort(key=lambda topic: (topic.get("name") or "", str(topic.get("topic_id"))))
            for topic in answer[key]:
                if isinstance(topic.get("configs"), list):
                    topic["configs"].sort(key=lambda config: config["name"])
                if isinstance(topic.get("partitions"), list):
                    topic["partitions"].sort(key=lambda partition: partition.get("partition_index", 0))
    return answer


def settle_records(answer):
    for topic in answer.get("responses") or []:
        for partition in topic["partitions"]:
            records = partition["records"] or b""
            partition["records"] = (None if partition["records"] is None else len(records))
            partition["base offset"] = int.from_bytes(records[:8], "big") if records else None
            partition["batch epoch"] = int.from_bytes(records[12:16], "big") if records else None
            partition["crc"] = records[17:21].hex()
    return by_name(answer)


def sorted_results(answer):
    """Of answers whose order is that of a hash table: by name, and their partitions by number."""
    for result in answer.get("results") or []:
        for topic in result.get("topics") or []:
            topic["partitions"].sort(key=lambda one: one["partition_index"])
        if "topics" in result:
            result["topics"].sort(key=lambda topic: topic["name"])
    if isinstance(answer.get("results"), list):
        answer["results"].sort(key=lambda one: (one.get("name") or one.get("topic") or one.get("feature") or "",
                                                str(one.get("partitions"))))
    if isinstance(answer.get("config_resources"), list):
        answer["config_resources"].sort(key=lambda one: (one.get("resource_type", 0), one["resource_name"]))
    return answer


def only(prefix):
    """Without the topics that other parts have made."""
    def settle(answer):
        sorted_results(answer)
        for key, name in (("results", "topic"), ("config_resources", "resource_name")):
            if isinstance(answer.get(key), list):
                answer[key] = [one for one in answer[key] if one.get(name, prefix).startswith(prefix)]
        for result in answer.get("results") or []:
            if "topics" in result:
                result["topics"] = [topic for topic in result["topics"] if topic["name"].startswith(prefix)]
        return answer
    return settle
