"""The service's loop over a real broker and a real database, and the facts that other services would publish."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient

from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.agreement import Published
from ticket_contracts.catalogue import BY_TYPE
from ticket_contracts.cloudevents import Event, Trace, ce_id, encode, headers, instant_text, root_traceparent
from ticket_contracts.topics import Topic, desk_topics
from ticket_contracts.transfers import OfferMade, Reply, TransferEvent
from ticket_handoff.adapters.engine import LedgerLoop, Replies
from ticket_handoff.adapters.store import Store
from ticket_handoff.domain.decision import Answer
from ticket_handoff.domain.facts import ReplyGiven
from ticket_handoff.handlers import HandoffWork, inputs
from ticket_runtime.agreements import Agreements
from ticket_runtime.loop import Loop
from ticket_runtime.outputs import Collector
from ticket_runtime.topics import partition_counts
from unit.handoff.handoff_desk import Story, classified, clock, normalized, published, routed

PARTNERS = ["nightwatch", "otherwise"]
INPUTS = inputs(PARTNERS)


def wanted() -> list[Topic]:
    """The desk's topics, as handoff and its readers need them; `KafkaDesk` adds the dead letters."""
    made = desk_topics(["servicenow"], ["desk", "experts", "night-desk", "other-desk", "duty"], PARTNERS)
    return [
        topic
        for topic in made
        if topic.name not in (topics.TIME, topics.PROGRESS)
        and not topic.name.endswith((topics.DEAD_LETTER, topics.CHANGELOG))
    ]


class LedgerDesk:
    """One desk: the broker's topics, the ledger, and the loops that a test runs over them."""

    def __init__(self, kafka: KafkaDesk, store: Store, *versions: Published) -> None:
        self.kafka, self.store = kafka, store
        self.agreements = Agreements(versions or [published()])
        self.agreement = self.agreements.every()[0].version
        self._replies = itertools.count(1)

    async def exists(self) -> None:
        """The broker tells of all topics; it does so a moment after it made them."""
        names = {self.kafka.prefix + topic.name for topic in wanted()}
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)
        await admin.start()

        async def told() -> bool:
            return names <= set(await partition_counts(admin, names))

        try:
            await until(told)
        finally:
            await admin.close()

    @contextlib.asynccontextmanager
    async def running(self, make_loop: Callable[..., Loop] | None = None, **settings: Any) -> AsyncIterator[LedgerLoop]:
        async with self.kafka.running(
            "handoff",
            INPUTS,
            lambda _: HandoffWork(self.agreements),
            settings=self.kafka.settings(**settings),
            make_loop=make_loop or partial(LedgerLoop, self.store),
            stateful=False,
        ) as loop:
            assert isinstance(loop, LedgerLoop)
            yield loop

    async def publish(self, topic: str, *events: Event) -> None:
        """As another service would, each a chain of its own."""
        sent = []
        for event in events:
            own_id = ce_id(event)
            said = headers(
                own_id,
                event.TYPE,
                "/relaydesk/test",
                event.ticket,
                instant_text(event.decided_for),
                Trace(own_id, own_id, root_traceparent(own_id)),
            )
            sent.append(
                await self.kafka.producer.send(
                    self.kafka.prefix + topic, encode(event), event.ticket.encode(), headers=said
                )
            )
        for each in sent:
            await each

    async def begin(
        self, tickets: Sequence[str], when: datetime, queue: str = "desk", role: str = "first-line"
    ) -> None:
        """New tickets, sent to that queue: what the other services say of them until the offer."""
        await self.publish(topics.NORMALIZED, *(normalized(ticket, when=when) for ticket in tickets))
        await self.publish(topics.CLASSIFIED, *(classified(self.agreement, ticket, when=when) for ticket in tickets))
        await self.publish(
            topics.ROUTED, *(routed(self.agreement, ticket, when=when, queue=queue, role=role) for ticket in tickets)
        )
        await self.publish(topics.SLA_EVENTS, *(clock(self.agreement, ticket, when) for ticket in tickets))

    async def reply(self, offer: OfferMade, action: Any = "accept", principal: str = "internal", **said: Any) -> None:
        """By the principal's topic."""
        plain = {"transfer_id": offer.transfer_id, "reply_id": f"reply-{next(self._replies)}", "digest": offer.digest}
        reply = Reply(action=action, **{**plain, **said})
        await self.kafka.send(topics.replies(principal), msgspec.json.encode(reply), offer.ticket.encode())

    async def give(
        self,
        offer: OfferMade,
        reply_id: str,
        appended: Callable[[Any], None] = lambda rows: None,
        actor: str = "Ada",
        **said: Any,
    ) -> Answer:
        """By HTTP, as its route does it."""
        plain: dict[str, Any] = {"transfer_id": offer.transfer_id, "digest": offer.digest, "action": "accept"}
        given = ReplyGiven(
            reply=Reply(reply_id=reply_id, **{**plain, **said}),
            principal="internal",
            actor=actor,
            at=datetime.now(UTC),
        )
        return await Replies(self.store, self.agreements, appended).give(given)

    async def said(self) -> list[tuple[str, Event]]:
        """(topic, event) of all that handoff published, in the order of each ticket's steps."""
        found: list[tuple[str, Event]] = []
        for name in [topics.TRANSFERS, *(t.name for t in wanted() if t.name.startswith(topics.OFFERS))]:
            found += [(name, event_of(record)) for record in await self.kafka.read(name)]
        return found

    async def steps(self) -> dict[str, list[TransferEvent]]:
        """ticket -> its steps, in order."""
        found: dict[str, list[TransferEvent]] = {}
        for record in await self.kafka.read(topics.TRANSFERS):
            event = event_of(record)
            assert isinstance(event, TransferEvent)
            found.setdefault(event.ticket, []).append(event)
        return found

    async def offers(self, queue: str = "desk") -> dict[str, OfferMade]:
        """ticket -> its newest offer on that queue."""
        events = [event_of(record) for record in await self.kafka.read(topics.offers(queue))]
        return {event.ticket: event for event in events if isinstance(event, OfferMade)}

    async def dead(self, topic: str) -> list[str]:
        """The reasons of the dead letters of a topic."""
        return [
            dict(record.headers)["kafka_dlt-exception-message"].decode()
            for record in await self.kafka.read(topics.dead_letter(topic))
        ]


def event_of(record: Any) -> Event:
    kind = dict(record.headers)["ce_type"].decode()
    event: Event = msgspec.json.decode(record.value, type=BY_TYPE[kind])
    return event


async def written(store: Store, tickets: list[str], queue: str = "desk", partition: int = 0) -> dict[str, OfferMade]:
    """Tickets up to their offer, each written in a transaction of its own without a broker. Returns the offers."""
    offers = {}
    await store.positions(partition, [topics.NORMALIZED])
    for ticket in tickets:
        story = Story(ticket=ticket)
        story.seen(0)
        story.judged(0)
        story.routed(0, queue)
        story.stated(0)
        out = Collector("/relaydesk/handoff", partition)
        for topic, event in story.out.emitted:
            out.emit(topic, event)
        messages, _ = out.take()
        story.work.tickets[ticket].partition = partition
        async with store.transaction() as connection:
            await store.write(connection, story.work.take_changes(), messages, {})
        offers[ticket] = story.offer()
    return offers
