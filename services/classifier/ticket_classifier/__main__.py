"""`python -m ticket_classifier`: the commands, and the composition root of the classifier."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
from aiokafka.errors import KafkaError
from rich.console import Console

from ticket_classifier.adapters.articles import ArticlesError, read_articles, taking
from ticket_classifier.adapters.labelled import LabelledError
from ticket_classifier.adapters.models import Models, read_model
from ticket_classifier.adapters.recorded import NoRecordError, Recorded, broker, directory
from ticket_classifier.adapters.tickets import DEFAULT_AGREEMENT, TicketsError, default_agreement, read_tickets
from ticket_classifier.commands import coverage, learning, modelling
from ticket_classifier.domain.again import differences
from ticket_classifier.domain.decide import asked_of, classified, decide
from ticket_classifier.domain.knowledge import Knowledge
from ticket_classifier.domain.opinion import ModelError
from ticket_classifier.domain.policy import Policy
from ticket_classifier.explain import explanation
from ticket_classifier.handlers import INPUTS, ClassifierWork
from ticket_contracts import topics
from ticket_contracts.agreement import digest
from ticket_contracts.agreement.reading import AgreementError, read_agreement
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import ce_id

_SHOWN = 20
"""Differences that `redecide` prints."""
_MODELS = Path(os.environ["RELAYDESK_MODELS"]) if os.environ.get("RELAYDESK_MODELS") else None


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 1: a decision differs, or the agreement cannot be signed; 2: wrong usage, or a file or broker is not
    there."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except AgreementError as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, TicketsError, LabelledError, ModelError, ArticlesError, NoRecordError) as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ticket_classifier",
        description="Decides what a ticket is: category, kind, impact, urgency, priority, tier, flags; and says when "
        "it does not know. All that it decides by stands in the agreement.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser(
        "serve",
        help="run the service",
        description="Reads tickets.normalized and tickets.feedback, writes tickets.classified. Settings come from the "
        "environment (RELAYDESK_BOOTSTRAP, RELAYDESK_TOPIC_PREFIX, …). Text models that the agreement names are read "
        "from the directories in RELAYDESK_MODELS.",
    )
    serve.set_defaults(run=_serve)

    classify = commands.add_parser(
        "classify",
        help="classify tickets from a file and say why",
        description="Shows what would be decided about a ticket and the words that lead there. FILE holds text (the "
        'first line is the title), an object such as {"title": "VPN drops", "text": "…", "source": "jira"}, or '
        "several, one a line.",
    )
    classify.add_argument("file", metavar="FILE", help="the file, or - for standard input")
    classify.add_argument(
        "--agreement",
        type=Path,
        metavar="YAML",
        help=f"the agreement to decide by (default: {DEFAULT_AGREEMENT} here or above)",
    )
    classify.add_argument(
        "--model", type=Path, metavar="DIR", help="ask this text model too, as if the agreement named it"
    )
    classify.add_argument("--articles", type=Path, metavar="FILE", help="suggest articles from this file, JSON Lines")
    classify.add_argument(
        "--json", action="store_true", help="print each decision as the event it would be, one a line"
    )
    classify.set_defaults(run=_classify)

    modelling.add_commands(commands)
    coverage.add_command(commands)
    learning.add_command(commands)

    again = commands.add_parser(
        "redecide",
        help="make published decisions again, and compare",
        description="Makes every classification again from the ticket, the corrections and the agreement it names. "
        'The last line is {"checked": n, "different": m}; the exit code is 1 when any differs.',
    )
    whence = again.add_mutually_exclusive_group()
    whence.add_argument("--out", type=Path, metavar="DIR", help="a directory that `make replay FEED=… OUT=DIR` wrote")
    whence.add_argument(
        "--bootstrap",
        default=os.environ.get("RELAYDESK_BOOTSTRAP", "127.0.0.1:9092"),
        help="a desk's broker (RELAYDESK_BOOTSTRAP; %(default)s)",
    )
    again.add_argument(
        "--topic-prefix",
        default=os.environ.get("RELAYDESK_TOPIC_PREFIX", ""),
        help="of the desk's topics on the broker",
    )
    again.add_argument(
        "--models",
        type=Path,
        metavar="DIR",
        default=_MODELS,
        help="where the text models are that the decisions name (RELAYDESK_MODELS)",
    )
    again.add_argument("--json", action="store_true", help="print each difference as JSON")
    again.set_defaults(run=_redecide)
    return parser


def _serve(_: argparse.Namespace) -> int:
    from ticket_classifier.adapters.measure import ClassifierMetrics
    from ticket_runtime.service import ServiceSpec, run_service  # the other commands need none of its web server
    from ticket_runtime.settings import RuntimeSettings

    models, knowledge = Models(_MODELS), Knowledge()
    spec = ServiceSpec(
        name="classifier",
        inputs=INPUTS,
        make_work=lambda context: ClassifierWork(context.agreements, models, knowledge),
        stateful=True,
        observe=ClassifierMetrics,
        tables={topics.ARTICLES: partial(taking, knowledge)},
    )
    return run_service(spec, RuntimeSettings())


def _classify(options: argparse.Namespace) -> int:
    content = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    tickets = read_tickets(content, "standard input" if options.file == "-" else options.file)
    path = options.agreement or default_agreement()
    agreement = read_agreement(path.read_text(encoding="utf-8"), str(path))
    policy = Policy(digest(agreement), agreement)
    model = None if options.model is None else read_model(options.model)[0]
    knowledge = Knowledge([] if options.articles is None else read_articles(options.articles))
    console = Console(highlight=False)
    for ticket in tickets:
        asked = asked_of(ticket)
        verdict = decide(asked, [], policy, model)
        suggested = knowledge.suggest(asked.title, asked.text, verdict.outcome.category, policy.related)
        event = classified(
            verdict,
            ticket=ticket.ticket,
            at=ticket.decided_for,
            versions=(ticket.ticket_version, 1),
            agreement_version=policy.version,
            normalized=ce_id(ticket),
            corrections=[],
            model=model,
            articles={suggestion.article.article_id: suggestion.article.title for suggestion in suggested},
        )
        if options.json:
            print(msgspec.json.encode(event).decode())
        else:
            console.print(explanation(ticket, event, agreement, policy.titles, suggested))
    return 0


def _redecide(options: argparse.Namespace) -> int:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it has to say arrives here as an exception
    try:
        read = broker(options.bootstrap, options.topic_prefix) if options.out is None else directory(options.out)
        recorded = Recorded(read)
    except KafkaError as error:
        print(
            f"no answer from the broker at {options.bootstrap} ({error}); name a directory with --out", file=sys.stderr
        )
        return 2
    except (msgspec.DecodeError, ValueError) as error:
        print(f"this is no record of a desk: {error}", file=sys.stderr)
        return 2
    policies: dict[str, Policy] = {}
    models = Models(options.models)
    different = 0
    for event in recorded.decisions:
        found = _differences(event, recorded, policies, models)
        different += bool(found)
        if found and different <= _SHOWN:
            print(_difference(event, found, as_json=options.json))
    print(msgspec.json.encode({"checked": len(recorded.decisions), "different": different}).decode())
    return 1 if different else 0


def _differences(
    event: TicketClassified, recorded: Recorded, policies: dict[str, Policy], models: Models
) -> dict[str, tuple[object, object]]:
    published = recorded.agreements.get(event.agreement_version)
    if published is None:
        return {"agreement_version": (event.agreement_version, "this version of the agreement is not there")}
    policy = policies.get(published.version)
    if policy is None:
        policy = policies[published.version] = Policy(published.version, published.agreement)
    ticket = recorded.tickets.get((event.ticket, event.ticket_version))
    return differences(event, ticket, recorded.feedback.get, policy, models)


def _difference(event: TicketClassified, found: dict[str, tuple[object, object]], *, as_json: bool) -> str:
    if as_json:
        differs = {name: {"published": was, "again": now} for name, (was, now) in found.items()}
        return msgspec.json.encode(
            {"ticket": event.ticket, "classification_version": event.classification_version, "differs": differs}
        ).decode()
    parts = "; ".join(f"{name} was {was}, now {now}" for name, (was, now) in found.items())
    return f"{event.ticket} classification {event.classification_version}: {parts}"


if __name__ == "__main__":
    raise SystemExit(main())
