"""Intake's composition root and command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from ticket_contracts import topics
from ticket_contracts.cloudevents import instant_text, parse_instant
from ticket_intake import documents
from ticket_intake.adapters.edge import Edge, EdgeLimits, kafka_producer
from ticket_intake.adapters.measure import IntakeMetrics
from ticket_intake.adapters.serving import run_edge
from ticket_intake.documents import Document, DocumentError
from ticket_intake.domain import instants, language, merge
from ticket_intake.domain.errors import NotUnderstood
from ticket_intake.domain.mapping import ALWAYS, Source, Step
from ticket_intake.domain.paths import MISSING
from ticket_intake.domain.update import LEAVES
from ticket_intake.handlers import IntakeWork, decode
from ticket_runtime.agreements import Agreements
from ticket_runtime.handling import DeadLetterLimit
from ticket_runtime.service import ServiceSpec, run_service
from ticket_runtime.settings import RuntimeSettings

_DESCRIPTION = """\
Relaydesk's intake decides what a source's message means: the normalized ticket.

A source is a document (YAML): who may send, where each field stands, what the tool's words mean, what orders its
updates. Those of the well-known tools ship ready; a site's own is a file, mostly of a few lines over `extends:`."""

_EXAMPLES = """\
examples:
  python -m ticket_intake sources list
  python -m ticket_intake sources show servicenow > ours.yaml
  python -m ticket_intake sources check ours.yaml
  python -m ticket_intake normalize --source jira issue.json --explain
  cat event.json | python -m ticket_intake normalize --source ours.yaml --json
  RELAYDESK_HTTP_PORT=8600 python -m ticket_intake edge & python -m ticket_intake serve"""


class Settings(RuntimeSettings):
    """intake_documents: files of source documents, separated by commas; each takes the place of the shipped one of its
    name, or adds a source. Which sources are open says the agreement."""

    intake_documents: str = ""

    def files(self) -> list[str]:
        return [name.strip() for name in self.intake_documents.split(",") if name.strip()]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ticket_intake",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser(
        "serve",
        help="run the tasks: from what came in to the normalized tickets",
        description="Runs the tasks until SIGTERM. Settings are RELAYDESK_* variables; RELAYDESK_INTAKE_DOCUMENTS "
        "names files of source documents, separated by commas, beside those that ship; the agreement says which "
        "sources are open. Its HTTP port answers /healthz, /readyz and /metrics only.",
    )

    commands.add_parser(
        "edge",
        help="run the HTTP edge, to which tools send",
        description="Runs the HTTP edge until SIGTERM, under the same settings. It stays while the broker is away and "
        "answers 503, where `serve` ends with its transactions and is started again.",
    )

    normalize = commands.add_parser(
        "normalize",
        help="read messages offline and print the tickets they mean",
        description="Reads messages (files, one JSON body each, or one a line in *.jsonl; standard input without any) "
        "in order, as intake would, and prints the ticket after each. Exits 1 when one is not understood.",
    )
    normalize.add_argument("--source", required=True, metavar="NAME", help="one that ships ready, or a file")
    normalize.add_argument("files", nargs="*", metavar="FILE", type=Path)
    normalize.add_argument("--explain", action="store_true", help="say which path gave which field, and what is unread")
    normalize.add_argument(
        "--received", metavar="INSTANT", type=_instant, help="when they were received (RFC 3339); now if not given"
    )
    normalize.add_argument("--json", action="store_true", help="one JSON object a line")

    sources = commands.add_parser("sources", help="list, show and check source documents")
    actions = sources.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, about in (
        ("list", "the sources that ship ready"),
        ("show", "print a shipped document, to start one's own from"),
        ("check", "validate documents; names file and line of each fault"),
    ):
        action = actions.add_parser(name, help=about, description=about)
        if name != "list":
            action.add_argument("documents", nargs="+", metavar="NAME" if name == "show" else "FILE")
        action.add_argument("--json", action="store_true", help="as JSON")

    options = parser.parse_args(arguments)
    try:
        if options.command == "serve":
            return serve()
        if options.command == "edge":
            return edge()
        if options.command == "normalize":
            return _normalize(options)
        return {"list": _list, "show": _show, "check": _check}[options.action](options)
    except DocumentError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no instant; write it as 2026-03-02T09:00:00Z") from error


def _documents(settings: Settings) -> dict[str, Document]:
    known = {name: documents.load(name) for name in documents.shipped()}
    for file in settings.files():
        document = documents.load(file)
        known[document.source] = document
    return known


def edge() -> int:
    """Runs the HTTP edge; returns the exit code."""
    settings, limits = Settings(), EdgeLimits()
    served = Edge(
        _documents(settings),
        os.environ,
        make_producer=lambda: kafka_producer(settings.bootstrap, limits.send_seconds),
        topic_prefix=settings.topic_prefix,
        limits=limits,
    )
    return run_edge(served, settings)


def serve() -> int:
    """Runs the tasks; returns the exit code."""
    settings = Settings()
    compiled = {name: document.compile() for name, document in _documents(settings).items()}
    language.load()

    def inputs(agreements: Agreements) -> list[str]:
        """A source that any version names is read, with or without a document: what comes there ends somewhere."""
        sources = sorted({source for published in agreements.every() for source in published.agreement.sources})
        return [*map(topics.inbound, sources), topics.KEYED, topics.ERASED]

    spec = ServiceSpec(
        name="intake",
        inputs=inputs,
        make_work=lambda context: IntakeWork(compiled, language.detect, context.agreements),
        observe=IntakeMetrics,
        # What tools send is not in our hand: garbage is dead-lettered, however much of it comes.
        dead_letters=DeadLetterLimit(consecutive=sys.maxsize, ratio=2.0),
    )
    return run_service(spec, settings)


# --- normalize


def _normalize(options: argparse.Namespace) -> int:
    source = documents.load(options.source).compile()
    received = instants.of_datetime(options.received or datetime.now(UTC))
    states: dict[str, merge.State] = {}
    failed = False
    for name, raw in _messages(options.files):
        try:
            for shown in _read(source, raw, received, states, options.explain):
                _print_message(name, shown, as_json=options.json)
        except NotUnderstood as error:
            failed = True
            if options.json:
                print(json.dumps({"message": name, "not_understood": {"path": error.path, "why": error.why}}))
            else:
                print(f"{name}: not understood: {error.path}: {error.why}", file=sys.stderr)
    return 1 if failed else 0


def _messages(files: list[Path]) -> Iterator[tuple[str, bytes]]:
    if not files:
        yield "(standard input)", sys.stdin.buffer.read()
    for file in files:
        try:
            raw = file.read_bytes()
        except OSError as error:
            raise DocumentError(f"{file}: cannot be read: {error.strerror}") from error
        if file.suffix == ".jsonl":
            yield from ((f"{file}:{n}", line) for n, line in enumerate(raw.splitlines(), 1) if line.strip())
        else:
            yield str(file), raw


def _read(
    source: Source, raw: bytes, received: int, states: dict[str, merge.State], explain: bool
) -> Iterator[dict[str, Any]]:
    body = decode(raw)
    for part, ticket in enumerate(source.tickets(body)):
        steps: list[Step] = []
        update = source.read(body, raw, part, None, received, steps)
        state = states.get(ticket, merge.EMPTY)
        merged = merge.merge(state, update, language.detect)
        shown: dict[str, Any] = {"duplicate": merged.duplicate}
        if merged.state is not None:
            states[ticket] = merged.state
        event = merge.normalized(
            states[ticket],
            merged,
            ticket=ticket,
            source=source.name,
            instance=update.instance,
            external_id=update.external_id,
            delivery="offline",
            received=received,
            version_is_time=source.version_is_time,
        )
        shown["ticket"] = msgspec.to_builtins(event)
        if explain:
            shown["fields"] = [
                {"field": step.leaf, "path": step.path, "found": step.found, "became": _became(step)}
                for step in steps
                if step.became is not MISSING
            ]
            said = {step.leaf for step in steps if step.became is not MISSING}
            shown["not_said"] = [leaf for leaf in source.leaves() if leaf not in said]
            shown["unread"] = source.unread(body, part)
        yield shown


def _became(step: Step) -> Any:
    if LEAVES.get(step.leaf) == "instant" and isinstance(step.became, int):
        return instant_text(instants.to_datetime(step.became))
    return step.became


def _print_message(name: str, shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode({"message": name, **shown}).decode())
        return
    ticket = shown["ticket"]
    kind = f"changes nothing ({shown['duplicate']})" if shown["duplicate"] else ticket["lifecycle"]
    print(f"{name}: {kind}")
    for field, value in _lines_of(ticket):
        print(f"  {field:20} {_short(value)}")
    if "fields" in shown:
        _print_explanation(shown)
    print()


def _lines_of(ticket: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields of a ticket that say something: one a line, comments and attachments one each."""
    for field, value in ticket.items():
        if field in ("delivery", "decided_for") or value in (None, "", []):
            continue
        if isinstance(value, dict):
            yield from ((f"{field}.{inner}", said) for inner, said in value.items() if said not in (None, False))
        elif field == "comments":
            for comment in value:
                about = f"({comment['author_role']}, {comment['visibility']})"
                yield "comment", f"{comment['at']} {comment['author'] or 'somebody'} {about}: {comment['text']}"
        elif field == "attachments":
            yield from (("attachment", f"{each['name']} {each['url'] or ''}".rstrip()) for each in value)
        elif isinstance(value, list):
            yield field, ", ".join(map(str, value))
        else:
            yield field, value


def _print_explanation(shown: dict[str, Any]) -> None:
    rows = [
        (step["field"], _short(step["became"], 44), _from(step["path"], step["found"], step["became"]))
        for step in shown["fields"]
    ]
    widths = [max([len(row[column]) for row in rows] + [6]) for column in (0, 1)]
    print(f"\n  {'field':{widths[0]}}  {'became':{widths[1]}}  from")
    for field, became, source in rows:
        print(f"  {field:{widths[0]}}  {became:{widths[1]}}  {source}")
    for what, names in (("not in the message, so left as it is", "not_said"), ("left unread", "unread")):
        words = ", ".join(shown[names]) or "nothing"
        print(
            textwrap.fill(words, 118, initial_indent=f"\n  {what}: ", subsequent_indent="    ", break_on_hyphens=False)
        )


def _from(path: str, found: Any, became: Any) -> str:
    """The path, and what stood there where that is something else."""
    if path == ALWAYS:
        return "the document: always so"
    return path if found == became else f"{path} = {_short(found, 60)}"


def _short(value: Any, most: int = 160) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = text.replace("\n", "\\n")
    return text if len(text) <= most else f"{text[: most - 3]}..."


# --- sources


def _list(options: argparse.Namespace) -> int:
    found = [documents.load(name) for name in documents.shipped()]
    if options.json:
        rows = [{"source": d.source, "title": d.title, "topic": topics.inbound(d.source)} for d in found]
        print(json.dumps(rows))
        return 0
    for document in found:
        schemes = ", ".join(dict.fromkeys(scheme.scheme for scheme in document.authentication))
        print(f"{document.source:18} {document.title:32} {schemes}")
    return 0


def _show(options: argparse.Namespace) -> int:
    for name in options.documents:
        if name not in documents.shipped():
            raise DocumentError(f"{name}: not one that ships ready; there are {', '.join(documents.shipped())}")
        document = documents.load(name)
        text = (resources.files("ticket_intake") / "sources" / f"{document.source}.yaml").read_text(encoding="utf-8")
        print(document.model_dump_json() if options.json else text)
    return 0


def _check(options: argparse.Namespace) -> int:
    faults: list[str] = []
    checked: list[Document] = []
    for name in options.documents:
        try:
            document = documents.load(name)
            document.compile()
            checked.append(document)
        except DocumentError as error:
            faults.extend(str(error).splitlines())
    if options.json:
        print(json.dumps({"checked": [d.source for d in checked], "faults": faults}))
    else:
        for document in checked:
            print(f"{document.source}: {len(document.fields)} fields, {len(document.comments)} kinds of comments: fine")
        for fault in faults:
            print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
