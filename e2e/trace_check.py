"""Proves from a trace of system calls that no answer to a Produce request left before its batch was on the disk.

trace_check.py check TRACE STORE BROKER CLIENT       says what it proved, and ends with 1 if it did not
trace_check.py self-test TRACE STORE BROKER CLIENT   breaks the trace in several ways, each of which must be found

CLIENT is what produce_raw.py wrote: which answers each connection got and how many bytes they took. The object that
holds an answer's record is found by the marker in the record, and the write that carries the answer's first byte by
counting the bytes that were written to the connection. For each answer then:

  staged < every write < sync of the file < link < sync of the directory < first byte of the answer
  a directory made < sync of the one above it < first byte of the answer

where `<` means that the one had ended, with success, before the other began.
"""

import collections
import json
import os
import sys

from syscalls import calls

WRITES = {"write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate"}
SENDS = {"write", "writev", "sendto", "sendmsg", "sendmmsg"}
SYNCS = {"fsync", "fdatasync"}


class Unproven(Exception):
    pass


class File:
    """A file that was staged below `wal/`."""

    def __init__(self, staged):
        self.staged, self.writes, self.syncs, self.link = staged, [], [], None


def gather(all_calls, wal):
    """The staged files by the path they were linked to, the directories made, and the syncs of each directory."""
    by_path, by_number, linked, made, directories = {}, {}, {}, {}, collections.defaultdict(list)
    for call in all_calls:
        if call.name.startswith("io_uring"):
            raise Unproven("io_uring is in use: the trace does not show its writes")
        if call.result is None or call.result < 0:
            continue
        number, path = call.descriptor()
        if call.name == "openat" and "O_TMPFILE" in call.arguments and call.path.startswith(wal):
            by_path[call.path] = by_number[call.result] = File(call)
        elif call.name == "mkdirat":
            name = call.arguments.split('"')[1]
            made[f"{path}/{name}"] = call
        elif call.name == "linkat":
            name = call.arguments.split('"')
            directory = call.descriptor()[1]
            if name[1].startswith("/proc/self/fd/") and directory.startswith(wal):
                file = by_number[int(name[1].rpartition("/")[2])]
                file.link = call
                linked[f"{directory}/{name[3]}"] = file
        elif call.name in WRITES and path in by_path:
            by_path[path].writes.append(call)
        elif call.name in SYNCS and path in by_path:
            by_path[path].syncs.append(call)
        elif call.name in SYNCS:
            directories[path].append(call)
    return linked, made, directories


def synced_after(directory, call, directories, what):
    after = [sync.end for sync in directories[directory] if sync.begin > call.end]
    if not after:
        raise Unproven(f"the directory of {what} was not synced after it came")
    return min(after)


def durable_at(path, file, made, directories):
    """The line by which the object at `path` is sure to survive."""
    if not file.writes or not file.syncs:
        raise Unproven(f"{path} was never {'synced' if file.writes else 'written'}")
    sync = file.syncs[0]
    late = [write for write in file.writes if write.end >= sync.begin]
    if late:
        raise Unproven(f"{path}: written after its sync: {late[0]}")
    if sync.end >= file.link.begin:
        raise Unproven(f"{path} was linked before its sync had ended")
    directory = os.path.dirname(path)
    durable = synced_after(directory, file.link, directories, path)
    while directory in made:
        above = os.path.dirname(directory)
        durable = max(durable, synced_after(above, made[directory], directories, directory))
        directory = above
    return durable


def markers(store):
    """The path of the object that holds each marker."""
    found = {}
    for folder, _, names in os.walk(os.path.join(store, "wal")):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                for piece in file.read().split(b"<marker-")[1:]:
                    found[f"<marker-{piece.split(b'>')[0].decode()}>"] = path
    return found


def check(lines, store, broker, client):
    all_calls = calls(lines)
    linked, made, directories = gather(all_calls, store + "/wal")
    where, count, objects = markers(store), 0, set()
    for connection in client:
        pair = f"TCP:[{broker}->127.0.0.1:{connection['port']}]"
        sends = [
            call
            for call in all_calls
            if call.name in SENDS and (call.result or 0) > 0 and call.descriptor()[1] == pair
        ]
        sends.sort(key=lambda call: call.end)
        sent = at = first_byte = 0
        for marker, length in connection["answers"]:
            while at < len(sends) and sent + sends[at].result <= first_byte:
                sent += sends[at].result
                at += 1
            if at == len(sends):
                raise Unproven(f"the trace has no write of the answer for {marker}")
            path = where[marker]
            if path not in linked:
                raise Unproven(f"the trace has no link of {path}")
            if durable_at(path, linked[path], made, directories) >= sends[at].begin:
                raise Unproven(f"the answer for {marker} began before {path} was on the disk")
            first_byte += length
            count += 1
            objects.add(path)
    if not count:
        raise Unproven("there were no answers")
    return count, len(objects)


def self_test(lines, store, broker, client):
    """Breaks what belongs to one answer in the middle of the trace."""
    all_calls = calls(lines)
    linked, made, directories = gather(all_calls, store + "/wal")
    answers = client[0]["answers"]
    path = markers(store)[answers[len(answers) // 2][0]]
    file = linked[path]
    synced = [call for call in directories[os.path.dirname(path)] if call.begin > file.link.end][0]
    answer = next(
        call for call in all_calls
        if call.begin > synced.end and f"->127.0.0.1:{client[0]['port']}]" in call.descriptor()[1]
    )

    def without(*gone):
        numbers = {number for call in gone for number in (call.begin, call.end)}
        return [line if number not in numbers else "" for number, line in enumerate(lines)]

    def moved(call, before):
        changed = without(call)
        changed[before.begin] = f"{call}\n{changed[before.begin]}"
        return "\n".join(changed).split("\n")

    def failed(call):
        changed = without(call)
        text = str(call).rpartition(" = ")[0]
        changed[call.end] = f"{text} = -1 EIO (Input/output error)"
        return changed

    broken = {
        "the sync of the directory is gone": without(*directories[os.path.dirname(path)]),
        "the sync of the file is gone": without(*file.syncs),
        "the sync of the file failed": failed(file.syncs[0]),
        "the answer and the sync of the directory are swapped": moved(answer, synced),
        "the answer came before the link": moved(answer, file.link),
        "the link came before the sync of the file": moved(file.link, file.syncs[0]),
        "the sync of the directory came before the link": moved(synced, file.link),
        "the file was synced before it was written": moved(file.syncs[0], file.writes[0]),
        "the link is gone": without(file.link),
        "the sync above the log's directory is gone": without(*directories[os.path.dirname(os.path.dirname(path))]),
    }
    for what, changed in broken.items():
        try:
            check(changed, store, broker, client)
        except Unproven as why:
            print(f"self-test: {what}: found: {str(why).replace(store + '/', '')}")
        else:
            sys.exit(f"not found: {what}")


def main(command, trace, store, broker, client):
    store = os.path.realpath(store)
    with open(trace, errors="replace") as file:
        lines = file.read().split("\n")
    with open(client) as file:
        client = json.load(file)
    if command == "self-test":
        return self_test(lines, store, broker, client)
    try:
        answers, objects = check(lines, store, broker, client)
    except Unproven as why:
        sys.exit(f"not proven: {why}")
    print(f"{answers} answers, {objects} objects: each answer after the sync of its object's directory")


if __name__ == "__main__":
    main(*sys.argv[1:])
