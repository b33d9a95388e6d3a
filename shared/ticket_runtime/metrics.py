"""Every metric of the runtime, in one list. Base units; no ticket in a label; the group is the service's."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """The metrics of one process, in a registry of its own, so that tests can run several beside each other."""

    def __init__(self, group: str) -> None:
        self.registry = CollectorRegistry()
        here = self.registry

        # What came in and what became of it: handled, dead_letter, not_for_us.
        messages = Counter(
            "relaydesk_messages_total", "Messages by outcome", ["group", "topic", "outcome"], registry=here
        )
        # What went out, changelogs and the runtime's own records included.
        written = Counter("relaydesk_written_total", "Records written", ["group", "topic"], registry=here)
        # Trouble that was waited out; growing without messages growing: something a service needs is away.
        transient = Counter("relaydesk_transient_total", "Transient failures", ["group"], registry=here)
        # One transaction: results, state and offsets. `relaydesk_messages_total` over its count: the batch size.
        transaction = Histogram(
            "relaydesk_transaction_seconds", "Time of a transaction", ["group"], buckets=_SECONDS, registry=here
        )
        # The work between two transactions, of one batch.
        batch = Histogram(
            "relaydesk_batch_seconds", "Time of handling a batch", ["group"], buckets=_SECONDS, registry=here
        )
        # Unix time of the last commit; alert on time() - x while there is something to read.
        committed = Gauge("relaydesk_last_commit_timestamp_seconds", "Last commit", ["group", "task"], registry=here)
        # Unix time of the oldest message that waits here; 0: none.
        oldest = Gauge(
            "relaydesk_oldest_waiting_timestamp_seconds", "Oldest waiting message", ["group", "task"], registry=here
        )
        # Offsets between the position and the end of a partition. Never reads 0 on topics written by transactions.
        lag = Gauge("relaydesk_lag_offsets", "Consumer lag", ["group", "topic", "partition"], registry=here)
        # When the next timer is due (unix time); 0: none.
        due = Gauge("relaydesk_next_due_timestamp_seconds", "Next due timer", ["group", "task"], registry=here)
        # 1 while the task runs here; the sum over processes is the number of tasks.
        running = Gauge("relaydesk_task_running", "Task runs in this process", ["group", "task"], registry=here)
        # Time from the assignment of a task until it is ready: fencing, restoring.
        restore = Histogram(
            "relaydesk_restore_seconds", "Time of making a task ready", ["group"], buckets=_SECONDS, registry=here
        )

        self.messages = messages
        self.written = written
        self.transient = transient.labels(group)
        self.transaction_seconds = transaction.labels(group)
        self.batch_seconds = batch.labels(group)
        self.committed = committed
        self.oldest = oldest
        self.lag = lag
        self.due = due
        self.running = running
        self.restore_seconds = restore.labels(group)
