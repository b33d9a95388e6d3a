"""People's text as it can be read and stored safely: from HTML, from Jira's document format, from plain mail.

HTML is parsed by selectolax (Lexbor); what comes out is text alone, so nothing in it can run. Quoted history is told
apart by quotequail.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import quotequail  # type: ignore[import-untyped]
from selectolax.lexbor import LexborHTMLParser, LexborNode

LINE_LIMIT: Final = 500
"""Characters of a short field: a title, a name, a group."""
TEXT_LIMIT: Final = 32_000
"""Characters of a ticket's text or of a comment. Beyond it text is cut with a mark; the inbound topic keeps it all."""
_HTML_LIMIT: Final = 100_000
"""Characters of HTML that are parsed: the parser's time grows with the square of the nesting."""
_DOCUMENT_DEPTH: Final = 50

# Control characters but newline and tab, bidirectional marks, zero-width and tag characters, lone surrogates. The
# joiners U+200C/D stay: scripts and emoji need them.
_UNWANTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n{3,}")
_TAG = re.compile(
    r"<(?:!doctype\b|/(?:script|style|iframe|svg)\s*>"
    r"|(?:html|body|head|div|p|br|span|table|ul|ol|li|a|b|i|u|em|strong|pre|code|blockquote|hr|img|font|h[1-6])"
    r"(?:\s*/?>|\s+[\w-]+\s*=))",
    re.I,
)
"""What says that a text is HTML. Of what hides its content the end must be there: people also write about scripts."""
_QUOTE_HINT = re.compile(
    r"^>|wrote:|schrieb|a écrit|escribi|ha scritto|schreef|napisał|^-{3,}|^\*?(?:From|Von|De|Da|Od) ?:", re.M
)


class Readable(NamedTuple):
    """text: what people wrote. cut: it was longer than the limit. quoted: history was left out."""

    text: str
    cut: bool
    quoted: bool


EMPTY = Readable("", False, False)


def line(text: str) -> str:
    """A short text in one line: NFC, without control characters, spaces folded, at most LINE_LIMIT characters."""
    if text.isascii() and text.isprintable() and len(text) <= LINE_LIMIT and "  " not in text:
        return text.strip()
    text = " ".join(clean(text).split())
    return text if len(text) <= LINE_LIMIT else text[: LINE_LIMIT - 1].rstrip() + "…"


def clean(text: str) -> str:
    """NFC, newlines as \\n, without control and bidirectional characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        text = text.replace("\u2028", "\n").replace("\u2029", "\n").replace("\x85", "\n")
        text = unicodedata.normalize("NFC", text)
    return _UNWANTED.sub("", text)


def readable(value: str | dict[str, Any], form: str) -> Readable:
    """A ticket's text or a comment. form: `plain`, `html`, or `detect` (HTML when it holds one of its common tags)."""
    if isinstance(value, dict):
        value, form = document(value), "plain"
    if not value or value.isspace():
        return EMPTY
    whole = len(value)
    if form == "html" or (form == "detect" and "<" in value and _TAG.search(value)):
        shown = of_html(value[:_HTML_LIMIT])
        longer = whole > _HTML_LIMIT
    else:
        shown = value[: 4 * TEXT_LIMIT]
        longer = whole > 4 * TEXT_LIMIT
    shown = _tidy(clean(shown))
    own, quoted = without_history(shown)
    if longer or len(own) > TEXT_LIMIT:
        own = own[:TEXT_LIMIT].rstrip() + "\n[… cut here; the inbound topic keeps the whole message]"
        return Readable(own, True, quoted)
    return Readable(own, False, quoted)


def _tidy(text: str) -> str:
    text = _SPACES.sub(" ", text) if "\u00a0" in text or "\t" in text else text
    return _BLANK_LINES.sub("\n\n", "\n".join(part.rstrip() for part in text.split("\n"))).strip()


def without_history(text: str) -> tuple[str, bool]:
    """A mail's own words, and whether quoted history or a signature was left out.

    A forwarded message is what the sender wants to be read, so it stays; so does a quote with nothing beside it.
    """
    own = _without_signature(text)
    if len(own) <= TEXT_LIMIT and _QUOTE_HINT.search(own):
        found = quotequail.unwrap(own)
        if found is not None and found["type"] == "reply":
            said = "\n\n".join(part for name in ("text_top", "text_bottom") if (part := found.get(name, "").strip()))
            if said:
                return said, True
    return own, own != text


def _without_signature(text: str) -> str:
    start = text.rfind("\n--\n") if "\n--\n" in text else -1
    if start > 0 and text.count("\n", start + 4) <= 12:
        return text[:start].rstrip()
    return text


# --- HTML

_DROPPED = frozenset(
    (
        "script",
        "style",
        "head",
        "title",
        "template",
        "noscript",
        "object",
        "iframe",
        "svg",
        "math",
        "textarea",
        "select",
    )
)
_BLOCKS = frozenset(
    [
        "p",
        "div",
        "section",
        "article",
        "header",
        "footer",
        "ul",
        "ol",
        "table",
        "tr",
        "pre",
        "form",
        "hr",
        "dl",
        "dt",
        "dd",
        "li",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "address",
        "figure",
        "main",
        "aside",
        "body",
    ]
)
_PARAGRAPHS = frozenset(("p", "ul", "ol", "table", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "dl"))
_SIGNATURES = ("gmail_signature", "moz-signature", "signature")


def of_html(html: str) -> str:
    """The text of HTML: blocks and rows on lines of their own, lists with dashes, links with their target, quotes with
    `> ` before each line, no scripts, styles, images or signatures."""
    root = LexborHTMLParser(html).root
    if root is None:
        return ""
    out: list[str] = []
    quotes: list[int] = []  # where in `out` each open quote began
    node: LexborNode | None = root.first_child
    while node is not None:
        down = _enter(node, out, quotes)
        child = node.first_child if down else None
        if child is not None:
            node = child
            continue
        current: LexborNode | None = node
        if down:
            _leave(node, out, quotes)
        while current is not None and current.next is None:
            current = current.parent
            if current is not None:
                _leave(current, out, quotes)
        node = None if current is None else current.next
    return "".join(out)


def _enter(node: LexborNode, out: list[str], quotes: list[int]) -> bool:
    """Write what comes before a node's children; whether to go into them."""
    tag = node.tag
    if tag == "-text":
        parent = node.parent
        text = node.text_content or ""
        if parent is not None and parent.tag == "pre":
            out.append(text)
        elif folded := _fold(text):
            if folded[0] == " " and (not out or out[-1].endswith((" ", "\n"))):
                folded = folded[1:]
            if folded:
                out.append(folded)
        return False
    if tag is None or tag in _DROPPED or tag.startswith("-") or tag == "_comment":
        return False
    if tag == "br":
        out.append("\n")
        return False
    if tag in ("div", "span", "table"):
        attributes = node.attributes
        name = f"{attributes.get('class') or ''} {attributes.get('id') or ''}".lower()
        if any(signature in name for signature in _SIGNATURES):
            return False
        if "display:none" in (attributes.get("style") or "").replace(" ", "").lower():
            return False
    if tag in _BLOCKS:
        _break(out, tag)
        if tag == "li":
            out.append("- ")
        if tag == "blockquote":
            quotes.append(len(out))
    elif tag in ("td", "th") and out and not out[-1].endswith(("\n", " ")):
        out.append("  ")
    return True


def _leave(node: LexborNode, out: list[str], quotes: list[int]) -> None:
    tag = node.tag
    if tag == "blockquote" and quotes:
        start = quotes.pop()
        quoted = "".join(out[start:]).strip("\n")
        del out[start:]
        out.append("\n".join(f"> {each}" for each in quoted.split("\n")))
    if tag in _BLOCKS:
        _break(out, tag or "")
    elif tag == "a":
        target = (node.attributes.get("href") or "").strip()
        if target.lower().startswith(("http://", "https://")) and len(target) <= LINE_LIMIT:
            shown = (node.text(deep=True) or "").strip()
            if shown and shown not in target and target not in shown:
                out.append(f" <{target}>")


def _fold(text: str) -> str:
    return re.sub(r"[ \t\r\n\f]+", " ", text)


def _break(out: list[str], tag: str) -> None:
    if not out:
        return
    if out[-1].endswith(" "):
        out[-1] = out[-1].rstrip(" ")
    last = out[-1]
    if tag in _PARAGRAPHS:
        if not last.endswith("\n\n"):
            out.append("\n" if last.endswith("\n") else "\n\n")
    elif not last.endswith("\n"):
        out.append("\n")


# --- Jira's document format


def document(node: dict[str, Any]) -> str:
    """The text of an Atlassian document (`{"type": "doc", "content": […]}`); deeper than 50 levels is left out."""
    out: list[str] = []
    _document(node, out, 0)
    return "".join(out).strip()


def _document(node: Any, out: list[str], depth: int) -> None:
    if not isinstance(node, dict) or depth > _DOCUMENT_DEPTH:
        return
    kind = node.get("type")
    attributes = node.get("attrs")
    attributes = attributes if isinstance(attributes, dict) else {}
    if kind == "text" and isinstance(node.get("text"), str):
        out.append(node["text"])
        out.extend(f" <{target}>" for target in _targets(node.get("marks")) if target not in node["text"])
    elif kind == "hardBreak":
        out.append("\n")
    elif kind in _INLINE:
        shown = next((attributes[name] for name in _INLINE[kind] if isinstance(attributes.get(name), str)), "")
        out.append(shown)
    elif kind == "date" and str(attributes.get("timestamp")).isdecimal() and len(str(attributes["timestamp"])) < 15:
        out.append(datetime.fromtimestamp(int(attributes["timestamp"]) / 1_000, UTC).date().isoformat())
    elif kind in ("listItem", "taskItem", "decisionItem"):
        out.append("- ")
    elif kind in ("tableCell", "tableHeader") and out and not out[-1].endswith("\n"):
        out.append("  ")
    elif kind in ("expand", "nestedExpand") and isinstance(attributes.get("title"), str) and attributes["title"]:
        out.append(attributes["title"] + "\n")
    content = node.get("content")
    for child in content if isinstance(content, list) else []:
        _document(child, out, depth + 1)
    if kind in ("tableCell", "tableHeader") and out and out[-1] == "\n":
        out.pop()  # the paragraph of a cell ends no line
    if kind in _LINES and out and not out[-1].endswith("\n"):
        out.append("\n")


_INLINE: Final = {
    "mention": ("text",),
    "emoji": ("text", "shortName"),
    "status": ("text",),
    "inlineCard": ("url",),
    "blockCard": ("url",),
    "embedCard": ("url",),
}
_LINES: Final = frozenset(
    ("paragraph", "heading", "codeBlock", "rule", "tableRow", "taskItem", "decisionItem", "blockCard", "embedCard")
)


def _targets(marks: Any) -> Iterator[str]:
    for mark in marks if isinstance(marks, list) else []:
        if isinstance(mark, dict) and mark.get("type") == "link" and isinstance(mark.get("attrs"), dict):
            target = mark["attrs"].get("href")
            if isinstance(target, str) and target.startswith(("http://", "https://")) and len(target) <= LINE_LIMIT:
                yield target
