"""Which articles of the knowledge base may help with a ticket: BM25 over their words, the title counting more.

Words are compared by their first letters (`reset`, `resetting`; `Drucker`, `Druckern`), which does for four languages
what a stemmer does for one. An article is suggested when a word of its title or two words of it stand in the ticket,
and when it is not far behind the best one; one that the knowledge base files under another category than the ticket's
counts less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ticket_classifier.domain.words import BODY, BREAK, fold, parts, split
from ticket_contracts.knowledge import Article

if TYPE_CHECKING:
    from bm25s import BM25

MOST: Final = 3
"""Articles that are suggested."""
_LETTERS: Final = 5
_TITLE: Final = 3
"""How often a word of the title counts."""
_MOST_ASKED: Final = 60
"""Different words of a ticket that are looked for, the first ones."""
_LOOKED_AT: Final = 30
"""Articles of the highest score, of which the best are chosen."""
_NOT_FAR_BEHIND: Final = 0.4
_OTHER_CATEGORY: Final = 0.5
_COMMON: Final = 0.5
"""The share of all articles above which a word says nothing."""
_FEW: Final = 8
"""With fewer articles than this no word is common."""
_EMPTY_WORDS: Final = """
the and for are was not you your can has have had with from this that what when how why who our out but all any my me
does did please hello thanks thank regards dear help issue problem since today still work working would could
der die das und ist nicht ein eine einen einem einer mit von auf bei fur dem den des sich auch noch seit wie was ich
wir sie mein meine bitte hallo danke guten tag gruss hilfe geht mehr kann konnen haben habe wird
les des une est pas que qui pour dans sur avec mon mes nous vous votre bonjour merci cordialement aide probleme depuis
plus peux pouvez suis ont ete cette comment
los las una del que por para con mis nos esta este como hola gracias saludos ayuda problema desde puedo pueden favor
tengo cuando
"""
_EMPTY: Final = frozenset(_EMPTY_WORDS.split())


class Suggestion(NamedTuple):
    """score: higher is better, of no unit. words: of the ticket that the article shares."""

    article: Article
    score: float
    words: list[str]


class Knowledge:
    """All articles as they stand now."""

    def __init__(self, articles: Iterable[Article] = ()) -> None:
        self.articles: dict[str, Article] = {}
        self._index: _Index | None = None
        for article in articles:
            self.put(article)

    def put(self, article: Article) -> None:
        self.articles[article.article_id] = article
        self._index = None

    def remove(self, article_id: str) -> None:
        self.articles.pop(article_id, None)
        self._index = None

    def take(self, key: bytes, value: bytes | None) -> None:
        """A record of `knowledge.articles`. Raises ValueError for what is no article."""
        if value is None:
            self.remove(key.decode(errors="replace"))
            return
        try:
            self.put(msgspec.json.decode(value, type=Article))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"not a {Article.TYPE}: {error}") from None

    def suggest(
        self, title: str, text: str, category: str | None, related: Callable[[str, str], bool]
    ) -> list[Suggestion]:
        """The best articles for a ticket, best first; none where there is nothing to go by. related: whether one of two
        categories lies in the other."""
        if not self.articles:
            return []
        if self._index is None:
            self._index = _Index(list(self.articles.values()))
        return self._index.suggest(_asked(title, text), category, related)


class _Index:
    def __init__(self, articles: list[Article]) -> None:
        from bm25s import BM25  # a desk without articles need not wait for it

        self._articles = articles
        self._titles = [frozenset(_stems(split(fold(article.title)))) for article in articles]
        bodies = [_stems(split(fold(article.text))) for article in articles]
        self._words = [title | set(body) for title, body in zip(self._titles, bodies, strict=True)]
        spread = Counter(word for words in self._words for word in words)
        most = len(articles) * _COMMON if len(articles) >= _FEW else len(articles)
        self._telling = frozenset(word for word, count in spread.items() if count <= most)
        self._ranks: BM25 | None = None
        if self._telling:
            self._ranks = BM25()
            self._ranks.index(
                [[*sorted(title) * _TITLE, *body] for title, body in zip(self._titles, bodies, strict=True)],
                show_progress=False,
            )

    def suggest(
        self, asked: dict[str, str], category: str | None, related: Callable[[str, str], bool]
    ) -> list[Suggestion]:
        """asked: stem -> the word that it was."""
        telling = [stem for stem in asked if stem in self._telling]
        if not telling or self._ranks is None:
            return []
        found = []
        scores = self._ranks.get_scores(telling)
        for place in (-scores).argsort(kind="stable")[:_LOOKED_AT].tolist():
            score = float(scores[place])
            if score <= 0:
                break
            article = self._articles[place]
            shared = [word for word in telling if word in self._words[place]]
            if len(shared) < 2 and not self._titles[place].intersection(shared):
                continue
            if article.category is not None and category is not None and not related(article.category, category):
                score *= _OTHER_CATEGORY
            found.append(Suggestion(article, round(score, 3), [asked[stem] for stem in shared]))
        found.sort(key=lambda one: (-one.score, one.article.article_id))
        return [one for one in found[:MOST] if one.score >= _NOT_FAR_BEHIND * found[0].score]


def _asked(title: str, text: str) -> dict[str, str]:
    """Stem -> the word that it was, of the first different ones."""
    found: dict[str, str] = {}
    for part in parts(title, text):
        if part.weight >= BODY:
            for word in part.words:
                for stem in _stems([word]):
                    found.setdefault(stem, word)
    return dict(list(found.items())[:_MOST_ASKED])


def _stems(words: Iterable[str]) -> list[str]:
    return [word[:_LETTERS] for word in words if word != BREAK and len(word) > 2 and word not in _EMPTY]
