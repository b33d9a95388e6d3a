"""The protocol against a world in which anything may come at any time: other services that lag behind, replies twice
and too late, clocks that breach while a reply is on its way, tickets that end and come back."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ticket_contracts import topics
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import Event
from ticket_contracts.sla import ClockEvent
from ticket_contracts.tickets import ENDED, TicketNormalized
from ticket_contracts.transfers import (
    RENEWALS_AT_MOST,
    ContextAdded,
    OfferMade,
    OwnerChanged,
    Reply,
    TicketErased,
    TransferAccepted,
    TransferCompleted,
    TransferDeclined,
    TransferEvent,
    TransferExpired,
    TransferOffered,
    TransferRequested,
    TransferWithdrawn,
)
from ticket_handoff.domain.course import TRANSITIONS
from ticket_handoff.domain.decision import Refused
from ticket_handoff.domain.facts import ErasureAsked, ReplyGiven
from ticket_handoff.domain.ledger import Ledger, Texts
from ticket_handoff.handlers import HandoffWork, Held
from unit.handoff.handoff_desk import (
    QUEUES,
    TICKET,
    Story,
    at,
    classified,
    clock,
    faults,
    normalized,
    published,
    routed,
)
from unit.handoff.test_handoff_terms import narrowed

FACTS = (topics.NORMALIZED, topics.CLASSIFIED, topics.ROUTED, topics.SLA_EVENTS)
PRINCIPALS = ("internal", "nightwatch", "otherwise")


class Desk(RuleBasedStateMachine):
    """Each topic keeps its order; between them there is none. Router and monitor hear handoff's steps when they get to
    it, and answer as their contracts say."""

    def __init__(self) -> None:
        super().__init__()
        self.minute = 0.0
        self.version = 0
        self.judgement = 1
        self.status = "open"
        self.text = "It only blinks."
        self.on_its_way: dict[str, deque[Event]] = {topic: deque() for topic in FACTS}
        self.told: list[tuple[str, Event]] = []
        self.router_heard = self.monitor_heard = 0
        self.decision = 0
        self.router_version = 0
        self.pending: str | None = None
        self.at: str | None = None
        self.routed_since = False
        self.offers_open: dict[tuple[str, int], TransferOffered] = {}
        self.transfers_open: set[str] = set()
        self.replies = 0
        self.narrowed = False

    @initialize(acknowledges=st.booleans())
    def begin(self, acknowledges: bool) -> None:
        self.terms: dict[str, Any] = {
            "pre_breach": {},
            "source_reassignment": "acknowledges" if acknowledges else "asks",
            "required": {"default": ["view", "classification"], "source": ["view", "steps"], "return": ["question"]},
        }
        self.story = Story(published(**self.terms))
        self.agreement = self.story.agreement
        self.say(normalized(when=self.now))
        self.version = 1
        self.publish(topics.CLASSIFIED, classified(self.agreement, when=self.now))

    @property
    def now(self) -> Any:
        return at(self.minute)

    def publish(self, topic: str, event: Event) -> None:
        self.on_its_way[topic].append(event)

    def say(self, event: TicketNormalized) -> None:
        self.publish(topics.NORMALIZED, event)

    # -- the source

    @rule(minutes=st.floats(0.0, 30.0))
    def time_passes(self, minutes: float) -> None:
        self.minute += minutes

    @rule(group=st.sampled_from(["Experts", "Helpers", "Unknown"]))
    @precondition(lambda self: self.status not in ENDED)
    def people_reassign(self, group: str) -> None:
        self._update(changed=["group"], group=group, assignee="Eve")

    @rule(status=st.sampled_from(["closed", "merged"]))
    @precondition(lambda self: self.status not in ENDED)
    def it_ends(self, status: str) -> None:
        self._update(lifecycle="ended", status=status)

    @rule()
    @precondition(lambda self: self.status not in ENDED)
    def it_is_resolved(self) -> None:
        self._update(status="resolved")

    @rule()
    @precondition(lambda self: self.status != "open")
    def it_is_reopened(self) -> None:
        self._update(lifecycle="reopened", status="open")

    @rule(text=st.sampled_from(["It only blinks.", "It smokes!", "It is on fire."]), visible=st.booleans())
    @precondition(lambda self: self.status not in ENDED)
    def the_customer_writes(self, text: str, visible: bool) -> None:
        """What changes is the text, which some contracts show, or what no receiver sees."""
        self.text = text if visible else self.text
        self._update(changed=["text"] if visible else [], service="laptops")

    @rule()
    @precondition(lambda self: self.known)
    def it_is_judged_anew(self) -> None:
        self.judgement += 1
        event = classified(self.agreement, version=self.judgement, when=self.now, priority=f"P{1 + self.judgement % 2}")
        self.publish(topics.CLASSIFIED, event)

    def _update(self, **said: Any) -> None:
        self.version += 1
        self.status = said.setdefault("status", self.status)
        said.setdefault("text", self.text)
        self.say(normalized(version=self.version, when=self.now, **said))

    # -- the router

    @rule(queue=st.sampled_from(sorted(QUEUES)))
    def router_decides_first(self, queue: str) -> None:
        """On the newest version that it has seen, which may be behind."""
        if self.status in ENDED:
            self.routed_since = False
            return
        if not self.routed_since:
            self.router_version = self.version
            self._route(queue, "first", None)
            self.routed_since = True

    @rule(queue=st.sampled_from(["desk", "experts", "night-desk"]), cause=st.sampled_from(["reroute", "queue_closing"]))
    @precondition(lambda self: self.routed_since)
    def router_proposes(self, queue: str, cause: str) -> None:
        if queue not in (self.pending, self.at):
            self._route(queue, "reroute", None, current=self.pending or self.at, cause=cause)

    @rule(queue=st.sampled_from(["desk", "experts", "night-desk"]))
    @precondition(lambda self: self.routed_since)
    def router_drains_back(self, queue: str) -> None:
        """What is offered, not who has it, is to leave."""
        if queue not in (self.pending, self.at):
            self._route(queue, "reroute", None, current=self.at, cause="drained_back")

    @rule(queues=st.permutations(["desk", "experts", "night-desk", "other-desk"]))
    def router_hears(self, queues: list[str]) -> None:
        steps = self.steps
        while self.router_heard < len(steps):
            step = steps[self.router_heard]
            self.router_heard += 1
            match step:
                case TransferRequested(asks=True) if self.status not in ENDED:
                    left = [q for q in queues if q not in step.tried and q != step.sender_queue]
                    final = not left or len(step.tried) >= 3
                    self._route("duty" if final else left[0], "transfer", step.transfer_id, final=final)
                case TransferCompleted():
                    self.at, self.pending = step.queue, None
                case TransferDeclined() | TransferExpired() | TransferWithdrawn():
                    self.pending = None
                case _:
                    pass

    def _route(self, queue: str, purpose: Any, transfer: str | None, **said: Any) -> None:
        self.decision += 1
        self.pending = queue
        self.publish(
            topics.ROUTED,
            routed(
                self.agreement,
                decision=self.decision,
                when=self.now,
                queue=queue,
                role=QUEUES[queue],
                purpose=purpose,
                transfer_id=transfer,
                ticket_version=self.version,
                final=said.pop("final", queue == "duty"),
                **said,
            ),
        )
        if purpose == "first":
            self.publish(topics.SLA_EVENTS, clock(self.agreement, when=self.now, sequence=self.decision))

    # -- the monitor

    @rule()
    def monitor_hears(self) -> None:
        steps = self.steps
        while self.monitor_heard < len(steps):
            step = steps[self.monitor_heard]
            self.monitor_heard += 1
            match step:
                case TransferRequested(attempt=1):
                    self.transfers_open.add(step.transfer_id)
                case TransferOffered():
                    self.offers_open[step.transfer_id, step.attempt] = step
                case TransferAccepted() | TransferDeclined() | TransferExpired():
                    self.offers_open.pop((step.transfer_id, step.attempt), None)
                case TransferWithdrawn() | TransferCompleted():
                    self.transfers_open.discard(step.transfer_id)
                    self.offers_open = {k: v for k, v in self.offers_open.items() if k[0] != step.transfer_id}
                case _:
                    pass

    @rule()
    @precondition(lambda self: self.offers_open)
    def an_offer_expires(self) -> None:
        (transfer, attempt), _ = self.offers_open.popitem()
        self._breach(f"transfer_acknowledgement:{transfer}", attempt)

    @rule()
    @precondition(lambda self: self.transfers_open)
    def a_transfer_takes_too_long(self) -> None:
        self._breach(f"transfer:{self.transfers_open.pop()}", 1)

    @rule(generation=st.integers(1, 3))
    def the_deadline_is_near(self, generation: int) -> None:
        warned = clock(self.agreement, TICKET, self.now, "warned", "resolution", generation, threshold_seconds=900)
        self.publish(topics.SLA_EVENTS, warned)

    def _breach(self, name: str, generation: int) -> None:
        breached: ClockEvent = clock(self.agreement, TICKET, self.now, "breached", name, generation)
        self.publish(topics.SLA_EVENTS, breached)

    # -- handoff

    @rule(topic=st.sampled_from(FACTS), count=st.integers(1, 4))
    def handoff_reads(self, topic: str, count: int) -> None:
        for _ in range(min(count, len(self.on_its_way[topic]))):
            event = self.on_its_way[topic].popleft()
            self.told.append((topic, event))
            self.story.publish(topic, event)

    @rule(
        order=st.permutations(FACTS),
        queues=st.permutations(["desk", "experts", "night-desk", "other-desk"]),
        rounds=st.integers(1, 3),
    )
    def everybody_catches_up(self, order: list[str], queues: list[str], rounds: int) -> None:
        for _ in range(rounds):
            for topic in order:
                self.handoff_reads(topic, 1_000)
            self.router_hears(queues)
            self.monitor_hears()

    @rule(pick=st.integers(0, 10_000))
    @precondition(lambda self: self.told)
    def handoff_reads_again(self, pick: int) -> None:
        """The same message twice: no reader of ours would, and yet it changes nothing but for the clocks' own words."""
        topic, event = self.told[pick % len(self.told)]
        if topic != topics.SLA_EVENTS:
            assert self.story.publish(topic, event) == []

    @rule(
        pick=st.integers(0, 10_000),
        action=st.sampled_from(["accept", "accept", "accept", "decline", "return"]),
        principal=st.sampled_from(PRINCIPALS),
        honest=st.integers(0, 9),
        again=st.booleans(),
    )
    @precondition(lambda self: self.offers)
    def somebody_replies(self, pick: int, action: Any, principal: str, honest: int, again: bool) -> None:
        """To any offer that was ever made; mostly its receiver, mostly with its digest; sometimes twice."""
        offer = self.offers[-1 - pick % min(len(self.offers), 3)]
        if honest:
            principal = {"night-desk": "nightwatch", "other-desk": "otherwise"}.get(offer.queue, "internal")
        self.replies += 1
        reply = Reply(
            transfer_id=offer.transfer_id,
            reply_id=f"r{self.replies}",
            action=action,
            digest=offer.digest if honest != 1 else "0" * 64,
            reason="not mine",
        )
        given = ReplyGiven(reply=reply, principal=principal, actor="Somebody", at=self.now)
        before, steps = self.story.ledger, len(self.story.out.emitted)
        open_offer = None if before.transfer is None else before.transfer.offer
        may = (
            action == "return" or (honest != 1 and open_offer is not None and open_offer.digest == offer.digest)
        ) and principal == {"night-desk": "nightwatch", "other-desk": "otherwise"}.get(offer.queue, "internal")
        try:
            self.story.work.answer(given, f"m{self.replies}", self.story.out)
        except Refused:
            assert self.story.ledger == before, "a refused reply changes nothing"
            assert len(self.story.out.emitted) == steps
            return
        assert may, "only the receiver of the open offer may answer, with its digest"
        assert len(self.story.out.emitted) > steps
        if again:
            steps = len(self.story.out.emitted)
            assert self.story.work.answer(given, f"m{self.replies}b", self.story.out).repeated
            assert len(self.story.out.emitted) == steps

    # -- owners, the agreement, crashes, erasure

    @rule(
        action=st.sampled_from(["escalate", "add"]),
        part=st.sampled_from(["steps", "links", "question", None]),
        principal=st.sampled_from(PRINCIPALS),
        again=st.booleans(),
    )
    @precondition(lambda self: self.known)
    def an_owner_speaks(self, action: Any, part: Any, principal: str, again: bool) -> None:
        """Whoever owns it, somebody inside, or somebody whom it does not concern."""
        self.replies += 1
        said = {"reason": "Why?"} if action == "escalate" else {"part": part, "items": ["Rebooted"]}
        reply = Reply(ticket=TICKET, reply_id=f"r{self.replies}", action=action, **said)
        given = ReplyGiven(reply=reply, principal=principal, actor="Somebody", at=self.now)
        before, steps = self.story.ledger, len(self.story.out.emitted)
        holder = next((p for p in reversed(before.past) if p.ending == "accepted"), None)
        owns = before.owner is not None and holder is not None and holder.transfer_id == before.owner.transfer_id
        try:
            self.story.work.answer(given, f"m{self.replies}", self.story.out)
        except Refused:
            assert self.story.ledger == before, "a refused reply changes nothing"
            assert len(self.story.out.emitted) == steps
            return
        assert before.owner is not None
        assert principal == "internal" or (owns and holder is not None and holder.principal == principal)
        assert self.story.ledger.owner == before.owner, "the owner stays until another has accepted"
        if again:
            steps = len(self.story.out.emitted)
            assert self.story.work.answer(given, f"m{self.replies}b", self.story.out).repeated
            assert len(self.story.out.emitted) == steps

    @rule(follows=st.booleans())
    @precondition(lambda self: not self.narrowed and self.at_the_partner)
    def the_contract_comes_to_allow_less(self, follows: bool) -> None:
        """While the partner has an offer before it; handoff notices at once, or some time later."""
        self.narrowed = True
        self.story.versions.append(narrowed(self.minute + 1, "title", "priority", **self.terms))
        self.story.agreements.add(self.story.versions[-1])
        self.minute += 2
        if follows:
            self.handoff_follows_the_agreement()

    @rule()
    def handoff_follows_the_agreement(self) -> None:
        self.story.work.fire(self.now, self.story.out)
        if self.narrowed and self.at_the_partner and self.story.work.next_due() is None:
            assert self.offers[-1].package.view.text is None, "nothing stays open that the contract does not allow"

    @property
    def at_the_partner(self) -> bool:
        transfer = self.story.ledger.transfer if self.known else None
        return transfer is not None and transfer.offer is not None and transfer.offer.principal == "nightwatch"

    @rule()
    @precondition(lambda self: self.known)
    def the_process_ends_and_another_goes_on(self) -> None:
        """From what the ledger keeps, as the database gives it back."""
        held = self.story.work.tickets[TICKET]
        state = msgspec.json.decode(msgspec.json.encode(held.ledger), type=Ledger)
        assert state == held.ledger
        texts = msgspec.json.decode(msgspec.json.encode(held.texts), type=Texts)
        work = HandoffWork(self.story.agreements)
        work.followed = self.story.work.followed
        work.hold({TICKET: Held(state, texts, held.partition)}, dict(self.story.work.ticket_of))
        self.story.work = work

    @rule()
    @precondition(lambda self: self.known)
    def it_is_erased(self) -> None:
        before, owned = self.story.ledger, self.story.ledger.owner is not None
        try:
            asked = ErasureAsked(actor="Petra", reason="7", at=self.now)
            self.story.work.erase(TICKET, asked, f"e{len(self.steps)}", self.story.out)
        except Refused:
            assert owned
            assert self.story.ledger == before
            return
        assert not owned
        assert self.story.work.tickets[TICKET].texts == Texts()

    # -- what holds

    @property
    def steps(self) -> list[TransferEvent]:
        return self.story.all(TransferEvent)

    @property
    def offers(self) -> list[OfferMade]:
        return self.story.all(OfferMade)

    @property
    def known(self) -> bool:
        return TICKET in self.story.work.tickets

    @invariant()
    def the_history_is_sound(self) -> None:
        if self.known and self.story.ledger.episode:
            assert faults(self.story.out.emitted, last_status=self.story.ledger.status) == []

    @invariant()
    def nothing_outdated_waits_for_an_acknowledgement(self) -> None:
        """Told by what was sent and what its receiver got: the newest text that handoff has read, unless it has been
        renewed as often as any offer is, or is to be withdrawn."""
        transfer = self.story.ledger.transfer if self.known else None
        if transfer is None or transfer.offer is None or (self.narrowed and self.at_the_partner):
            return
        offer = self.offers[-1]
        newest = max((e for _, e in self.told if isinstance(e, TicketNormalized)), key=lambda e: e.ticket_version)
        judged = max(
            (e for _, e in self.told if isinstance(e, TicketClassified)), key=lambda e: e.classification_version
        )
        shown = offer.package.view
        if offer.revision <= RENEWALS_AT_MOST:
            assert shown.text in (None, newest.text)
            assert shown.priority in (None, judged.priority)
        before = [made for made in self.offers[:-1] if made.transfer_id == offer.transfer_id]
        if offer.revision > 1:
            last = before[-1].package
            assert (last.view, last.steps, last.links) != (shown, offer.package.steps, offer.package.links)

    @invariant()
    def every_ending_is_one_of_the_table(self) -> None:
        """Read from the events alone: each transfer goes through the table's states."""
        status: dict[str, str] = {}
        for step in self.steps:
            match step:
                case TransferRequested(attempt=1):
                    status[step.transfer_id] = "requested"
                case TransferRequested() | TransferCompleted() | OwnerChanged() | ContextAdded() | TicketErased():
                    pass
                case _:
                    transfer: Any = step
                    name: Any = type(step).__name__.removeprefix("Transfer").lower()
                    status[transfer.transfer_id] = TRANSITIONS[status[transfer.transfer_id], name]  # type: ignore[index]

    def teardown(self) -> None:
        """Everybody catches up; then nothing is left that nobody will ever end."""
        if not hasattr(self, "story"):
            return
        for _ in range(40):
            if not self.routed_since:
                self.router_decides_first("desk")
            for topic in FACTS:
                self.handoff_reads(topic, 1_000)
            self.story.work.fire(self.now, self.story.out)
            self.router_hears(["desk", "experts", "night-desk", "other-desk"])
            self.monitor_hears()
            if not any(self.on_its_way.values()) and self.router_heard == self.monitor_heard == len(self.steps):
                break
        else:
            raise AssertionError("the desk does not come to rest")
        self.the_history_is_sound()
        ledger = self.story.ledger
        assert ledger.waiting == []
        assert (ledger.owner is None) == (self.status in ENDED)
        if ledger.transfer is not None:
            assert ledger.transfer.offer is not None, "it waits for nobody's answer but its receiver's"
            assert (ledger.transfer.id, ledger.transfer.attempt) in self.offers_open, "and has a clock that ends it"


Desk.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestProtocol = Desk.TestCase
