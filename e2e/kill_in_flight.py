"""Kills a broker with -9 and says whether a flush of its write-ahead log was in flight.

kill_in_flight.py PID folder STORE EPOCHS        kill_in_flight.py PID s3 GATEWAY-PID EPOCHS

The broker is stopped (SIGSTOP), looked at, and killed. Once it is stopped none of its own code runs, so what the kernel
or the store is still doing for it then can't have been followed by an answer to a client.

On a folder a flush is in flight when the broker holds a file open that it staged in the log's directory: it is closed
only after it has been linked and the directory synced, and the answer comes after that. The system call that a thread
is inside with such a file, or with its directory, is named if there is one (/proc/PID/task/*/syscall). On S3 it is when
the server (versitygw) holds an upload open, which it closes before it answers, whose first bytes are the header of an
object of the log (docs/format.md). A flush that has not reached the disk or the server is not seen, so the count is too low rather
than too high.

EPOCHS is a file with the names of the log's epochs that were there before this broker started. What is done below those
is recovery, and does not count.
"""

import os
import platform
import signal
import struct
import sys
import time

# The number of each call and which of its arguments is the descriptor that tells the path.
CALLS = {
    "x86_64": {18: ("pwrite64", 0), 74: ("fsync", 0), 75: ("fdatasync", 0), 77: ("ftruncate", 0), 265: ("linkat", 2)},
    "aarch64": {68: ("pwrite64", 0), 82: ("fsync", 0), 83: ("fdatasync", 0), 46: ("ftruncate", 0), 37: ("linkat", 2)},
}
OBJECT = struct.Struct("<8sHB21xQ216x8s")  # magic, version, kind, epoch; at 256 the object header's magic
ENTRY = 1


def text(path):
    with open(path) as file:
        return file.read()


def state(pid):
    """The letter behind the name, which may itself hold spaces and brackets."""
    return text(f"/proc/{pid}/stat").rpartition(")")[2].split()[0]


def descriptors(pid):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield int(fd), os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            pass  # closed meanwhile


def folder(pid, store, epochs):
    wal = os.path.realpath(store) + "/wal/"
    paths = {
        fd: path.removeprefix(wal)
        for fd, path in descriptors(pid)
        if path.startswith(wal) and path.count("/") > wal.count("/")
    }
    paths = {fd: path for fd, path in paths.items() if path.split("/")[1] not in epochs}
    # Without O_TMPFILE the store stages under a name.
    staged = {fd: path for fd, path in paths.items() if path.endswith(" (deleted)") or "/.stage-" in path}
    if not staged:
        return None
    for task in os.listdir(f"/proc/{pid}/task"):
        words = text(f"/proc/{pid}/task/{task}/syscall").split()
        call, argument = CALLS.get(platform.machine(), {}).get(int(words[0]) if words[0] != "running" else -1, (None, 0))
        if call and (path := paths.get(int(words[1 + argument], 16))):
            return f"{call} of wal/{path}"
    return f"between two calls, with wal/{next(iter(staged.values()))}"


def s3(gateway, epochs):
    for fd, path in descriptors(gateway):
        if not path.endswith(" (deleted)") and "/.sgwtmp/" not in path:
            continue
        try:
            with open(f"/proc/{gateway}/fd/{fd}", "rb") as file:
                head = file.read(OBJECT.size)
        except OSError:
            continue
        if len(head) < OBJECT.size:
            continue
        magic, _, kind, epoch, records = OBJECT.unpack(head)
        if (magic, kind, records) == (b"LEVEELOG", ENTRY, b"LEVEEOBJ") and f"{epoch:020}" not in epochs:
            return f"upload of an object of epoch {epoch}"
    return None


def main(pid, kind, where, before):
    pid, epochs = int(pid), set(text(before).split())
    if not os.path.exists(f"/proc/{pid}/stat") or state(pid) == "Z":
        sys.exit("the broker ended by itself")
    os.kill(pid, signal.SIGSTOP)
    # Threads that wait for the disk stop when their call returns; all others have stopped at once.
    until = time.monotonic() + 1
    while any(state(f"{pid}/task/{task}") == "R" for task in os.listdir(f"/proc/{pid}/task")):
        if time.monotonic() > until:
            sys.exit("the broker does not stop")
    found = folder(pid, where, epochs) if kind == "folder" else s3(int(where), epochs)
    os.kill(pid, signal.SIGKILL)
    print(f"flush in flight: {found}" if found else "no flush seen")


if __name__ == "__main__":
    main(*sys.argv[1:])
