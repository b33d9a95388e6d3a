"""What the knowledge base tells us: its articles."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Article(msgspec.Struct, frozen=True, kw_only=True):
    """An article; topic `knowledge.articles`, compacted, keyed by `article_id`. A record without a value takes it back.

    category: of the agreement's taxonomy, that the article is about. url: where people read it.
    """

    TYPE: ClassVar[str] = "relaydesk.knowledge.article.v1"

    article_id: str
    title: str
    text: str = ""
    category: str | None = None
    language: str | None = None
    url: str | None = None
