"""What goes wrong in a history: the broker is killed, and its store stalls, refuses and loses answers."""

import json
import signal
import socket
import subprocess
import time
import urllib.request

from producers import PATIENCE

UP_S = 60
# What storm_proxy.py is told for each fault of the store.
WEATHER = {"stall": "stall", "503": "503?share=0.5", "lost": "lost?share=0.3"}
# How long a storm lasts, at least and at most: the whole of a short run's only one, and of others. Less than producers
# give their transactions, more than clients wait for one answer.
SHORT_S, LONG_S = (6, 9), (9, 20)


class Broker:
    """The broker's process."""

    def __init__(self, command, port, log):
        self.command, self.port, self.log, self.process = command, port, log, None

    def start(self):
        self.launch()
        self.listening()

    def launch(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def listening(self):
        """Returns when clients can connect."""
        end = time.monotonic() + UP_S * PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"the broker does not listen; see {self.log.name}")

    def kill(self, how=signal.SIGKILL):
        if self.process.poll() is not None:
            raise RuntimeError(f"the broker ended by itself, {self.process.returncode}; see {self.log.name}")
        self.process.send_signal(how)
        self.process.wait(UP_S)


class Store:
    """The proxy before the store, which makes the weather; with no FAULTS there is none."""

    def __init__(self, control, faults):
        self.control, self.faults = control, [each for each in faults.split(",") if each]
        unknown = set(self.faults) - set(WEATHER)
        if unknown:
            raise RuntimeError(f"unknown faults {', '.join(sorted(unknown))}; there are {', '.join(WEATHER)}")

    def storm(self, random, short):
        """Faults and how long each lasts, in an order that is drawn."""
        faults = random.sample(self.faults, len(self.faults))
        shares = [random.uniform(1, 2) for _ in faults]
        seconds = random.uniform(*(SHORT_S if short else LONG_S)) / sum(shares)
        return [(fault, seconds * share) for fault, share in zip(faults, shares)]

    def set(self, fault):
        """From now on requests fare so; None is for calm. Returns what became of requests so far."""
        url = f"http://127.0.0.1:{self.control}/{WEATHER[fault] if fault else 'pass'}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return {what: sum(by.values()) for what, by in json.load(answer).items()}
