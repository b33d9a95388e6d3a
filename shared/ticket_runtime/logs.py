"""Logs as JSON Lines on standard error, ours and the libraries' alike. A ticket's id may stand in them, its text
never."""

from __future__ import annotations

import logging
import sys

import structlog

DECISIONS = "ticket_runtime.decisions"
"""The logger of decisions: its messages are lines of JSON already."""
_NOISY = {"aiokafka": logging.ERROR, "uvicorn": logging.WARNING}
_SELDOM_SECONDS = 10.0


class Seldom(logging.Filter):
    """Of what a library says again and again from one place, one line in `_SELDOM_SECONDS`: while a broker is away its
    client would write a hundred in a second."""

    def __init__(self, library: str) -> None:
        super().__init__(library)
        self._said: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not super().filter(record):
            return True  # somebody else's
        place = record.pathname, record.lineno
        if record.created - self._said.get(place, 0.0) < _SELDOM_SECONDS:
            return False
        self._said[place] = record.created
        return True


def configure_logs(service: str, level: str) -> None:
    """To be called once, by the composition root. Every line names the service."""

    def name_service(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_service,
        # Without the variables of each frame: a ticket's text is among them.
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    handler.addFilter(Seldom("aiokafka"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    decisions = logging.getLogger(DECISIONS)
    plain = logging.StreamHandler(sys.stderr)
    plain.setFormatter(logging.Formatter("%(message)s"))
    decisions.handlers[:] = [plain]
    decisions.propagate = False
    for name, least in _NOISY.items():
        logging.getLogger(name).setLevel(max(least, root.level))


def logger(name: str) -> structlog.stdlib.BoundLogger:
    return structlog.stdlib.get_logger(name)
