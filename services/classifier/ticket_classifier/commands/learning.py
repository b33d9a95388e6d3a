"""`review`: what people's corrections say of the classifications, and of a candidate model."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from ticket_classifier.adapters.models import baselines
from ticket_classifier.adapters.recorded import all_feedback, decisions, reading
from ticket_classifier.commands.pages import Bar, Section, page
from ticket_classifier.domain.learning import Review, ShadowReview, review

_SHOWN = 15


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "review",
        help="what people's corrections say of the classifications",
        description="Accuracy by category and side from tickets.feedback, what is confused with what, drift against "
        "the training time, the categories to recalibrate, and how a candidate model would have done in the live one's "
        "place.",
    )
    whence = parser.add_mutually_exclusive_group(required=True)
    whence.add_argument("--out", type=Path, metavar="DIR", help="a directory that `make replay FEED=… OUT=DIR` wrote")
    whence.add_argument("--bootstrap", metavar="HOST:PORT", help="a desk's broker")
    parser.add_argument("--topic-prefix", default="", help="of the desk's topics on the broker")
    parser.add_argument(
        "--models",
        type=Path,
        metavar="DIR",
        default=os.environ.get("RELAYDESK_MODELS"),
        help="where the text models are, for the figures of their training (RELAYDESK_MODELS)",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the review as a page too")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    read = reading(options.out, options.bootstrap, options.topic_prefix)
    found = review(
        decisions(read), all_feedback(read), baselines(None if options.models is None else Path(options.models))
    )
    if options.html is not None:
        options.html.write_text(_page(found), encoding="utf-8")
    if options.json:
        said = {**msgspec.to_builtins(found), "recalibrate": found.recalibrate}
        print(msgspec.json.encode(said).decode())
    else:
        _show(found)
    return 0


def _lead(found: Review) -> str:
    silent = found.decisions - found.heard
    said = (
        f"{found.decisions:,} classifications: {found.confirmed:,} confirmed by people, {found.contested:,} contested, "
        f"{max(silent, 0):,} without a word."
    )
    if found.recalibrate:
        return f"{said} To recalibrate: {', '.join(found.recalibrate)}."
    return f"{said} No category is contested more often than its confidence allows."


def _show(found: Review) -> None:
    console = Console(highlight=False)
    console.print(_lead(found), style="bold")
    if found.ignored:
        console.print(f"{found.ignored:,} corrections are of classifications that are not here.", style="dim")
    table = _table("By category", ("category", "decisions", "mean confidence", "confirmed", "contested", "missed"))
    for row in found.categories[:_SHOWN]:
        style = "bold red" if row.recalibrate else ""
        table.add_row(
            row.category, f"{row.decisions:,}", f"{row.confidence:.0%}", f"{row.confirmed:,}", f"{row.contested:,}",
            f"{row.missed:,}", style=style,
        )  # fmt: skip
    console.print(table)
    if found.sides:
        table = _table("By side", ("side", "confirmed", "contested", "confirmed of those heard"))
        for side in found.sides:
            share = side.confirmed / (side.confirmed + side.contested)
            table.add_row(side.side, f"{side.confirmed:,}", f"{side.contested:,}", f"{share:.0%}")
        console.print(table)
    if found.confusion:
        table = _table("Confused", ("is", "said to be", "times"))
        for truth, called, count in found.confusion[:_SHOWN]:
            table.add_row(truth, called, f"{count:,}")
        console.print(table)
    table = _table("By month", ("month", "decisions", "left to people", "contested", "words known"))
    for period in found.periods:
        known = "–" if period.words is None else f"{period.words:.0%}"
        table.add_row(
            period.month, f"{period.decisions:,}", f"{period.abstained:.1%}", f"{period.contested:.1%}", known
        )
    console.print(table)
    for drift in found.drift:
        label, (then, now) = next(iter(drift.moved.items()))
        console.print(
            f"\nModel {drift.model[:8]}: {drift.state}. Stability index {drift.index:.2f} (0.1 watch, 0.25 shifted); "
            f"it knows {drift.words:.0%} of the words, {drift.words_then:.0%} at training; "
            f"{label} {then:.0%} → {now:.0%}."
        )
    for shadow in found.shadows:
        console.print("\n" + _shadow(shadow))


def _shadow(shadow: ShadowReview) -> str:
    said = (
        f"Candidate {shadow.candidate[:8]} agrees in {shadow.agreed:,} of {shadow.decisions:,} decisions. Of "
        f"{shadow.judged:,} that people spoke of it is right in {shadow.both + shadow.candidate_only:,}, what was "
        f"decided in {shadow.both + shadow.live_only:,}"
    )
    return f"{said} (alone right: the candidate {shadow.candidate_only:,}, what was decided {shadow.live_only:,})."


def _table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", header_style="dim", box=None)
    for heading in headings:
        words = heading in ("category", "side", "is", "said to be", "month")
        table.add_column(heading, justify="left" if words else "right")
    return table


def _page(found: Review) -> str:
    spoken_of = [row for row in found.categories if row.confirmed or row.contested]
    notes = [
        "People mostly write when something is wrong: the share confirmed is too dark, the share contested too bright.",
        *(_shadow(shadow) for shadow in found.shadows),
        *(
            f"Model {drift.model[:8]}: {drift.state}; it knows {drift.words:.0%} of the words, {drift.words_then:.0%} "
            f"at training; stability index {drift.index:.2f}."
            for drift in found.drift
        ),
    ]
    return page(
        "What people say of the classifications",
        _lead(found),
        notes,
        [
            Section(
                "Decisions that people spoke of",
                [Bar(row.category, row.confirmed, row.contested, f"{row.contested:,} contested") for row in spoken_of],
                ("confirmed", "contested"),
            ),
            Section(
                "By category",
                head=("category", "decisions", "mean confidence", "confirmed", "contested", "missed", "recalibrate"),
                rows=[
                    (
                        row.category,
                        f"{row.decisions:,}",
                        f"{row.confidence:.0%}",
                        f"{row.confirmed:,}",
                        f"{row.contested:,}",
                        f"{row.missed:,}",
                        "yes" if row.recalibrate else "",
                    )
                    for row in found.categories
                ],
                numbers=frozenset({1, 2, 3, 4, 5}),
            ),
            Section(
                "Confused",
                head=("is", "said to be", "times"),
                rows=[(truth, called, f"{count:,}") for truth, called, count in found.confusion],
                numbers=frozenset({2}),
            ),
        ],
    )
