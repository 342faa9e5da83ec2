"""One HTML page of figures, with nothing outside the file: inline SVG, and tables as data links."""

import base64
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.figure import Figure

from . import plotting

CURVE = (3.5, 3.3)  # inches: a panel as wide as a phone shows its text at its own size
TILE = (1.8, 2.0)


@dataclass(frozen=True)
class Panel:
    """One figure of a page.

    Attributes:
        svg: The figure, see :func:`inline_svg`.
        alt: What it is, for readers who do not see it.
        kind: ``curve``; ``tile``, a small picture of which several stand beside each other; or
            ``wide``, a figure of page width, which narrow screens scroll sideways.
    """

    svg: str
    alt: str
    kind: Literal['curve', 'tile', 'wide'] = 'curve'


@dataclass(frozen=True)
class Row:
    """Panels that belong together, with a heading of their own or none."""

    panels: Sequence[Panel]
    heading: str = ''


@dataclass(frozen=True)
class Section:
    """One analysis.

    Attributes:
        key: Name of its anchor and of its CSV file.
        title: Its heading.
        shows, shows_not: A sentence or two each, in plain text. Without panels, ``shows`` is a
            remark in their place.
        rows: Its panels.
        table: What the panels draw, one mapping per value.
    """

    key: str
    title: str
    shows: str
    shows_not: str = ''
    rows: Sequence[Row] = ()
    table: Sequence[Mapping[str, Any]] = field(default_factory=list)


def curve() -> Figure:
    """An empty figure for curves; draw it inside :func:`.plotting.style`."""
    return Figure(figsize=CURVE)


def tile() -> Figure:
    """An empty figure for a small picture; draw it inside :func:`.plotting.style`."""
    return Figure(figsize=TILE)


def inline_svg(figure: Figure, key: str) -> str:
    """A figure as an SVG element.

    Text stays text; the ids inside start with ``key``, so that several can share a page.
    """
    file = io.StringIO()
    with plotting.style(), mpl.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': key}):
        figure.savefig(
            file, format='svg', transparent=True, metadata={'Date': None, 'Creator': None}
        )
    svg = file.getvalue()
    svg = re.sub(r'<metadata>.*?</metadata>', '', svg[svg.index('<svg') :], flags=re.DOTALL)
    for attribute, before in (('id', '"'), ('href', '"#'), ('clip-path', '"url(#')):
        svg = svg.replace(f'{attribute}={before}', f'{attribute}={before}{key}-')
    return svg


def csv_text(table: Sequence[Mapping[str, Any]]) -> str:
    """A table as CSV, headed by the keys of its first row."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(table[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue()


def page(
    template: str, title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]
) -> str:
    """The whole page.

    Args:
        template: HTML with the places ``{{title}}``, ``{{facts}}``, ``{{contents}}`` and
            ``{{sections}}``.
        title: Heading of the page.
        facts: What was measured on what: pairs of a name and a value, in plain text.
        sections: In their order.
    """
    parts = dict(
        title=escape(title),
        facts=''.join(f'<dt>{escape(k)}</dt><dd>{escape(v)}</dd>' for k, v in facts),
        contents=''.join(f'<a href="#{s.key}">{escape(s.title)}</a> ' for s in sections),
        sections=''.join(_section(s) for s in sections),
    )
    return re.sub(r'\{\{(\w+)\}\}', lambda match: parts[match[1]], template)


def _section(section: Section) -> str:
    heading = f'<section id="{section.key}"><h2>{escape(section.title)}</h2>'
    if not section.rows:
        return f'{heading}<p>{escape(section.shows)}</p></section>\n'
    rows = ''.join(_row(row) for row in section.rows)
    return (
        f'{heading}<p><b>Shows:</b> {escape(section.shows)}</p>'
        f'<p><b>Does not show:</b> {escape(section.shows_not)}</p>'
        f'{rows}{_download(section)}</section>\n'
    )


def _row(row: Row) -> str:
    heading = f'<h3>{escape(row.heading)}</h3>' if row.heading else ''
    panels = ''.join(
        f'<figure class="{p.kind}" role="img" aria-label="{escape(p.alt)}">{p.svg}</figure>'
        for p in row.panels
    )
    return f'{heading}<div class="panels">{panels}</div>'


def _download(section: Section) -> str:
    if not section.table:
        return ''
    text = base64.b64encode(csv_text(section.table).encode()).decode()
    return (
        f'<p><a download="{section.key}.csv" href="data:text/csv;base64,{text}">'
        f'The drawn values, {section.key}.csv</a> ({len(section.table)} rows)</p>'
    )
