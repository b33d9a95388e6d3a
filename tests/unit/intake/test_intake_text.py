"""People's text: readable, safe, and the same however it is sent."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticket_intake.domain import language
from ticket_intake.domain.text import LINE_LIMIT, TEXT_LIMIT, clean, line, of_html, readable


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Hello <b>world</b></p><p>again</p>", "Hello world\n\nagain"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("a<div>b</div>c", "a\nb\nc"),
        ("<ul><li>red</li><li>blue</li></ul>", "- red\n- blue"),
        ("<table><tr><td>Host</td><td>db1</td></tr><tr><td>Rack</td><td>7</td></tr></table>", "Host  db1\nRack  7"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("see <a href='https://kb.example/42'>the article</a>", "see the article <https://kb.example/42>"),
        ("<a href='https://kb.example/'>https://kb.example/</a>", "https://kb.example/"),
        ("<a href='javascript:alert(1)'>click</a>", "click"),
        ("<script>alert(1)</script><style>p{}</style>visible", "visible"),
        ("<img src='https://track.example/p.gif' width=1 height=1>text", "text"),
        ("<div style='display: none'>preheader</div>shown", "shown"),
        ("caf&eacute; &amp; 2 &lt; 3&nbsp;!", "café & 2 < 3 !"),
        ("<p>kept<!-- comment --> too", "kept too"),
        ("<p>unclosed <b>bold", "unclosed bold"),
        ("", ""),
    ],
)
def test_html_becomes_text(html: str, text: str) -> None:
    assert readable(html, "html").text == text


def test_what_a_mail_quotes_is_apart() -> None:
    html = (
        "<div>It still fails.</div><div class='gmail_quote'>On Mon, 2 Mar 2026 at 09:00, Desk &lt;d@corp.example&gt; "
        "wrote:<br><blockquote>Have you tried again?<br>Regards</blockquote></div>"
    )
    found = readable(html, "html")
    assert found.text == "It still fails."
    assert found.quoted


@pytest.mark.parametrize(
    "text",
    [
        "FYI\n\n---------- Forwarded message ---------\nFrom: Ann <a@x.example>\nDate: Mon\nSubject: P\n\nIt smokes.",
        "> only a quote\n> and nothing beside it",
        "run this:\n> ls -l\nand it fails",
    ],
)
def test_a_forwarded_message_and_a_bare_quote_stay(text: str) -> None:
    assert readable(text, "plain").text == text


def test_a_signature_is_left_out() -> None:
    assert readable("Broken since today.\n\n-- \nAnn Lee\n+1 555 0100", "plain").text == "Broken since today."
    assert readable("<p>Broken.</p><div class='gmail_signature'>Ann Lee</div>", "html").text == "Broken."


def test_control_and_bidirectional_characters_go_and_unicode_is_composed() -> None:
    assert clean("a\x00b\x1b[31mc\u202ed\u2066e\ufefff\u200bg") == "ab[31mcdefg"
    assert clean("Cafe\u0301\r\nx\ry") == "Café\nx\ny"
    assert clean("lone \ud800 half") == "lone  half"
    assert line("  two\n lines\t here ") == "two lines here"
    assert clean("👩\u200d💻") == "👩\u200d💻"


def test_text_beyond_the_limit_is_cut_with_a_mark() -> None:
    found = readable("word " * TEXT_LIMIT, "plain")
    assert found.cut
    assert len(found.text) < TEXT_LIMIT + 100
    assert found.text.endswith("[… cut here; the inbound topic keeps the whole message]")
    assert readable("x" * TEXT_LIMIT, "plain").cut is False
    assert len(line("y" * 2_000)) == LINE_LIMIT


def test_text_that_only_looks_a_little_like_html_stays() -> None:
    assert readable("if a <b and b> c: see <servername>", "detect").text == "if a <b and b> c: see <servername>"
    assert readable("x < y and <p>y</p>", "detect").text == "x < y and\n\ny"


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("Look: <img src='https://track.example/p.gif?u=7' width='1'>", "Look:"),
        ("<script>alert(1)</script>It smokes", "It smokes"),
        ("<blockquote>old</blockquote>", "> old"),
        ("one <code>two</code>", "one two"),
        ("the <script> tag is blocked, please help", "the <script> tag is blocked, please help"),
    ],
)
def test_html_is_known_by_what_people_do_not_write(sent: str, text: str) -> None:
    assert readable(sent, "detect").text == text


def test_jiras_document_format() -> None:
    def node(kind: str, *content: object) -> dict[str, object]:
        return {"type": kind, "content": list(content)}

    def words(text: str) -> dict[str, object]:
        return {"type": "text", "text": text}

    mention = {"type": "mention", "attrs": {"text": "@Ann"}}
    items = node("bulletList", node("listItem", node("paragraph", words("one"))))
    document = node("doc", node("paragraph", words("Hello "), mention), items)
    assert readable(document, "detect").text == "Hello @Ann\n- one"
    folded = {**node("expand", node("paragraph", words("inside"))), "attrs": {"title": "Log"}}
    assert readable(node("doc", folded), "detect").text == "Log\ninside"


@given(st.text(max_size=400))
def test_no_text_breaks_it_and_what_comes_out_is_clean(text: str) -> None:
    for form in ("plain", "html", "detect"):
        found = readable(text, form).text
        assert clean(found) == found
        found.encode()


@pytest.mark.parametrize(
    "html", ["<div>" * 60_000, "<b>" * 60_000, "<blockquote>" * 20_000 + "x", "<" * 90_000, "&" * 90_000]
)
def test_hostile_html_takes_bounded_time(html: str) -> None:
    start = time.process_time()
    readable(html, "html")
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("title", "text", "code"),
    [
        ("VPN", "Hallo, seit heute Morgen kann ich mich nicht mehr am VPN anmelden.", "de"),
        ("", "My laptop does not start since the update last night.", "en"),
        ("", "Bonjour, je n'arrive plus à imprimer depuis ce matin.", "fr"),
        ("", "No puedo acceder a mi correo electrónico desde ayer.", "es"),
        ("", "De printer op de tweede verdieping doet het niet meer sinds vanochtend.", "nl"),
        ("", "パソコンが起動しません", "ja"),
        ("VPN down", "", None),
        ("", "https://grafana.corp.example/d/abc?orgId=1 db01.corp.example 10.0.0.1:5432", None),
        ("", "", None),
    ],
)
def test_language(title: str, text: str, code: str | None) -> None:
    assert language.detect(title, text) == code
    assert language.detect(title, text) == code


def test_nested_quotes_keep_their_depth() -> None:
    assert of_html("<blockquote>a<blockquote>b</blockquote></blockquote>").strip() == "> a\n> \n> > b"
