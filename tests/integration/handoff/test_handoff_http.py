"""Who owns a ticket, and the receivers' replies, by HTTP: the token says who speaks, and for whom."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from integration.handoff.ledger_desk import written
from ticket_contracts.transfers import OfferMade, Reply
from ticket_handoff.adapters.access import Access
from ticket_handoff.adapters.engine import Replies
from ticket_handoff.adapters.http import install
from ticket_handoff.adapters.inquiries import Inquiries
from ticket_handoff.adapters.keys import add_key, read_keys
from ticket_handoff.adapters.store import Store
from ticket_handoff.adapters.tokens import IssuerKeys, Tokens
from ticket_handoff.domain.facts import ReplyGiven
from ticket_handoff.handlers import AgreementBook
from ticket_runtime.agreements import Agreements
from ticket_runtime.http import Health, make_app
from ticket_runtime.metrics import Metrics
from ticket_runtime.settings import CannotRun
from unit.handoff.handoff_desk import at, published
from unit.handoff.test_handoff_terms import narrowed, without_the_night_desk
from unit.handoff.test_handoff_tokens import ISSUER, KEY, NOW, keys_of, token

TICKET = "servicenow:prod:INC1"


class Edge:
    """The routes over a ledger. tokens: principal -> its key."""

    def __init__(
        self,
        store: Store,
        engine: AsyncEngine,
        keys: Path,
        agreements: Agreements,
        tokens: Tokens | None = None,
        rate: str = "600/minute",
    ) -> None:
        actors = {"internal": "Ada", "nightwatch": "Nora", "otherwise": "Olga"}
        self.tokens = {principal: add_key(keys, principal, actor) for principal, actor in actors.items()}
        app = make_app("handoff", Metrics("handoff"), lambda: Health(True), lambda: Health(True))
        inquiries = Inquiries(engine, AgreementBook(agreements), lambda: at(10))
        replies = Replies(store, agreements, lambda rows: None)
        access = Access(read_keys(keys), tokens, rate)
        install(app, access, lambda: replies, lambda: inquiries, lambda: at(10))
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://handoff")

    async def post(self, transfer: str, action: str, principal: str = "internal", **said: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens.get(principal, principal)}"}
        return await self.client.post(f"/v1/transfers/{transfer}/{action}", json=said, headers=headers)

    async def ask(self, what: str, principal: str = "internal", **how: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens.get(principal, principal)}"}
        return await self.client.get(f"/v1/{what}", headers=headers, params=how)

    async def tell(self, ticket: str, what: str, principal: str = "internal", **said: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens.get(principal, principal)}"}
        return await self.client.post(f"/v1/tickets/{ticket}/{what}", json=said, headers=headers)

    async def owners(self, ticket: str = TICKET, principal: str = "internal") -> httpx.Response:
        return await self.ask(f"tickets/{ticket}/owners", principal)


@pytest.fixture
async def edge(store: Store, engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Edge]:
    made = Edge(store, engine, tmp_path / "keys.json", Agreements([published()]))
    yield made
    await made.client.aclose()


async def offered(store: Store, queue: str = "desk") -> OfferMade:
    return (await written(store, [TICKET], queue))[TICKET]


async def test_an_acknowledgement_moves_the_ownership(edge: Edge, store: Store) -> None:
    offer = await offered(store)
    answer = await edge.post(offer.transfer_id, "accept", digest=offer.digest, reply_id="r1")
    assert answer.status_code == 200
    assert answer.json() == {
        "transfer_id": offer.transfer_id,
        "status": "completed",
        "attempt": 1,
        "owner": offer.receiver,
        "queue": "desk",
        "repeated": False,
        "newer": None,
    }
    again = await edge.post(offer.transfer_id, "accept", digest=offer.digest, reply_id="r1")
    assert (again.status_code, again.json()["repeated"]) == (200, True)
    shown = (await edge.owners()).json()
    assert (shown["owner"]["owner"], shown["owner"]["queue"]) == (offer.receiver, "desk")
    assert [each["kind"] for each in shown["intervals"]] == ["intake_duty", "acknowledged"]
    assert [each["status"] for each in shown["transfers"]] == ["completed"]


async def test_the_actor_is_the_tokens(edge: Edge, store: Store) -> None:
    offer = await offered(store)
    said = await edge.post(offer.transfer_id, "accept", digest=offer.digest, reply_id="r1", actor="Mallory")
    assert said.status_code == 422, "a body names no actor"
    await edge.post(offer.transfer_id, "accept", digest=offer.digest, reply_id="r1")
    history = await store.history(TICKET)
    assert history is not None
    assert history.ledger.past[-1].actor == "Ada"


async def test_a_conflict_names_the_current_state(edge: Edge, store: Store) -> None:
    offer = await offered(store)
    outdated = await edge.post(offer.transfer_id, "accept", digest="0" * 64, reply_id="r1")
    assert outdated.status_code == 409
    assert outdated.headers["content-type"] == "application/problem+json"
    assert (outdated.json()["state"], outdated.json()["digest"]) == ("offered", offer.digest)
    assert sha256(msgspec.json.encode(outdated.json()["package"])).hexdigest() == offer.digest, "with the newer package"
    await edge.post(offer.transfer_id, "accept", digest=offer.digest, reply_id="r2")
    late = await edge.post(offer.transfer_id, "accept", digest=offer.digest, reply_id="r3")
    assert (late.status_code, late.json()["state"]) == (409, "completed")
    assert "accepted by Ada" in late.json()["detail"]


async def test_a_decline_and_a_return_need_a_reason(edge: Edge, store: Store) -> None:
    offer = await offered(store, "night-desk")
    assert (await edge.post(offer.transfer_id, "decline", "nightwatch", reply_id="r1")).status_code == 422
    await edge.post(offer.transfer_id, "accept", "nightwatch", digest=offer.digest, reply_id="r2")
    assert (await edge.post(offer.transfer_id, "return", "nightwatch", reply_id="r3")).status_code == 422
    given = await edge.post(offer.transfer_id, "return", "nightwatch", reply_id="r4", reason="Who has the parts?")
    assert given.status_code == 200
    assert given.json()["status"].startswith("returned by transfer ")


async def test_anothers_transfer_is_not_there(edge: Edge, store: Store) -> None:
    offer = await offered(store, "night-desk")
    for principal in ("otherwise", "internal"):
        answer = await edge.post(offer.transfer_id, "accept", principal, digest=offer.digest, reply_id="r1")
        nowhere = await edge.post("f" * 32, "accept", principal, digest=offer.digest, reply_id="r1")
        assert (answer.status_code, nowhere.status_code) == (404, 404)
        assert answer.json()["detail"].replace(offer.transfer_id, "f" * 32) == nowhere.json()["detail"]
    assert (await edge.owners(principal="otherwise")).status_code == 404


async def test_a_partner_sees_its_own_part_of_the_history(edge: Edge, store: Store) -> None:
    offer = await offered(store, "night-desk")
    before = (await edge.owners(principal="nightwatch")).json()
    assert (before["owner"], before["intervals"]) == (None, [])
    assert [each["status"] for each in before["transfers"]] == ["offered"]
    await edge.post(offer.transfer_id, "accept", "nightwatch", digest=offer.digest, reply_id="r1")
    after = await edge.owners(principal="nightwatch")
    assert [each["queue"] for each in after.json()["intervals"]] == ["night-desk"]
    assert "Ira" not in after.text
    assert "Ian" not in after.text


@pytest.mark.parametrize("token", ["", "wrong", "x" * 10_000])
async def test_nobody_comes_in_without_a_key(edge: Edge, store: Store, token: str) -> None:
    offer = await offered(store)
    edge.tokens["nobody"] = token
    answer = await edge.post(offer.transfer_id, "accept", "nobody", digest=offer.digest, reply_id="r1")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await edge.owners(principal="nobody")).status_code == 401


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"reply_id": ""},
        {"reply_id": 7},
        {"reply_id": "r1", "reason": "x" * 5_000_000},
        {"reply_id": "r1", "digest": {"$ne": None}},
        {"reply_id": "r1", "more": "fields"},
    ],
    ids=["nothing", "an empty id", "a number", "a note of 5 MB", "an object", "a field that is none"],
)
async def test_a_malformed_reply_is_named_and_changes_nothing(edge: Edge, store: Store, said: dict[str, Any]) -> None:
    offer = await offered(store)
    answer = await edge.post(offer.transfer_id, "decline", **said)
    assert answer.status_code == (413 if len(str(said)) > 1_000_000 else 422)
    assert len(answer.content) < 2_000, "what was sent is not sent back"
    assert (await edge.owners()).json()["owner"]["kind"] == "intake_duty"


@pytest.mark.parametrize("evil", ["'; DROP TABLE tickets; --", "<script>alert(1)</script>", "\x00", "../../etc/passwd"])
async def test_sql_and_script_are_text_like_any_other(edge: Edge, store: Store, evil: str) -> None:
    offer = await offered(store)
    path = quote(evil, safe="")
    assert (await edge.owners(path)).status_code == 404
    assert (await edge.post(path, "accept", digest=offer.digest, reply_id="r1")).status_code == 404
    assert (await edge.post(offer.transfer_id, "accept", digest=evil, reply_id="r1")).status_code == 409
    assert (await edge.post(offer.transfer_id, "decline", reply_id=evil, reason=evil)).status_code == 200
    history = await store.history(TICKET)
    assert history is not None
    assert history.ledger.past[-1].reason == evil.strip()


async def test_the_interface_is_described(edge: Edge) -> None:
    paths = (await edge.client.get("/openapi.json")).json()["paths"]
    assert {f"/v1/transfers/{{transfer}}/{action}" for action in ("accept", "decline", "return")} <= set(paths)


def test_a_key_file_holds_hashes_only_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    first, second = add_key(path, "internal", "Ada"), add_key(path, "nightwatch", "Nora")
    assert path.stat().st_mode & 0o077 == 0
    assert first not in path.read_text()
    keys = read_keys(path)
    found = keys.find(second)
    assert found is not None
    assert (found.principal, found.actor, len(keys)) == ("nightwatch", "Nora", 2)
    assert keys.find("something else") is None


def test_a_key_file_that_is_none_says_so(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with pytest.raises(CannotRun, match="ticket_handoff key"):
        read_keys(path)
    path.write_text('{"keys": [{"principal": "internal"}]}')
    with pytest.raises(CannotRun, match="sha256"):
        read_keys(path)
    assert len(read_keys(None)) == 0


# -- what people ask


async def accepted(edge: Edge, store: Store, queue: str = "desk", principal: str = "internal") -> OfferMade:
    offer = await offered(store, queue)
    given = await edge.post(offer.transfer_id, "accept", principal, digest=offer.digest, reply_id="r0")
    assert given.status_code == 200
    return offer


async def test_an_escalation_asks_the_router_and_the_owner_stays(edge: Edge, store: Store) -> None:
    await accepted(edge, store)
    asked = await edge.tell(TICKET, "escalate", reply_id="e1", question="Is the board broken?")
    assert (asked.status_code, asked.json()["status"]) == (200, "requested")
    again = await edge.tell(TICKET, "escalate", reply_id="e1", question="Is the board broken?")
    assert (again.json()["transfer_id"], again.json()["repeated"]) == (asked.json()["transfer_id"], True)
    other = await edge.tell(TICKET, "escalate", reply_id="e2", question="Now?")
    assert (other.status_code, other.json()["state"]) == (409, "requested")
    shown = (await edge.ask(f"tickets/{TICKET}/context")).json()
    assert shown["owner_queue"] == "desk"
    assert shown["transfer"]["cause"] == "escalation"
    assert shown["package"]["question"] == "Is the board broken?"
    assert (await edge.ask("transfers")).json()[0]["transfer_id"] == asked.json()["transfer_id"]


@pytest.mark.parametrize("question", ["", "   "])
async def test_an_escalation_without_a_question_names_the_gap(edge: Edge, store: Store, question: str) -> None:
    await accepted(edge, store)
    asked = await edge.tell(TICKET, "escalate", reply_id="e1", question=question)
    assert (asked.status_code, asked.json()["missing"]) == (422, ["question"])
    assert (await edge.owners()).json()["owner"]["queue"] == "desk"


async def test_a_partner_moves_its_own_tickets_only(edge: Edge, store: Store) -> None:
    offer = await accepted(edge, store, "night-desk", "nightwatch")
    for what, said in (
        ("escalate", {"question": "Who?"}),
        ("context", {"part": "steps", "items": ["Rebooted"]}),
    ):
        refused = await edge.tell(TICKET, what, "otherwise", reply_id=f"{what}-1", **said)
        nowhere = await edge.tell("servicenow:prod:NONE", what, "otherwise", reply_id=f"{what}-1", **said)
        assert (refused.status_code, nowhere.status_code) == (404, 404)
        assert refused.json()["detail"].replace(TICKET, "servicenow:prod:NONE") == nowhere.json()["detail"]
        allowed = await edge.tell(TICKET, what, "nightwatch", reply_id=f"{what}-2", **said)
        assert allowed.status_code == 200
    shown = (await edge.ask(f"tickets/{TICKET}/context", "nightwatch")).json()
    assert (shown["owner"], shown["package"]["steps"][0]["text"]) == (offer.receiver, "Rebooted")
    assert "requester" not in shown["package"]["view"]


async def test_a_queue_is_shown_by_time_left_page_by_page(edge: Edge, store: Store) -> None:
    tickets = [f"servicenow:prod:INC{number}" for number in range(1, 6)]
    offers = await written(store, tickets)
    for offer in offers.values():
        await edge.post(offer.transfer_id, "accept", digest=offer.digest, reply_id="r0")
    async with store.transaction() as connection:
        for number, ticket in enumerate(tickets[:4]):
            due = at(60 - 10 * number)
            await connection.execute(
                text("UPDATE tickets SET due_at = :due WHERE ticket = :ticket"), {"due": due, "ticket": ticket}
            )
    found = []
    after: dict[str, Any] = {}
    for _ in range(3):
        page = (await edge.ask("queues/desk/tickets", limit=2, **after)).json()
        assert (page["open"], page["title"]) == (5, "Queue")
        found += [each["ticket"] for each in page["tickets"]]
        after = {"after": page["next"]}
    assert found == [*reversed(tickets[:4]), tickets[4]], "the nearest deadline first, without one last"
    assert page["next"] is None
    assert page["tickets"][0]["title"] == "Laptop does not start"
    assert (await edge.ask("queues/desk/tickets", after="nonsense")).status_code == 422


@pytest.mark.parametrize(
    "due", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-W10-1T09:00:00Z", "20260302T090000Z", "now"]
)
async def test_a_place_in_a_queue_that_was_not_given_out_is_refused(edge: Edge, due: str) -> None:
    answer = await edge.ask("queues/desk/tickets", after=f"{due}|{TICKET}")
    assert answer.status_code in (200, 422), "no fault of the database"


async def test_a_partner_asks_for_its_own_queues_only(edge: Edge, store: Store) -> None:
    await accepted(edge, store, "night-desk", "nightwatch")
    for page in ("queues/night-desk/tickets", "queues/night-desk/brief"):
        mine = (await edge.ask(page, "nightwatch")).json()
        assert [each["title"] for each in mine["tickets"]] == ["Laptop does not start"]
        assert (await edge.ask(page, "otherwise")).status_code == 404
        assert (await edge.ask(page.replace("night-desk", "nowhere"), "otherwise")).status_code == 404
    for page in ("owners", f"tickets/{TICKET}/timeline"):
        assert (await edge.ask(page, "nightwatch")).status_code == 404
    assert (await edge.ask("transfers", "otherwise")).json() == []
    assert (await edge.ask("transfers", "otherwise", queue="night-desk")).status_code == 404


async def test_a_transfer_shows_the_package_to_whom_it_was_offered(edge: Edge, store: Store) -> None:
    offer = await offered(store, "night-desk")
    assert [each["transfer_id"] for each in (await edge.ask("transfers", "nightwatch")).json()] == [offer.transfer_id]
    for principal in ("nightwatch", "internal"):
        shown = (await edge.ask(f"transfers/{offer.transfer_id}", principal)).json()
        (attempt,) = shown["attempts"]
        assert attempt["digest"] == shown["digest"] == offer.digest
        assert attempt["package"]["view"]["title"] == "Laptop does not start"
        assert shown["acknowledge_by"] == "2026-03-02T09:10:00Z"
    assert (await edge.ask(f"transfers/{offer.transfer_id}", "otherwise")).status_code == 404
    assert (await edge.ask(f"transfers/{'f' * 32}", "otherwise")).status_code == 404
    await edge.post(offer.transfer_id, "decline", "nightwatch", reply_id="r1", reason="no hands")
    after = (await edge.ask(f"transfers/{offer.transfer_id}", "nightwatch")).json()
    assert [each["outcome"] for each in after["attempts"]] == ["declined"]
    assert after["status"] == "declined", "where it goes next is none of its business"


async def test_who_owns_how_much(edge: Edge, store: Store) -> None:
    offer = await accepted(edge, store)
    loads = {(each["owner"], each["queue"]): each["open"] for each in (await edge.ask("owners")).json()}
    assert loads[offer.receiver, "desk"] == 1
    assert sorted(owner for owner, queue in loads if queue == "desk") == ["Ada", "Bea", "Cleo"]
    assert sum(loads.values()) == 1


async def test_a_timeline_tells_every_step_with_its_reason(edge: Edge, store: Store) -> None:
    offer = await accepted(edge, store)
    await edge.tell(TICKET, "context", reply_id="a1", part="steps", items=["Changed the battery"])
    lines = (await edge.ask(f"tickets/{TICKET}/timeline")).json()
    texts = [line["text"] for line in lines]
    assert [line["by"] for line in lines[:4]] == ["intake", "classifier", "router", "sla-monitor"]
    assert "decision 1 (first): to desk by all: because" in texts
    assert any(text.startswith("accepted by Ada in desk") for text in texts)
    assert texts[-1] == "Ada added to the package: steps"
    assert any(text.startswith(f"owned by {offer.receiver} in desk") for text in texts)
    assert (await edge.ask("tickets/servicenow:prod:NONE/timeline")).status_code == 404


async def test_a_brief_holds_what_the_closing_sent_on_and_what_is_left(edge: Edge, store: Store) -> None:
    tickets = [f"servicenow:prod:INC{number}" for number in range(1, 4)]
    await written(store, tickets[:1])
    offers = await written(store, tickets[1:])
    for offer in offers.values():
        await edge.post(offer.transfer_id, "accept", digest=offer.digest, reply_id="r0")
    brief = (await edge.ask("queues/desk/brief")).json()
    assert [line["ticket"] for line in brief["tickets"]] == tickets[1:]
    assert brief["tickets"][0]["tried"] == ["Queue: accepted"]


async def test_who_asks_too_often_is_told_when_to_go_on(store: Store, engine: AsyncEngine, tmp_path: Path) -> None:
    edge = Edge(store, engine, tmp_path / "keys.json", Agreements([published()]), rate="2/minute")
    statuses = [(await edge.ask("transfers")).status_code for _ in range(2)]
    late = await edge.ask("transfers")
    assert (statuses, late.status_code) == ([200, 200], 429)
    assert 0 < int(late.headers["retry-after"]) <= 61
    assert (await edge.ask("transfers", "nightwatch")).status_code == 200
    await edge.client.aclose()


async def test_an_expired_token_and_another_partners_let_nobody_in(
    store: Store, engine: AsyncEngine, tmp_path: Path
) -> None:
    issuer = tmp_path / "jwks.json"
    issuer.write_text(json.dumps(keys_of(KEY)))
    tokens = Tokens(IssuerKeys(str(issuer)), ISSUER, "relaydesk", lambda: NOW)
    edge = Edge(store, engine, tmp_path / "keys.json", Agreements([published()]), tokens)
    offer = await offered(store, "night-desk")
    edge.tokens |= {
        "late": token(exp=NOW - 60),
        "other": token(scope="relaydesk.partner.otherwise"),
        "night": token(name="Nora"),
    }
    answers = {
        who: (await edge.post(offer.transfer_id, "accept", who, digest=offer.digest, reply_id="r1"))
        for who in ("late", "other", "night")
    }
    assert {who: answer.status_code for who, answer in answers.items()} == {"late": 401, "other": 404, "night": 200}
    assert "expired" in answers["late"].json()["detail"]
    history = await store.history(TICKET)
    assert history is not None
    assert history.ledger.past[-1].actor == "Nora", "the actor is the token's"
    await edge.client.aclose()


async def test_a_reply_from_the_past_is_told_what_became_of_it(edge: Edge, store: Store) -> None:
    offer = await offered(store, "night-desk")
    await edge.post(offer.transfer_id, "decline", "nightwatch", reply_id="r1", reason="no hands")
    late = await edge.post(offer.transfer_id, "accept", "nightwatch", digest=offer.digest, reply_id="r2")
    assert (late.status_code, late.json()["state"]) == (409, "requested")
    assert "declined" in late.json()["detail"]


async def test_who_keeps_a_ticket_of_a_queue_that_is_gone_sees_no_more_than_its_contract_allows(
    store: Store, engine: AsyncEngine, tmp_path: Path
) -> None:
    edge = Edge(store, engine, tmp_path / "keys.json", Agreements([published(), without_the_night_desk(9)]))
    offer = await offered(store, "night-desk")
    given = ReplyGiven(
        reply=Reply(action="accept", transfer_id=offer.transfer_id, digest=offer.digest, reply_id="r0"),
        principal="nightwatch",
        actor="Nora",
        at=at(8),
    )
    await Replies(store, Agreements([published()]), lambda rows: None).give(given)
    shown = await edge.ask(f"tickets/{TICKET}/context", "nightwatch")
    assert shown.status_code == 200
    assert "Rosa" not in shown.text, "nor comments, evidence and articles"
    assert shown.json()["package"]["articles"] == []
    await edge.client.aclose()


async def test_a_status_is_told_where_the_contract_allows_it(store: Store, engine: AsyncEngine, tmp_path: Path) -> None:
    await accepted(
        Edge(store, engine, tmp_path / "first.json", Agreements([published()])), store, "night-desk", "nightwatch"
    )
    edge = Edge(store, engine, tmp_path / "keys.json", Agreements([published(), narrowed(10, "title")]))
    for principal, status in (("internal", "new"), ("nightwatch", "open")):
        (queued,) = (await edge.ask("queues/night-desk/tickets", principal)).json()["tickets"]
        shown = (await edge.ask(f"tickets/{TICKET}/context", principal)).json()
        assert (queued["status"], shown["status"]) == (status, status)
    await edge.client.aclose()


async def test_a_partner_is_not_told_what_others_are_asked_about_its_ticket(edge: Edge, store: Store) -> None:
    await accepted(edge, store, "night-desk", "nightwatch")
    await edge.tell(TICKET, "escalate", reply_id="e1", question="Did Nightwatch break it?")
    inside = (await edge.ask(f"tickets/{TICKET}/context")).json()
    theirs = await edge.ask(f"tickets/{TICKET}/context", "nightwatch")
    assert inside["package"]["question"] == "Did Nightwatch break it?"
    assert (theirs.json()["package"]["question"], theirs.json()["transfer"]) == ("", None)
    assert "break it" not in theirs.text
