"""The processes of a history's clients: started, killed, started again when a fault of librdkafka ends them."""

import pathlib
import signal
import subprocess
import sys
import time

from client import Client
from consumers import HANGS_CODE
from producers import PATIENCE

here = pathlib.Path(__file__).parent
# How a client ends by the fault of librdkafka, which hangs or crashes: its next incarnation goes on.
GAVE_UP = (HANGS_CODE, -signal.SIGABRT, -signal.SIGSEGV)
# How long their ends are waited for; more than the deadlines of check_progress.py, so that it is there to be judged.
ENDED_S = 90 * PATIENCE


class Load(Client):
    def __init__(self, folder, bootstrap, seed):
        super().__init__(folder, bootstrap, "harness", seed, role="harness")
        self.seed = seed
        self.load = {}  # by name: the process, its script and arguments

    def launch(self, script, who, *arguments):
        log = open(self.folder / f"{who}.log", "ab")
        command = [sys.executable, here / script, self.folder, self.bootstrap, who, self.seed, *arguments]
        process = subprocess.Popen([str(each) for each in command], stdout=log, stderr=log)
        self.load[who] = process, script, arguments
        return who

    def wait(self, names, seconds=ENDED_S):
        """Until clients have ended. One that failed fails the run."""
        end = time.monotonic() + seconds
        for who in names:
            process = self.load[who][0]
            try:
                code = process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"{who} does not end; see {self.folder}/{who}.jsonl") from None
            if code and code not in GAVE_UP:
                raise RuntimeError(f"{who} ended with {code}; see {self.folder}/{who}.log")
            del self.load[who]

    def alive(self):
        """Sees to those who have ended by themselves. Without whoever started this it ends, too."""
        self.going("never")
        for who, (process, *_) in list(self.load.items()):
            # Of one that names its own incarnations the next can't be told.
            if process.poll() in GAVE_UP and "." in who:
                print(f"{who} ended with {process.returncode} and is started again", file=sys.stderr)
                self.again(who)
            elif process.poll() and not who.startswith("left-"):
                raise RuntimeError(f"{who} ended with {process.returncode}; see {self.folder}/{who}.log")

    def sleep(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.alive()
            time.sleep(min(0.2, left))

    def until(self, what, holds, seconds):
        """Waits until something holds. If it never does, that is for check.py to say."""
        end = time.monotonic() + seconds
        while not holds():
            self.alive()
            if time.monotonic() > end:
                print(f"{what}: not so after {seconds} s", file=sys.stderr)
                return
            time.sleep(0.2)

    def kill_client(self, name):
        """Kills a client with -9 and starts its next incarnation."""
        who = next(each for each in self.load if each.startswith(f"{name}."))
        self.load[who][0].kill()
        self.again(who)

    def again(self, who):
        """Starts a client's next incarnation."""
        process, script, arguments = self.load.pop(who)
        process.wait()
        self.note("client-killed", client=who)
        name, number = who.rsplit(".", 1)
        self.launch(script, f"{name}.{int(number) + 1}", *arguments)

    def reap_leaver(self, who):
        process, *_ = self.load.pop(who)
        if process.wait(ENDED_S) != -signal.SIGKILL:
            raise RuntimeError(f"{who} did not die by its own hand; see {self.folder}/{who}.log")
        self.note("client-killed", client=who)

    def named(self, *prefixes):
        return [who for who in self.load if who.startswith(prefixes)]

    def touch(self, name):
        (self.folder / name).touch()

    def kill_all(self):
        for process, *_ in self.load.values():
            if process.poll() is None:
                process.kill()
                process.wait()
