"""How a week goes: when tickets come, how they move, and what disturbs it. All of it follows from the seed and the
week's end."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from relaydesk_replay.feed import Feed, FeedItem
from relaydesk_replay.week.scenarios import APPS, ASKS, FOLLOW_UPS, OUTAGE, PEOPLE, SCENARIOS, SITES, Scenario
from relaydesk_replay.week.tools import Snapshot, body

A_FIXED_END = datetime(2026, 3, 9, tzinfo=UTC)
TICKETS = 640
_OUTAGE_TICKETS = 90
_MIX = {"servicenow": 34, "jira": 20, "zendesk": 20, "zammad": 18, "generic": 8}
_LANGUAGES = {"en": 50, "de": 32, "fr": 9, "es": 9}
_AGENTS = ["M. Okafor", "S. Brandt", "T. Ilves", "R. Cruz"]
_ALERTS = {
    "CoreSwitchDown": "core-sw-1 does not answer",
    "LinkDown": "uplink 2 is down",
    "ErpUnreachable": "probe fails",
}
_BROKEN = (b'{"ticket": {"title": "Toner "empty"", }', b"<html>502 Bad Gateway</html>", b'{"hello": "world"}')


def make_week(seed: int = 1, end: datetime = A_FIXED_END) -> Feed:
    """The seven days before `end` (UTC). Same seed and end: the same bytes."""
    draw = random.Random(seed)
    begin = end - timedelta(days=7)
    items: list[FeedItem] = []
    numbers = dict.fromkeys([*_MIX, "alertmanager"], 100)
    for at in _arrivals(draw, begin, end):
        tool = _choice(draw, _MIX)
        items += _life(draw, tool, _number(numbers, tool), _scenario(draw), at, end)
    items += _outage(draw, numbers, begin, end)
    items += [
        FeedItem(begin + timedelta(hours=31 + 40 * n), "zammad", f"broken-{n}", sent) for n, sent in enumerate(_BROKEN)
    ]
    items += [  # tools deliver some events twice, minutes later
        FeedItem(min(item.at + timedelta(minutes=draw.randint(1, 30)), end), item.source, item.thread, item.body)
        for item in items
        if draw.random() < 0.015
    ]
    items.sort(key=lambda item: item.at)
    return Feed(f"a generated week (seed {seed})", items)


def _arrivals(draw: random.Random, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Tickets by the hour: office hours, quiet nights, a Monday rush."""
    hours = [begin + timedelta(hours=n) for n in range(int((end - begin).total_seconds() // 3600))]
    weights = [_intensity(hour) for hour in hours]
    for hour in sorted(draw.choices(hours, weights, k=TICKETS)):
        yield hour + timedelta(seconds=draw.randint(0, 3599))


def _intensity(hour: datetime) -> float:
    local = hour + timedelta(hours=1)
    if local.weekday() >= 5:
        return 0.5 if 9 <= local.hour < 18 else 0.12
    if not 7 <= local.hour < 19:
        return 0.35 if 5 <= local.hour < 23 else 0.1
    rush = 2.4 if local.weekday() == 0 and local.hour < 11 else 1.0
    return rush * (4 if 8 <= local.hour < 12 else 3)


def _life(
    draw: random.Random,
    tool: str,
    number: int,
    scenario: Scenario,
    at: datetime,
    end: datetime,
    solved: datetime | None = None,
) -> Iterator[FeedItem]:
    """One ticket from its creation to where it stands at the end. solved: when its cause ends, for tickets that share
    one."""
    language = _choice(draw, {name: weight for name, weight in _LANGUAGES.items() if name in scenario.texts})
    title, text = draw.choice(scenario.texts[language])
    filled = {"app": draw.choice(APPS), "n": str(draw.randint(2, 40)), "site": draw.choice(SITES)}
    title, text = title.format(**filled), _told(draw, text.format(**filled), language)
    now = Snapshot(
        number,
        0,
        "new",
        title,
        text,
        language,
        scenario.kind,
        scenario.impact,
        scenario.urgency,
        draw.choice(PEOPLE),
        filled["site"],
        at,
        at,
        html=tool in ("zendesk", "zammad", "servicenow") and draw.random() < 0.4,
        topic=scenario.topic,
    )
    for snapshot in _changes(draw, now, scenario, solved):
        if snapshot.at >= end:
            return
        yield FeedItem(snapshot.at, tool, f"{tool}-{number}", body(tool, snapshot))


def _changes(draw: random.Random, now: Snapshot, scenario: Scenario, solved: datetime | None) -> Iterator[Snapshot]:
    yield now
    now = now.later(_working(now.at + _after(draw, 25)), status="open")
    yield now
    if draw.random() < 0.3:
        now = now.later(now.at + _after(draw, 30), comment=(now.requester, True, draw.choice(FOLLOW_UPS[now.language])))
        yield now
    if draw.random() < 0.25:
        now = now.later(
            now.at + _after(draw, 20), comment=(draw.choice(_AGENTS), False, draw.choice(ASKS[now.language]))
        )
        yield now
        now = now.later(now.at + timedelta(minutes=1), status="pending")
        yield now
        late = _after(draw, 60 if draw.random() < 0.7 else 1_800)  # some customers answer the day after, or later
        now = now.later(now.at + late, comment=(now.requester, True, draw.choice(FOLLOW_UPS[now.language])))
        yield now
        now = now.later(now.at + timedelta(minutes=2), status="open")
        yield now
    slow = 4 if draw.random() < 0.12 else 1
    done = _working(now.at + _after(draw, scenario.minutes * slow)) if solved is None else solved + _after(draw, 20)
    now = now.later(max(done, now.at + timedelta(minutes=3)), status="resolved")
    yield now
    if draw.random() < 0.07:
        now = now.later(
            now.at + _after(draw, 240), comment=(now.requester, True, draw.choice(FOLLOW_UPS[now.language]))
        )
        yield now
        now = now.later(now.at + timedelta(minutes=5), status="open")
        yield now
        now = now.later(_working(now.at + _after(draw, scenario.minutes)), status="resolved")
        yield now
    yield now.later(now.at + timedelta(hours=30), status="closed")


def _outage(draw: random.Random, numbers: dict[str, int], begin: datetime, end: datetime) -> Iterator[FeedItem]:
    """Wednesday, 10:20 in Berlin: the alerts first, then everybody writes in, then it is over."""
    days = (begin + timedelta(days=n) for n in range(8))
    wednesday = next(day for day in days if day.weekday() == 2).replace(hour=9, minute=20, second=0, microsecond=0)
    over = wednesday + timedelta(minutes=95)
    for name, text in (
        ("CoreSwitchDown", "core-sw-1 does not answer"),
        ("LinkDown", "uplink 2 is down"),
        ("ErpUnreachable", "probe fails"),
    ):
        firing = Snapshot(
            _number(numbers, "alertmanager"),
            0,
            "new",
            name,
            text,
            "en",
            "incident",
            "high",
            "high",
            "monitoring",
            "Berlin",
            wednesday,
            wednesday,
        )
        thread = f"alertmanager-{firing.number}"
        yield FeedItem(firing.at, "alertmanager", thread, body("alertmanager", firing))
        resolved = firing.later(over, status="resolved")
        if over < end:
            yield FeedItem(over, "alertmanager", thread, body("alertmanager", resolved))
    for _ in range(_OUTAGE_TICKETS):
        at = wednesday + timedelta(seconds=int(draw.triangular(120, 3_600, 600)))
        tool = _choice(draw, _MIX)
        if at < end:
            yield from _life(draw, tool, _number(numbers, tool), OUTAGE, at, end, solved=over)


def _scenario(draw: random.Random) -> Scenario:
    return draw.choices(SCENARIOS, [scenario.weight for scenario in SCENARIOS])[0]


def _told(draw: random.Random, text: str, language: str) -> str:
    """As people send it: now and then a forwarded thread, or nothing at all."""
    kind = draw.random()
    if kind < 0.04:
        return ""
    if kind < 0.12:
        word = {"de": "Von", "fr": "De", "es": "De"}.get(language, "From")
        forwarded = f"-----Original Message-----\n{word}: {draw.choice(PEOPLE)}\n> the printer is fine\n> bye"
        return f"{text}\n\n{forwarded}"
    return text


def _after(draw: random.Random, minutes: float) -> timedelta:
    """A time with that median, spread as waiting times are."""
    return timedelta(seconds=int(60 * minutes * math.exp(draw.gauss(0, 0.6))) + 5)


def _working(at: datetime) -> datetime:
    """Nobody of the company works at night: what would be done then is done in the morning."""
    local = at + timedelta(hours=1)
    if 7 <= local.hour < 20:
        return at
    morning = local.replace(hour=7, minute=local.minute, second=local.second)
    return (morning if local.hour < 7 else morning + timedelta(days=1)) - timedelta(hours=1)


def _choice(draw: random.Random, weights: dict[str, int]) -> str:
    return draw.choices(list(weights), list(weights.values()))[0]


def _number(numbers: dict[str, int], tool: str) -> int:
    numbers[tool] += 1
    return numbers[tool]
