"""The dead letters by HTTP, for the desk's own operators: what `python -m ticket_runtime dead-letters` does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated, Any

from aiokafka.errors import KafkaError
from fastapi import Depends, FastAPI, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from ticket_runtime.dead_letters import DeadLetter, DeadLetters, Decided, Filter, connect, shown, shown_whole
from ticket_runtime.http import Problem

PAGE = 100


class Chosen(BaseModel):
    """ids: as the list shows them. Or a filter, whose open ones are meant. dry_run: say what would be done."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Annotated[str, Field(max_length=300)]] = Field(default=[], max_length=1_000)
    topic: str | None = None
    group: str | None = None
    source: str | None = None
    reason_like: str | None = Field(default=None, min_length=1, max_length=200)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    dry_run: bool = False

    @model_validator(mode="after")
    def _one(self) -> Chosen:
        filtered = any((self.topic, self.group, self.source, self.reason_like, self.since, self.until))
        if bool(self.ids) == filtered:
            raise ValueError("name either `ids`, or a filter: topic, group, source, reason_like, since, until")
        return self


class Discarded(Chosen):
    """reason: why, for whoever asks later."""

    reason: str = Field(min_length=1, max_length=1_000)


def install(app: FastAPI, operator: Callable[..., Any], bootstrap: str, prefix: str) -> None:
    """Adds the routes. operator: a dependency that gives who asks, and raises Problem for anybody but the desk's own
    people."""
    admit = Depends(operator)
    one_at_a_time = asyncio.Lock()  # of this process: between processes the producers fence each other

    @app.get("/v1/dead-letters", tags=["dead letters"])
    async def listed(
        by: str = admit,
        topic: str | None = None,
        group: str | None = None,
        source: str | None = None,
        reason_like: str | None = None,
        since: AwareDatetime | None = None,
        until: AwareDatetime | None = None,
        resolved: bool = False,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = PAGE,
    ) -> dict[str, Any]:
        """Those that fit, without their messages. after: the `next` of the page before."""
        wanted = _filter(topic, group, source, reason_like, since, until, resolved=resolved)
        async with _connected(bootstrap, prefix) as letters:
            found = [letter for letter in await letters.all() if wanted.takes(letter)]
        start = next((n for n, letter in enumerate(found, 1) if letter.id == after), 0)
        page = found[start : start + limit]
        more = len(found) > start + limit
        return {"dead_letters": [shown(letter) for letter in page], "next": page[-1].id if more else None}

    @app.get("/v1/dead-letters/{dead_letter:path}", tags=["dead letters"])
    async def one(dead_letter: str, by: str = admit) -> dict[str, Any]:
        """One, with its headers, its message, and the path that failed."""
        async with _connected(bootstrap, prefix) as letters:
            (found,) = _named([dead_letter], await letters.all())
            try:
                return shown_whole(found, await letters.value(found))
            except LookupError as gone:
                raise Problem(404, str(gone)) from None

    @app.post("/v1/dead-letters/replay", tags=["dead letters"])
    async def replay(body: Chosen, by: str = admit) -> dict[str, Any]:
        """Has messages handled again, each by the service that it failed for alone, after the cause was mended."""
        async with one_at_a_time, _connected(bootstrap, prefix) as letters:
            return _told(await letters.replay(await _chosen(body, letters), by, dry_run=body.dry_run), body)

    @app.post("/v1/dead-letters/discard", tags=["dead letters"])
    async def discard(body: Discarded, by: str = admit) -> dict[str, Any]:
        """Puts messages aside for good; the reason and who gave it are recorded."""
        async with one_at_a_time, _connected(bootstrap, prefix) as letters:
            chosen = await _chosen(body, letters)
            return _told(await letters.discard(chosen, by, body.reason, dry_run=body.dry_run), body)


@contextlib.asynccontextmanager
async def _connected(bootstrap: str, prefix: str) -> AsyncIterator[DeadLetters]:
    """`connect`, whose faults are answers: 503 while the broker is away."""
    try:
        async with connect(bootstrap, prefix) as letters:
            yield letters
    except KafkaError as error:
        raise _away(error) from None


def _away(error: KafkaError) -> Problem:
    return Problem(503, f"the broker does not answer, or somebody decides at the same time; ask again ({error})")


def _filter(
    topic: str | None,
    group: str | None,
    source: str | None,
    reason: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    resolved: bool = False,
) -> Filter:
    return Filter(topic=topic, group=group, source=source, reason=reason, since=since, until=until, resolved=resolved)


async def _chosen(body: Chosen, letters: DeadLetters) -> list[DeadLetter]:
    found = await letters.all()
    if not body.ids:
        wanted = _filter(body.topic, body.group, body.source, body.reason_like, body.since, body.until)
        return [letter for letter in found if wanted.takes(letter)]
    chosen = _named(body.ids, found)
    done = [letter.id for letter in chosen if letter.resolution is not None]
    if done:
        raise Problem(409, f"something was decided already about {', '.join(done[:10])}", decided=done)
    return chosen


def _named(ids: list[str], found: list[DeadLetter]) -> list[DeadLetter]:
    by_id = {letter.id: letter for letter in found}
    unknown = [i for i in ids if i not in by_id]
    if unknown:
        raise Problem(404, f"there is no dead letter {', '.join(unknown[:10])}")
    return [by_id[i] for i in ids]


def _told(decided: Decided, body: Chosen) -> dict[str, Any]:
    return {"dry_run": body.dry_run, "dead_letters": [shown(letter, resolution) for letter, resolution in decided]}
