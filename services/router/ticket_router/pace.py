"""How long people take to accept, as a history shows it: what a simulation takes in place of people."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median_low

from ticket_contracts.tickets import TicketNormalized
from ticket_contracts.transfers import TransferAccepted, TransferOffered


class Pace:
    """Seconds from an offer to its acceptance. Where transfers tell: of each ticket's acceptances one after the other,
    the last of them from then on. Else, of a feed that no desk has handled: from a ticket's creation until its status
    says that somebody has begun. A ticket that tells neither takes as long as most do in that queue, or at all.

    offered, accepted: events of `transfers`, those by the desk itself apart. known: tickets that tell.
    """

    def __init__(
        self,
        normalized: Iterable[TicketNormalized],
        offered: Iterable[TransferOffered] = (),
        accepted: Iterable[TransferAccepted] = (),
    ) -> None:
        since = {(o.ticket, o.transfer_id, o.attempt): o.decided_for for o in offered}
        self._by_ticket: dict[str, list[int]] = {}
        by_queue: dict[str, list[int]] = {}
        for one in sorted(accepted, key=lambda a: (a.decided_for, a.ticket, a.sequence)):
            begun = since.get((one.ticket, one.transfer_id, one.attempt))
            if begun is not None and not one.automatic:
                seconds = max(0, int((one.decided_for - begun).total_seconds()))
                self._by_ticket.setdefault(one.ticket, []).append(seconds)
                by_queue.setdefault(one.queue, []).append(seconds)
        self.from_transfers = bool(self._by_ticket)
        if not self.from_transfers:
            for event in sorted(normalized, key=lambda e: (e.ticket, e.ticket_version)):
                created = event.created_at
                if event.status != "new" and event.ticket not in self._by_ticket and created is not None:
                    seconds = max(0, int((event.decided_for - created).total_seconds()))
                    self._by_ticket[event.ticket] = [seconds]
        every = [seconds for those in self._by_ticket.values() for seconds in those]
        self._usual = median_low(every) if every else None
        self._usual_of = {queue: median_low(those) for queue, those in by_queue.items()}
        self.known = len(self._by_ticket)

    def seconds(self, ticket: str, nth: int, queue: str, agreed: int) -> int:
        """Of the nth acceptance of a ticket (from 0), offered to that queue; never more than the agreement gives people
        to acknowledge, which is what is taken where nothing is known of anybody."""
        own = self._by_ticket.get(ticket)
        told = own[min(nth, len(own) - 1)] if own else self._usual_of.get(queue, self._usual)
        return agreed if told is None else min(told, agreed)
