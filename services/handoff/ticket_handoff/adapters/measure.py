"""Handoff's own metrics: transfers and owners, by what was committed to the ledger and by what stands in it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import product
from typing import Final, get_args

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ticket_contracts.transfers import Cause, OwnerChanged, TransferAccepted, TransferEvent, TransferWithdrawn
from ticket_handoff.adapters.relay import Outbox
from ticket_handoff.domain.decision import TransferState
from ticket_handoff.handlers import Changes
from ticket_runtime.logs import logger
from ticket_runtime.metrics import WAITING, Metric, Registry

_OF_OFFERS: Final = ("offered", "renewed", "accepted", "declined", "expired", "withdrawn")
STEPS: Final = Metric(
    "counter",
    "relaydesk_transfer_steps_total",
    "steps",
    "Steps of transfers, by the cause of the transfer.",
    ("step", "cause"),
    known={
        "step": ("requested", "offered", "renewed", "accepted", "declined", "expired", "withdrawn", "completed"),
        "cause": get_args(Cause),
    },
)
OFFERS: Final = Metric(
    "counter",
    "relaydesk_offers_total",
    "offers",
    "Offers to who works in a queue, and what became of them: offered, renewed, accepted, declined, expired, "
    "withdrawn.",
    ("queue", "step"),
    agreed=lambda agreement: product(agreement.queues, _OF_OFFERS),
)
ACKNOWLEDGED: Final = Metric(
    "histogram",
    "relaydesk_transfer_acknowledgement_seconds",
    "seconds",
    "From the request of a transfer until somebody acknowledged it, however many were asked, in the desk's time.",
    ("queue", "automatic"),
    buckets=WAITING,
    agreed=lambda agreement: product(agreement.queues, ("false", "true")),
)
UNDELIVERED: Final = Metric(
    "counter",
    "relaydesk_transfers_undelivered_total",
    "transfers",
    "Transfers that reached nobody they were meant for, by why: `nobody` (all on the path declined or stayed silent, "
    "or it took too long: the duty owner has it), `gap` (the package lacks a part). Each is a warning in the log, too.",
    ("why", "cause"),
    known={"why": ("nobody", "gap"), "cause": get_args(Cause)},
)
OWNERS: Final = Metric(
    "counter",
    "relaydesk_owner_changes_total",
    "changes",
    "Changes of owner: to intake duty, acknowledged, automatic (a duty owner by the desk), or ended.",
    ("kind",),
    known={"kind": ("intake_duty", "acknowledged", "automatic", "ended")},
)
OWNED: Final = Metric(
    "gauge",
    "relaydesk_owned_tickets",
    "tickets",
    "Open tickets of the whole desk by how they came to their owner; those of intake duty and automatic ones are safe, "
    "not served.",
    ("kind",),
    known={"kind": ("intake_duty", "acknowledged", "automatic")},
)
UNOWNED: Final = Metric(
    "gauge",
    "relaydesk_unowned_tickets",
    "tickets",
    "Open tickets of the whole desk without an owner: always 0, or an invariant is broken.",
)
OPEN: Final = Metric(
    "gauge",
    "relaydesk_open_transfers",
    "transfers",
    "Transfers of the whole desk that are under way: requested (no offer yet) or offered.",
    ("status",),
    known={"status": ("requested", "offered")},
)
OLDEST: Final = Metric(
    "gauge",
    "relaydesk_oldest_unacknowledged_timestamp_seconds",
    "unix time",
    "When the transfer was requested that waits longest for an acknowledgement; 0: none waits.",
)
OUTBOX: Final = Metric(
    "gauge",
    "relaydesk_outbox_rows",
    "rows",
    "Rows of the ledger's outbox that were committed and are not published yet.",
    ("partition",),
)
PUBLISHED: Final = Metric(
    "gauge",
    "relaydesk_outbox_published_row",
    "row number",
    "Number of the last row of the ledger's outbox that was published: it grows for good, whoever publishes.",
    ("partition",),
)
LEDGER: Final = Metric(
    "gauge", "relaydesk_ledger_last_answer_timestamp_seconds", "unix time", "When the database last answered handoff."
)
KEY_FILE: Final = Metric(
    "gauge",
    "relaydesk_key_file_broken",
    "boolean",
    "1 while the file of API keys is there in a form that cannot be read, or gone: those of before still count.",
)
METRICS: Final = [
    STEPS,
    OFFERS,
    ACKNOWLEDGED,
    UNDELIVERED,
    OWNERS,
    OWNED,
    UNOWNED,
    OPEN,
    OLDEST,
    OUTBOX,
    PUBLISHED,
    LEDGER,
    KEY_FILE,
]

# Each is answered from an index of what is open, whatever the ledger holds besides.
_OWNED: Final = text("SELECT kind, count(*) AS tickets FROM ownership WHERE until_at IS NULL GROUP BY kind")
_UNOWNED: Final = text(
    "SELECT count(*) FROM tickets WHERE owner IS NULL AND status NOT IN ('closed', 'merged', 'deleted')"
)
_TRANSFERS: Final = text(
    "SELECT status, count(*) AS transfers, min(opened_at) AS oldest FROM transfers WHERE ended_at IS NULL"
    " GROUP BY status"
)


log = logger(__name__)


class HandoffMetrics:
    """What counts for one process. Both the tasks and the replies by HTTP tell it what they committed."""

    def __init__(self, registry: Registry) -> None:
        self._steps = registry.counter(STEPS)
        self._offers = registry.counter(OFFERS)
        self._acknowledged = registry.histogram(ACKNOWLEDGED)
        self._undelivered = registry.counter(UNDELIVERED)
        self._owners = registry.counter(OWNERS)
        self._owned = registry.gauge(OWNED)
        self._unowned = registry.gauge(UNOWNED)
        self._open = registry.gauge(OPEN)
        self._oldest = registry.gauge(OLDEST)
        self._waiting = registry.gauge(OUTBOX)
        self._published = registry.gauge(PUBLISHED)
        self._ledger = registry.gauge(LEDGER)
        self._key_file = registry.gauge(KEY_FILE)

    def committed(self, changes: Changes) -> None:
        """What a transaction of the ledger came to, after its commit."""
        for step in changes.steps:
            _, transfer = changes.transfers.get(getattr(step, "transfer_id", None) or "", (None, None))
            if transfer is not None:
                self._alert(step, transfer)
            if isinstance(step, OwnerChanged):
                self._owners.labels(step.kind).inc()
                continue
            if transfer is None:
                continue
            name, queue = _step_of(step), getattr(step, "queue", None)
            self._steps.labels(name, transfer.cause).inc()
            if queue is not None and name in _OF_OFFERS:
                self._offers.labels(queue, name).inc()
            if isinstance(step, TransferAccepted):
                waited = (step.decided_for - transfer.opened_at).total_seconds()
                self._acknowledged.labels(queue, "true" if step.automatic else "false").observe(max(waited, 0.0))

    def _alert(self, step: TransferEvent, transfer: TransferState) -> None:
        """A transfer that cannot be delivered is never a silent state."""
        if isinstance(step, OwnerChanged) and step.kind == "automatic":
            why = "nobody"
        elif isinstance(step, TransferWithdrawn) and step.lacking:
            why = "gap"
        else:
            return
        self._undelivered.labels(why, transfer.cause).inc()
        log.warning(
            "transfer not delivered",
            why=why,
            cause=transfer.cause,
            transfer=transfer.id,
            ticket=step.ticket,
            attempts=transfer.attempt,
            lacking=", ".join(step.lacking) if isinstance(step, TransferWithdrawn) else "",
            remedy="the duty owner has it: see who was asked in its timeline" if why == "nobody" else "add the part",
        )

    def key_file(self, broken: bool) -> None:
        """Whether the file of keys, which has just changed, is broken."""
        self._key_file.set(broken)

    def outboxes(self, of: Mapping[int, Outbox | None]) -> None:
        """Of the partitions that this process relays: None while it does not know yet. Of others it says nothing."""
        for gauge in (self._waiting, self._published):
            gauge.clear()
        for partition, outbox in of.items():
            if outbox is not None:
                self._waiting.labels(partition).set(outbox.waiting)
                self._published.labels(partition).set(outbox.published)

    async def look(self, engine: AsyncEngine) -> None:
        """Reads the gauges from the ledger. Raises SQLAlchemyError and OSError."""
        async with engine.connect() as connection:
            owned = {row.kind: row.tickets for row in await connection.execute(_OWNED)}
            unowned = (await connection.execute(_UNOWNED)).scalar_one()
            under_way = {row.status: row for row in await connection.execute(_TRANSFERS)}
        self._ledger.set(time.time())
        for kind in OWNED.known["kind"]:
            self._owned.labels(kind).set(owned.get(kind, 0))
        self._unowned.set(unowned)
        for status in OPEN.known["status"]:
            self._open.labels(status).set(under_way[status].transfers if status in under_way else 0)
        oldest = min((row.oldest.timestamp() for row in under_way.values()), default=0)
        self._oldest.set(oldest)


def _step_of(step: TransferEvent) -> str:
    """`relaydesk.transfer.accepted.v1` -> `accepted`."""
    return step.TYPE.split(".")[-2]
