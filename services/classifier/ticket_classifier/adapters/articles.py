"""Articles from a file, and from `knowledge.articles` as they come."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec

from ticket_classifier.domain.knowledge import Knowledge
from ticket_contracts.knowledge import Article
from ticket_runtime.logs import logger

log = logger(__name__)


class ArticlesError(ValueError):
    """A file that holds no articles: names the line and what to write."""


def taking(knowledge: Knowledge, key: bytes, value: bytes | None) -> None:
    """Takes a record in. What is no article is logged and left out: advice must not stop a desk."""
    try:
        knowledge.take(key, value)
    except ValueError as error:
        log.error("an article cannot be read", article=key.decode(errors="replace")[:100], reason=str(error))


def read_articles(path: Path) -> list[Article]:
    """JSON Lines, compressed by gzip or not: an article a line, or a record of a topic, whose `data` counts. Raises
    ArticlesError, and OSError when the file is not there."""
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as error:
            raise ArticlesError(f"{path} is compressed, but not whole ({error}): copy it again") from None
    found = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            said: Any = msgspec.json.decode(line)
            if isinstance(said, dict) and isinstance(said.get("data"), dict):
                said = said["data"]
            found.append(msgspec.convert(said, Article))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ArticlesError(
                f'{path}:{number}: not an article ({error}); write {{"article_id": "…", "title": "…", "text": "…", '
                '"category": "…"}}, one a line'
            ) from None
    if not found:
        raise ArticlesError(f"{path} holds no article")
    return found
