"""`train`, `evaluate`: a text model from a customer's own labelled tickets, and how good it is on others."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from ticket_classifier.adapters.labelled import Labelled, LabelledError, read_labelled
from ticket_classifier.adapters.models import Source, read_model, write_model
from ticket_classifier.adapters.tickets import default_agreement, plain_ticket
from ticket_classifier.domain.decide import asked_of, decide
from ticket_classifier.domain.figures import Figures, confusion, figures
from ticket_classifier.domain.policy import Policy
from ticket_classifier.domain.words import fold
from ticket_contracts.agreement import digest
from ticket_contracts.agreement.reading import read_agreement

_BATCH = 1_000
_FEWEST = 10
"""Tickets of a label: with fewer nothing can be said about how well it is told."""
_CONFUSED = 6
_WORST = 10
_SHOWN = 90
NOBODY = "-"
"""The label of a ticket that nobody could tell: to leave it to people is right."""


def add_commands(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a text model from labelled tickets",
        description="Learns which words speak for which label, and writes a model: a directory of model.json and "
        "model.npz. Needs scikit-learn (pip install 'relaydesk-classifier[train]'); a minute for 40,000 tickets. "
        "The figures that it prints are of tickets that were held out in turn.",
    )
    _labelled(train)
    train.add_argument("--output", type=Path, required=True, metavar="DIR", help="the directory of the new model")
    train.set_defaults(run=_train)

    evaluate = commands.add_parser(
        "evaluate",
        help="ask a model, or the rules, about labelled tickets and compare",
        description="Asks a model about every ticket. Prints what it confuses, accuracy over coverage, and as the last "
        "line JSON: n, accuracy, macro_f1, ece, coverage, abstained. Accuracy and macro-F1 are of the best label of "
        "every ticket, abstained or not; `abstained` counts the tickets that would be left to the rules and to people. "
        "Labels that the model does not know count as wrong. Without --model the agreement's rules are asked; there "
        "the label - is a ticket that should be left to people.",
    )
    evaluate.add_argument("--model", type=Path, metavar="DIR", help="the model; absent: the agreement's rules")
    evaluate.add_argument("--agreement", type=Path, metavar="YAML", help="whose rules (default: the default agreement)")
    _labelled(evaluate)
    evaluate.add_argument("--title", metavar="COLUMN", help="the column of the tickets' titles, where they have one")
    evaluate.add_argument("--by", metavar="COLUMN", help="a column by whose values the figures are shown too")
    evaluate.set_defaults(run=_evaluate)


def _labelled(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input", type=Path, required=True, metavar="FILE", help="CSV or JSON Lines, compressed by gzip or not"
    )
    parser.add_argument("--text", required=True, metavar="COLUMN", help="the column of the tickets' text")
    parser.add_argument("--label", required=True, metavar="COLUMN", help="the column of their label")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line's JSON")


def _read(options: argparse.Namespace, more: list[str]) -> Labelled:
    found = read_labelled(options.input, options.text, options.label, more)
    if found.unlabelled:
        print(f"{options.input}: {found.unlabelled} rows without a label are left out", file=sys.stderr)
    return found


def _train(options: argparse.Namespace) -> int:
    try:
        from ticket_classifier.training import train
    except ImportError as error:
        print(f"training needs scikit-learn ({error}): pip install 'relaydesk-classifier[train]'", file=sys.stderr)
        return 2
    found = _read(options, [])
    _refuse_labels(found.labels, options)
    began = time.perf_counter()
    source = Source(options.input.name, found.sha256, options.text, options.label, len(found.texts))
    try:
        trained = train(found.texts, found.labels, source)
    except ValueError as error:
        raise LabelledError(f"{options.input}: {error}") from None
    write_model(options.output, trained.manifest, trained.arrays)
    seconds = time.perf_counter() - began
    held_out = trained.manifest.figures
    if not options.json:
        console = Console(highlight=False)
        console.print(_figures_table(held_out, f"Held out in turn, {trained.manifest.folds} parts"))
        thresholds = trained.manifest.thresholds
        console.print(
            f"Abstains below {thresholds.confidence:.0%} confidence, or where it knows less than "
            f"{thresholds.words:.0%} of the words or {thresholds.pairs:.0%} of the pairs of neighbours: on "
            f"{held_out.abstained_share:.1%} here."
        )
        size = sum(file.stat().st_size for file in options.output.iterdir())
        console.print(f"{options.output}: model {trained.manifest.digest}, {size / 1000:.0f} kB, in {seconds:.0f} s")
        console.print(
            "Name the digest in the agreement as classification.candidate, and later as classification.model."
        )
    print(msgspec.json.encode({"model": trained.manifest.digest, **msgspec.to_builtins(held_out)}).decode())
    return 0


def _refuse_labels(labels: list[str], options: argparse.Namespace) -> None:
    """Raises LabelledError for labels that nothing can be learned from."""
    counted = Counter(labels)
    where = f"{options.input}, {options.label!r}"
    if len(counted) < 2:
        raise LabelledError(f"{where}: every ticket has the label {labels[0]!r}; a model tells two or more apart")
    alike: dict[str, str] = {}
    for label in counted:
        if (other := alike.setdefault(" ".join(fold(label).split()), label)) != label:
            raise LabelledError(f"{where}: {other!r} and {label!r} are one label written twice: write them alike")
    if len(counted) > len(labels) / 2:
        raise LabelledError(
            f"{where}: {len(counted)} labels for {len(labels)} tickets: is this the column of the label?"
        )
    rare = [f"{label!r} ({count})" for label, count in counted.items() if count < _FEWEST]
    if rare:
        raise LabelledError(
            f"{where}: fewer than {_FEWEST} tickets have the label {', '.join(sorted(rare)[:10])}"
            f"{' …' if len(rare) > 10 else ''}: put them under a wider label, or leave these rows out"
        )


def _evaluate(options: argparse.Namespace) -> int:
    more = [name for name in (options.title, options.by) if name is not None]
    found = _read(options, more)
    titles = found.more[options.title] if options.title else [""] * len(found.texts)
    tickets = list(zip(titles, found.texts, strict=True))
    if options.model is None:
        path = options.agreement or default_agreement()
        judged = _by_rules(tickets, path)
        who = path.name
    else:
        judged = _by_model(tickets, found.labels, options.model)
        who = str(options.model)
    held = _figures(found.labels, judged)
    if not options.json:
        console = Console(highlight=False)
        console.print(_figures_table(held, f"{who} on {options.input.name}"))
        if options.by:
            console.print(_by(found.more[options.by], found.labels, judged, options.by))
        console.print(_curve(held))
        console.print(_confused(found.labels, judged.said))
        console.print(_worst(tickets, found.labels, judged))
    print(msgspec.json.encode(held).decode())
    return 0


class _Judged(NamedTuple):
    """A ticket each. why: the words that led there."""

    said: list[str]
    confidence: list[float]
    abstains: list[bool]
    why: list[str]


def _by_model(tickets: list[tuple[str, str]], labels: list[str], directory: Path) -> _Judged:
    model, _ = read_model(directory)
    unknown = Counter(label for label in labels if label not in model.labels)
    if unknown:
        print(
            f"{unknown.total()} tickets have labels that the model does not know, so count as wrong: "
            f"{', '.join(f'{label!r} ({count})' for label, count in unknown.most_common(5))}"
            f"{' …' if len(unknown) > 5 else ''}",
            file=sys.stderr,
        )
    judged = _Judged([], [], [], [])
    below = model.thresholds.confidence
    for first in range(0, len(tickets), _BATCH):
        for opinion in model.judge(tickets[first : first + _BATCH]):
            judged.said.append(opinion.label)
            judged.confidence.append(opinion.confidence)
            judged.abstains.append(opinion.abstains(below))
            judged.why.append(", ".join(term for term, weight in opinion.terms.items() if weight > 0))
    return judged


def _by_rules(tickets: list[tuple[str, str]], path: Path) -> _Judged:
    """By the agreement's rules alone. What they leave to people is said to be `-`."""
    agreement = read_agreement(path.read_text(encoding="utf-8"), str(path))
    policy = Policy(digest(agreement), agreement)
    judged = _Judged([], [], [], [])
    for title, text in tickets:
        verdict = decide(asked_of(plain_ticket(title, text)), [], policy)
        category = verdict.outcome.category
        judged.said.append(NOBODY if verdict.outcome.abstained or category is None else category)
        judged.confidence.append(verdict.confidence)
        judged.abstains.append(verdict.outcome.abstained)
        why = [term for judgement in verdict.evidence if judgement.field == "category" for term in judgement.terms]
        judged.why.append(", ".join(why))
    return judged


def _figures(labels: list[str], judged: _Judged) -> Figures:
    return figures(labels, judged.said, judged.confidence, judged.abstains)


def _by(values: list[str], labels: list[str], judged: _Judged, name: str) -> Table:
    table = Table(title=f"\nBy {name}", title_justify="left", header_style="dim", box=None)
    for heading in (name, "tickets", "right", "left to people", "wrong"):
        table.add_column(heading, justify="left" if heading == name else "right")
    for value in sorted(set(values)):
        mine = [place for place, found in enumerate(values) if found == value]
        right = sum(judged.said[place] == labels[place] for place in mine)
        left = sum(judged.abstains[place] and judged.said[place] != labels[place] for place in mine)
        shares = (f"{count / len(mine):.1%}" for count in (right, left, len(mine) - right - left))
        table.add_row(value, f"{len(mine):,}", *shares)
    return table


def _worst(tickets: list[tuple[str, str]], labels: list[str], judged: _Judged) -> Table:
    """The surest of the wrong ones first."""
    table = Table(title=f"\nThe {_WORST} worst mistakes", title_justify="left", header_style="dim", box=None)
    for heading in ("is", "said to be", "sure", "because of", "ticket"):
        table.add_column(heading, justify="right" if heading == "sure" else "left", overflow="fold")
    wrong = [place for place, label in enumerate(labels) if judged.said[place] != label]
    for place in sorted(wrong, key=lambda place: (judged.abstains[place], -judged.confidence[place]))[:_WORST]:
        said = f"({judged.said[place]})" if judged.abstains[place] else judged.said[place]
        shown = " ".join(" ".join(tickets[place]).split())
        table.add_row(
            labels[place],
            said,
            f"{judged.confidence[place]:.0%}",
            judged.why[place][:_SHOWN],
            shown[:_SHOWN] + (" …" if len(shown) > _SHOWN else ""),
        )
    return table


def _figures_table(held: Figures, title: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="dim", box=None)
    table.add_column("label")
    for heading in ("tickets", "precision", "recall"):
        table.add_column(heading, justify="right")
    for label, one in sorted(held.labels.items(), key=lambda item: -item[1].tickets):
        table.add_row(label, f"{one.tickets:,}", f"{one.precision:.1%}", f"{one.recall:.1%}")
    table.add_row("all", f"{held.n:,}", f"accuracy {held.accuracy:.1%}", f"macro-F1 {held.macro_f1:.1%}", style="bold")
    table.caption = f"confidence is off by {held.ece:.2%} on average · abstains on {held.abstained_share:.1%}" + (
        "" if held.accuracy_answered is None else f", {held.accuracy_answered:.1%} of the others are right"
    )
    table.caption_justify = "left"
    return table


def _curve(held: Figures) -> Table:
    table = Table(title="\nAccuracy on the surest tickets", title_justify="left", header_style="dim", box=None)
    for heading in ("share of the tickets", "accuracy", "confidence at least", ""):
        table.add_column(heading, justify="right" if heading else "left")
    lowest = min(point.accuracy for point in held.coverage)
    for point in held.coverage[1::2]:
        wide = round(16 * (point.accuracy - lowest) / max(1 - lowest, 1e-9))
        table.add_row(f"{point.coverage:.0%}", f"{point.accuracy:.1%}", f"{point.confidence:.1%}", "▇" * wide)
    return table


def _confused(truth: list[str], said: list[str]) -> Table:
    table = Table(title="\nMost confused", title_justify="left", header_style="dim", box=None)
    for heading in ("is", "said to be", "tickets"):
        table.add_column(heading, justify="right" if heading == "tickets" else "left")
    wrong = [(pair, count) for pair, count in confusion(truth, said).most_common() if pair[0] != pair[1]]
    for (label, called), count in wrong[:_CONFUSED]:
        table.add_row(label, called, f"{count:,}")
    return table
