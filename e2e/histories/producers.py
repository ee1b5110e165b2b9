"""Clients of a history that write: idempotent, plain, transactional, and those that leave a transaction open.

producers.py FOLDER BOOTSTRAP WHO SEED ROLE TOPIC PARTITIONS
"""

import os
import signal
import sys
import time

from client import Client, value_of
from confluent_kafka import KafkaError, KafkaException, Producer

STOP = "stop-producers"
# What says that a record was not written. All other failures leave that open: also of what is purged from its queue, for
# it may have been sent before and be there to be sent again.
DEFINITE = {KafkaError.MSG_SIZE_TOO_LARGE}
TOO_LARGE_BYTES = 40_000
SETTLE_S = 60
# Longer than any fault, so that no producer that lives loses its transaction; but a leaver's is over soon.
TRANSACTION_TIMEOUT_MS = 25_000
LEFT_TIMEOUT_MS = 5_000
# Timestamps of the topic for look-ups are off by so much, to stand in no order.
JITTER_MS = 1_500


class Writer(Client):
    """A client with a producer, which has no group of records in flight that is not written down."""

    def __init__(self, base, described, topic, partitions, config):
        super().__init__(*base, **described)
        self.topic, self.partitions = topic, partitions
        self.transactions, self.ended = 0, None  # how many there were, and how the last one ended
        self.settings = self.config(**{
            "acks": "all", "linger.ms": 1, "batch.num.messages": 12, "retry.backoff.ms": 50,
            "retry.backoff.max.ms": 500, **config,
        })
        self.restart()

    def restart(self):
        """Takes another producer. One with a transactional.id gets it by `anew`."""
        self.producer = None if "transactional.id" in self.settings else Producer(self.settings)

    def send(self, count, txn=None, partition=None, jitter=0, source=None, size=None):
        for _ in range(count):
            ident = self.ident()
            at = self.random.randrange(self.partitions) if partition is None else partition
            ts = int(time.time() * 1000) + self.random.randint(-jitter, jitter)
            self.note("sent", id=ident, topic=self.topic, partition=at, ts=ts, txn=txn, source=source)
            value = value_of(ident, size or self.random.randrange(400))
            self.producer.produce(self.topic, value, ident, partition=at, timestamp=ts,
                                  on_delivery=self.delivered(ident))

    def delivered(self, ident):
        def report(error, message):
            if error is None:
                self.note("acked", id=ident, topic=message.topic(), partition=message.partition(),
                          offset=message.offset())
            else:
                self.note("failed", id=ident, error=error.name(), definite=error.code() in DEFINITE)

        return report

    def pause(self, least, most):
        end = time.monotonic() + self.random.uniform(least, most)
        while (left := end - time.monotonic()) > 0:
            self.producer.poll(left)


def transactional(who):
    """A client's next incarnation has its transactional.id."""
    return {"transactional.id": who.rsplit(".", 1)[0], "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS}


def produce(writer, jitter=0, too_large=False):
    """Bursts of many small batches, so that there are as many requests in flight as may be; and with them records that
    the topic is too narrow for, where TOO_LARGE."""
    while writer.going(STOP):
        writer.send(writer.random.randint(1, 60), jitter=jitter)
        if too_large and writer.random.random() < 0.1:
            # In a batch of its own, for all of a batch is refused.
            writer.producer.flush(SETTLE_S)
            writer.send(1, size=TOO_LARGE_BYTES)
            writer.producer.flush(SETTLE_S)
        writer.pause(0.1, 0.6)
    left = writer.producer.flush(SETTLE_S)
    writer.note("end", left=left)


def settled(writer, call, *arguments):
    """Calls until that is decided. Returns None for success, or the error that decided it."""
    end = time.monotonic() + SETTLE_S
    while True:
        try:
            call(*arguments)
            return None
        except KafkaException as exception:
            error = exception.args[0]
            again = error.retriable() and time.monotonic() < end and os.getppid() == writer.parent
            if not again:
                writer.note("error", error=error.name(), text=error.str(), fatal=error.fatal(),
                            call=call.__name__)
                return error
            writer.producer.poll(0.05)


def begin(writer):
    """Begins a transaction and returns the name that the history gives it."""
    writer.producer.begin_transaction()
    writer.ended = None
    writer.transactions += 1
    txn = f"{writer.who}:{writer.transactions}"
    writer.note("begin", txn=txn)
    return txn


def finish(writer, txn, commit):
    """Ends a transaction, and returns whether the producer can begin another one."""
    if commit:
        writer.note("committing", txn=txn)
        error = settled(writer, writer.producer.commit_transaction, 2)
        if error is None:
            writer.ended = "committed"
            writer.note("committed", txn=txn)
            return True
        if not error.txn_requires_abort():
            return False
    # librdkafka aborts what it has not told the coordinator of yet, which is fatal to it; so nothing waits here.
    writer.producer.flush(SETTLE_S)
    writer.note("aborting", txn=txn)
    if settled(writer, writer.producer.abort_transaction, 2) is not None:
        return False
    writer.ended = "aborted"
    writer.note("aborted", txn=txn)
    return True


def anew(writer):
    """Another producer by the same transactional.id, which decides what the last one left open."""
    writer.producer = Producer(writer.settings)
    return settled(writer, writer.producer.init_transactions, 5) is None


def fence(writer, txn):
    """A second producer takes the name over while the first has a transaction open, which must then fail."""
    writer.producer.flush(SETTLE_S)
    old, writer.expected = writer.producer, True
    ready = anew(writer)
    if not ready:
        return False
    writer.note("fenced", txn=txn)
    try:
        old.commit_transaction(10)
        writer.note("committed", txn=txn)
    except KafkaException as exception:
        writer.note("refused", txn=txn, error=exception.args[0].name())
    del old  # with what it has to say about it
    writer.expected = False
    return True


def transact(writer):
    """Transactions over several partitions, three of ten of them aborted and a few fenced."""
    ready = anew(writer)
    while writer.going(STOP):
        if not ready:
            ready = anew(writer)
            continue
        txn = begin(writer)
        for _ in range(writer.random.randint(1, 3)):
            writer.send(writer.random.randint(1, 15), txn)
            writer.pause(0, 0.1)
        fate = writer.random.random()
        if fate < 0.05:
            ready = fence(writer, txn)
        else:
            ready = finish(writer, txn, commit=fate < 0.7)
        writer.producer.poll(0)
    writer.note("end", left=writer.producer.flush(SETTLE_S))


def leave(writer):
    """Begins a transaction and dies, so that the coordinator has to abort it."""
    if not anew(writer):
        return
    txn = begin(writer)
    for partition in range(writer.partitions):
        writer.send(3, txn, partition=partition)
    writer.producer.flush(SETTLE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def mark(writer):
    """A last record for each partition: who has read it has read all."""
    for partition in range(writer.partitions):
        writer.send(1, partition=partition)
    writer.note("end", left=writer.producer.flush(SETTLE_S))


def survived(writer, run, *arguments):
    """Whether a client came to its end without a fatal error, which librdkafka raises wherever it is met next."""
    try:
        run(writer, *arguments)
    except (KafkaException, SystemError) as exception:
        # Raised within a call that does not look for it, it comes as the cause of a SystemError.
        while exception and not isinstance(exception, KafkaException):
            exception = exception.__cause__ or exception.__context__
        if exception is None or not exception.args[0].fatal():
            raise
        error = exception.args[0]
        writer.note("error", error=error.name(), text=error.str(), fatal=True)
        return False
    return True


def main(folder, bootstrap, who, seed, role, topic, partitions):
    plain = {"message.timeout.ms": 60_000}
    idempotent = {"enable.idempotence": True, "max.in.flight": 5, **plain}
    roles = {
        "idempotent": (produce, idempotent),
        "stamps": (lambda writer: produce(writer, JITTER_MS), idempotent),
        "plain": (lambda writer: produce(writer, too_large=True), plain),
        "mark": (mark, plain),
        "transactional": (transact, transactional(who)),
        "leaver": (leave, {"transactional.id": who, "transaction.timeout.ms": LEFT_TIMEOUT_MS,
                           "socket.timeout.ms": LEFT_TIMEOUT_MS}),
    }
    run, config = roles[role]
    writer = Writer((folder, bootstrap, who, seed), {"role": role}, topic, int(partitions), config)
    while not survived(writer, run):
        writer.restart()


if __name__ == "__main__":
    main(*sys.argv[1:])
