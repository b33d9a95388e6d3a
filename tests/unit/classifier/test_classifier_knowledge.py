"""Articles: which are suggested, what a desk does with odd ones, and the audit of coverage."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ticket_classifier.__main__ import main
from ticket_classifier.adapters.articles import ArticlesError, read_articles, taking
from ticket_classifier.domain.coverage import coverage
from ticket_classifier.domain.knowledge import MOST, Knowledge
from ticket_classifier.handlers import ClassifierWork
from ticket_contracts import topics
from ticket_contracts.classification import TicketClassified
from ticket_contracts.knowledge import Article
from ticket_runtime.agreements import Agreements
from ticket_runtime.testing import FakeOutputs
from unit.classifier.classifier_desk import agreement, normalized, published, record
from unit.classifier.test_classifier_command import AGREEMENT

ARTICLES = Path(__file__).with_name("articles.jsonl")


@pytest.fixture
def knowledge() -> Knowledge:
    return Knowledge(read_articles(ARTICLES))


def suggested(knowledge: Knowledge, title: str, text: str = "", category: str | None = None) -> list[str]:
    found = knowledge.suggest(title, text, category, lambda one, other: one == other)
    return [suggestion.article.article_id for suggestion in found]


@pytest.mark.parametrize(
    ("title", "text", "best"),
    [
        ("pw", "hi I have forgotten my passwords, how do I reset them?", "KB-1"),
        ("Cannot connect", "anyconnect: certificate is not valid", "KB-2"),
        ("Printer", "paper jams in tray 2", "KB-3"),
        ("Neuer Drucker", "Wie kann ich den Drucker verbinden?", "KB-4"),
        ("New phone", "how do I move the authenticator?", "KB-5"),
        ("J'ai oublié mon mot de passe", "", "KB-8"),
    ],
)
def test_the_article_that_helps_is_the_first(title: str, text: str, best: str, knowledge: Knowledge) -> None:
    found = suggested(knowledge, title, text)
    assert found[0] == best
    assert len(found) <= MOST


@pytest.mark.parametrize("title", ["", "🎉", "SAP posting period closed", "please help, not working", "Q" * 9_999])
def test_nothing_is_suggested_where_nothing_fits(title: str, knowledge: Knowledge) -> None:
    assert suggested(knowledge, title) == []
    assert suggested(Knowledge(), "paper jam") == []


def test_an_article_under_the_tickets_category_goes_before_one_of_another(knowledge: Knowledge) -> None:
    knowledge.put(Article(article_id="A", title="Phone account", text="the account of a phone", category="vpn"))
    knowledge.put(Article(article_id="B", title="Phone account", text="the account of a phone", category="mfa"))
    assert suggested(knowledge, "phone account", category="mfa")[0] == "B"
    assert suggested(knowledge, "phone account", category="vpn")[0] == "A"


def test_quoted_history_asks_for_no_article(knowledge: Knowledge) -> None:
    assert "KB-3" not in suggested(knowledge, "VPN certificate", "still not valid\n> paper jam in the tray")


def test_what_is_taken_back_is_suggested_no_longer(knowledge: Knowledge) -> None:
    taking(knowledge, b"KB-3", None)
    assert "KB-3" not in suggested(knowledge, "paper jam")
    taking(knowledge, b"unknown", None)


@pytest.mark.parametrize("value", [b"", b"{", b'{"title": 1}', b"\xff", b"[]"])
def test_an_article_that_cannot_be_read_changes_nothing(value: bytes, knowledge: Knowledge) -> None:
    before = dict(knowledge.articles)
    taking(knowledge, b"KB-3", value)
    assert knowledge.articles == before
    with pytest.raises(ValueError, match=r"not a relaydesk\.knowledge\.article"):
        knowledge.take(b"KB-3", value)


def test_a_classification_carries_the_best_articles() -> None:
    found = Knowledge([Article(article_id="KB-V", title="VPN drops", category="vpn")])
    work, out = ClassifierWork(Agreements([published(agreement())]), knowledge=found), FakeOutputs()
    work.handle(record(normalized("VPN drops again")), out)
    [event] = out.events(topics.CLASSIFIED)
    assert isinstance(event, TicketClassified)
    assert (event.articles, event.article_titles) == (["KB-V"], {"KB-V": "VPN drops"})


def test_coverage_counts_tickets_with_and_without_an_article() -> None:
    filed = [Article(article_id="1", title="x", category="vpn"), Article(article_id="2", title="x", category="odd")]
    judged = [("vpn", True), ("vpn", False), ("printing", False), ("printing", False), (None, False)]
    found = coverage(judged, filed, agreement())
    assert (found.tickets, found.with_article, found.share, found.unfiled) == (5, 1, 0.2, ["2"])
    rows = {row.category: (row.articles, row.tickets, row.with_article) for row in found.categories}
    assert rows == {"printing": (0, 2, 0), "vpn": (1, 2, 1), None: (0, 1, 0)}
    assert found.categories[0].category == "printing", "the most tickets without an article first"


def tickets(path: Path) -> str:
    said = [("Paper jam", "printer tray"), ("VPN", "certificate not valid"), ("SAP", "posting period"), ("hm", "")]
    path.write_bytes(b"\n".join(msgspec.json.encode({"title": title, "text": text}) for title, text in said))
    return str(path)


def test_the_audit_is_a_table_a_page_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["coverage", "--input", tickets(tmp_path / "t.jsonl"), "--articles", str(ARTICLES)]
    arguments += ["--agreement", AGREEMENT, "--html", str(tmp_path / "page.html")]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    for part in ("2 of 4 tickets (50.0%)", "Printers and scanners", "none", "for people to triage", "KB-9"):
        assert part in said
    page = (tmp_path / "page.html").read_text()
    assert "<svg" in page
    assert "SAP" in page
    assert "http" not in page.replace("http-equiv", ""), "the page asks nobody for anything"
    assert main([*arguments, "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["with_article"] == 2


def test_a_page_shows_hostile_titles_as_text(tmp_path: Path) -> None:
    from ticket_classifier.commands.pages import Bar, Section, page

    made = page("<script>", "&", ["<b>"], [Section("<i>", [Bar("<img>", 1, 2, "<a>")], head=["<u>"], rows=[["<s>"]])])
    assert not {"<script>", "<b>", "<i>", "<img>", "<a>", "<u>", "<s>"} & set(made.replace("><", "> <").split())
    assert "&lt;script&gt;" in made


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no article"),
        (b"{", ":1: not an article"),
        (b'{"article_id": "1", "title": "x"}\n{"title": "x"}', ":2: not an article"),
        (b"\x1f\x8bx", "compressed, but not whole"),
    ],
)
def test_what_holds_no_articles_is_said(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(ArticlesError, match=said):
        read_articles(tmp_path / "a.jsonl")
    assert main(["coverage", "--input", tickets(tmp_path / "t"), "--articles", str(tmp_path / "a.jsonl"),
                 "--agreement", AGREEMENT]) == 2  # fmt: skip
