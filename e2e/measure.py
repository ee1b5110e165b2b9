"""What the measuring scripts share: a process's memory and time, a broker's counters, librdkafka's load generator, figures."""

import os
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
PERFORMANCE = HERE / "librdkafka/performance"
RECORD = 1024
TICKS = os.sysconf("SC_CLK_TCK")
GIB = 2**30
QUIET, SETTLED = 5, 300
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? ([-+.\deE]+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{done.stdout}")
    return done.stdout


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_clock(pid):
    """The same by the process's own clock, which counts nanoseconds: for what takes less than a hundred ticks."""
    # How Linux forms the number of another process's CPU clock (clock_getcpuclockid(3)).
    return time.clock_gettime(~pid << 3 | 2)


def memory_mib(pid, field):
    return int(re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


class Counters:
    """All of /metrics at one moment: plain samples by name, and what the store was asked by operation and purpose."""

    def __init__(self, address):
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        self.plain, self.requests, self.written, self.read = {}, {}, {}, {}
        of_store = {"requests": self.requests, "written_bytes": self.written, "read_bytes": self.read}
        for name, labels, value in SAMPLE.findall(text):
            labels = dict(LABEL.findall(labels))
            kind = name.removeprefix("levee_store_").removesuffix("_total")
            if "purpose" in labels and kind in of_store:
                of_store[kind][labels["operation"], labels["purpose"]] = int(value)
            elif not labels:
                self.plain[name.removeprefix("levee_").removesuffix("_total")] = float(value)

    def since(self, before):
        """What was added to each since an earlier moment; zeros are left out."""
        self.plain = {name: value - before.plain.get(name, 0) for name, value in self.plain.items()}
        for own, old in ((self.requests, before.requests), (self.written, before.written), (self.read, before.read)):
            for key in list(own):
                own[key] -= old.get(key, 0)
                if not own[key]:
                    del own[key]
        return self


def settle(http):
    """Waits until the store was asked for nothing but looks for a while."""
    busy, until = None, time.monotonic() + SETTLED
    while time.monotonic() < until:
        now = {key: n for key, n in Counters(http).requests.items() if key != ("get", "look")}
        if now == busy:
            return
        busy = now
        time.sleep(QUIET)
    print("it has not come to rest", file=sys.stderr)


def producer(address, topic, count, *options, size=RECORD):
    return [PERFORMANCE, "-P", "-t", topic, "-s", str(size), "-c", str(count), "-a", "-1", "-b", address, *options]


def consumer(address, topic, partitions, *options):
    """Of these partitions, by itself to their ends, or as the options say (-o and -c)."""
    named = [word for p in partitions for word in ("-p", str(p))]
    until = [] if "-c" in options else ["-o", "beginning", "-e"]
    return [PERFORMANCE, "-C", "-t", topic, *named, "-b", address, *until, *options]


def together(commands):
    """Runs them at once, and returns what they said."""
    started = [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for c in commands]
    said = [process.communicate()[0] for process in started]
    for process, text in zip(started, said):
        if process.returncode != 0:
            sys.exit(f"the load generator failed:\n{text}")
    return said


def delivered(text, count):
    """The seconds that a producer took for its `count` records, all of which must be acknowledged."""
    # The last of what it says as it goes is the total.
    done, failed, ms = re.findall(r"(\d+) delivered \(offset -?\d+, (\d+) failed\) in (\d+)ms", text)[-1]
    if int(done) != count or int(failed):
        sys.exit(f"not everything was delivered: {text}")
    return int(ms) / 1000


def consumed(texts, count):
    """Bytes of consumers, which together must have got `count` records, and the slowest one's seconds."""
    found = [re.findall(r"(\d+) messages \((\d+) bytes\) consumed in (\d+)ms", text)[-1] for text in texts]
    messages, size = (sum(int(row[column]) for row in found) for column in (0, 1))
    if messages < count:
        sys.exit(f"only {messages} of {count} were consumed")
    return size, max(int(ms) for _, _, ms in found) / 1000


def quantile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def shown(value):
    return f"{value:,.0f}" if value >= 100 or not value else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values):
    """The median, and the least and the most of several."""
    if len(values) == 1:
        return shown(values[0])
    return f"**{shown(statistics.median(values))}** ({shown(min(values))} to {shown(max(values))})"


def table(head, rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] + ["--:"] * (len(head) - 1), *rows])
