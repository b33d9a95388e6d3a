"""A report as one page of HTML that needs nothing else: bars where people would rather look, the figures beneath."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_STYLE = """
:root { --ink: #1d2733; --soft: #5b6878; --line: #d9dfe6; --good: #2f7d5b; --bad: #c8553d; --ground: #fbfcfd }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7ecf2; --soft: #9aa7b5; --line: #333d49; --good: #58b58a; --bad: #e57c66; --ground: #151a20 }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 2rem auto;
       max-width: 62rem; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem }
p { margin: .3rem 0; color: var(--soft) } p.lead { color: var(--ink); font-size: 1.1rem }
svg { width: 100%; height: auto } svg text { fill: var(--ink); font-size: 13px } svg text.soft { fill: var(--soft) }
.good { fill: var(--good) } .bad { fill: var(--bad) }
table { border-collapse: collapse; width: 100%; font-size: .92rem }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line) }
th { color: var(--soft); font-weight: 500 } .n { text-align: right; font-variant-numeric: tabular-nums }
.key span { display: inline-block; width: .8em; height: .8em; margin: 0 .35em 0 1em; border-radius: 2px }
"""
_ROW, _LABELS, _WIDE, _FIGURES = 26, 270, 520, 130


class Bar(NamedTuple):
    """good and bad: how long its two parts are. figure: what is written behind them."""

    label: str
    good: float
    bad: float
    figure: str


class Section(NamedTuple):
    """A chart, a table, or both. key: what the two parts of a bar mean. numbers: columns that hold numbers."""

    title: str
    bars: Sequence[Bar] = ()
    key: tuple[str, str] = ("", "")
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    numbers: frozenset[int] = frozenset()


def page(title: str, lead: str, notes: Sequence[str], sections: Sequence[Section]) -> str:
    body = [f"<h1>{escape(title)}</h1>", f'<p class="lead">{escape(lead)}</p>']
    body += [f"<p>{escape(note)}</p>" for note in notes]
    for section in sections:
        body.append(f"<h2>{escape(section.title)}</h2>")
        if section.bars:
            body.append(_chart(section))
        if section.head:
            body.append(_table(section))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n<body>'
        + "\n".join(body)
        + "</body></html>\n"
    )


def _chart(section: Section) -> str:
    longest = max((bar.good + bar.bad for bar in section.bars), default=0) or 1
    wide, high = _LABELS + _WIDE + _FIGURES, _ROW * len(section.bars)
    drawn = []
    for number, bar in enumerate(section.bars):
        top = number * _ROW
        good, bad = bar.good / longest * _WIDE, bar.bad / longest * _WIDE
        drawn.append(
            f'<text x="{_LABELS - 8}" y="{top + 17}" text-anchor="end">{escape(bar.label)}</text>'
            f'<rect class="good" x="{_LABELS}" y="{top + 4}" width="{good:.1f}" height="18"/>'
            f'<rect class="bad" x="{_LABELS + good:.1f}" y="{top + 4}" width="{bad:.1f}" height="18"/>'
            f'<text class="soft" x="{_LABELS + good + bad + 6:.1f}" y="{top + 17}">{escape(bar.figure)}</text>'
        )
    key = "".join(
        f'<span style="background: var(--{name})"></span>{escape(said)}'
        for name, said in zip(("good", "bad"), section.key, strict=True)
        if said
    )
    return (
        f'<p class="key">{key}</p><svg viewBox="0 0 {wide} {high}" role="img" aria-label="{escape(section.title)}">'
        + "".join(drawn)
        + "</svg>"
    )


def _table(section: Section) -> str:
    def cell(kind: str, place: int, said: str) -> str:
        return f"<{kind}{' class=n' if place in section.numbers else ''}>{escape(said)}</{kind}>"

    head = "".join(cell("th", place, said) for place, said in enumerate(section.head))
    rows = "".join(
        "<tr>" + "".join(cell("td", place, said) for place, said in enumerate(row)) + "</tr>\n" for row in section.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
