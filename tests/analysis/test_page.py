"""The page: one file, ids that don't clash, texts escaped, tables that read back."""

import base64
import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from mmspanet.analysis import page, plotting
from mmspanet.analysis.plotting import Drawing

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


def a_drawing(name: str, title: str, rows: list[dict]) -> Drawing:
    with plotting.style():
        figure = Figure(figsize=(3, 3))
        figure.subplots().plot([0, 1], [1, 0], marker='o', label='a curve')
    return Drawing(name, title, figure, rows, shows='shows <b>', shows_not='x & y')


@pytest.fixture(scope='module')
def text() -> str:
    table = [dict(model='a, "b"', gain=0.5), dict(model='</a>', gain=0.25)]
    drawings = [a_drawing('one', 'First <title>', table), a_drawing('two', 'Second', table)]
    return page.fill(TEMPLATE.read_text(), 'A & B', [('weights', '<none>')], drawings)


def test_page_loads_nothing_else(text):
    found = Page(text)
    assert all(link.startswith('data:') for link in found.links)
    assert not {'script', 'iframe', 'img', 'object'} & set(found.tags)
    assert 'url(' not in re.sub(r'url\(#', '', text)
    assert '{{' not in text


def test_ids_are_unique_and_found(text):
    found = Page(text)
    assert len(found.ids) == len(set(found.ids))
    assert {'one', 'two'} < set(found.used)  # the contents
    assert set(found.used) <= set(found.ids)


def test_texts_are_escaped(text):
    assert '<h2>First &lt;title&gt;</h2>' in text
    assert '<dd>&lt;none&gt;</dd>' in text
    assert 'shows &lt;b&gt;' in text
    assert 'x &amp; y' in text
    assert '<title>A &amp; B</title>' in text
    assert text.count('<svg') == 2  # figures are not


def test_tables_read_back(text):
    tables = [link for link in Page(text).links if link.startswith('data:text/csv')]
    assert len(tables) == 2
    csv_text = base64.b64decode(tables[0].split(',', 1)[1]).decode()
    assert list(csv.DictReader(io.StringIO(csv_text))) == [
        dict(model='a, "b"', gain='0.5'),
        dict(model='</a>', gain='0.25'),
    ]
