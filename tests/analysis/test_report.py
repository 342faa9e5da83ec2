"""The page: one file, ids that don't clash, texts escaped, tables that read back."""

import base64
import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

from mmspanet.analysis import plotting
from mmspanet.analysis.report import Panel, Row, Section, curve, inline_svg, page, tile

TEMPLATE = Path(__file__).parents[2] / 'tools/analysis_tools/spectral_report.html'


class Page(HTMLParser):
    """What a page refers to: its ids, references to ids, and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.used, self.links, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for key, value in attributes:
            if key == 'id':
                self.ids.append(value)
            elif key.endswith('href') or key == 'src':
                (self.used if value.startswith('#') else self.links).append(value.lstrip('#'))
            elif match := re.match(r'url\(#(.*)\)', value or ''):
                self.used.append(match[1])


def drawn(key: str, figure) -> str:
    with plotting.style():
        figure.subplots().plot([0, 1], [1, 0], marker='o', label='a curve')
    return inline_svg(figure, key)


def a_page() -> str:
    same = [Panel(drawn(f'x{i}', curve()), f'curve {i}') for i in range(2)]
    table = [dict(model='a, "b"', gain=0.5), dict(model='</a>', gain=0.25)]
    sections = [
        Section('one', 'First <title>', 'shows', 'not', [Row(same), Row([], 'x & y')], table),
        Section('two', 'Second', 'shows', 'not', [Row([Panel(drawn('y', tile()), 't', 'tile')])]),
    ]
    return page(TEMPLATE.read_text(), 'A & B', [('weights', '<none>')], sections)


def test_page_is_one_file():
    found = Page(a_page())
    assert all(link.startswith('data:') for link in found.links)
    assert not {'script', 'iframe', 'img', 'object'} & set(found.tags)
    assert 'url(' not in re.sub(r'url\(#', '', a_page())
    assert '{{' not in a_page()


def test_ids_are_unique_and_found():
    found = Page(a_page())
    assert len(found.ids) == len(set(found.ids))
    assert found.used
    assert set(found.used) <= set(found.ids)


def test_texts_are_escaped():
    text = a_page()
    assert '<h2>First &lt;title&gt;</h2>' in text
    assert '<dd>&lt;none&gt;</dd>' in text
    assert '<h3>x &amp; y</h3>' in text
    assert '<title>A &amp; B</title>' in text


def test_svg_keeps_its_text():
    assert '>a curve<' in inline_svg(_with_legend(), 'z')


def _with_legend():
    figure = curve()
    axes = figure.subplots()
    axes.plot([0, 1], label='a curve')
    axes.legend()
    return figure


def test_table_reads_back():
    (link,) = (link for link in Page(a_page()).links if link.startswith('data:text/csv'))
    text = base64.b64decode(link.split(',', 1)[1]).decode()
    assert list(csv.DictReader(io.StringIO(text))) == [
        dict(model='a, "b"', gain='0.5'),
        dict(model='</a>', gain='0.25'),
    ]
