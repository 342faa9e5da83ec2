"""The pages: links and paths lead somewhere, tables are of the records, the site is closed."""

import re
from html.parser import HTMLParser

import pytest

from tests.helpers import ROOT, run

PAGES = [
    *sorted(ROOT.glob('*.md')),
    *(
        page
        for folder in ('docs', 'projects', 'benchmarks', 'leaderboard', 'configs')
        for page in sorted((ROOT / folder).rglob('*.md'))
    ),
]
LINKS = sorted(
    {
        (page.relative_to(ROOT).as_posix(), link)
        for page in PAGES
        for link in re.findall(r'\]\(([^)#\s]+)', page.read_text())
        if '://' not in link
    }
)


@pytest.mark.parametrize(('page', 'link'), LINKS)
def test_a_link_leads_somewhere(page, link):
    assert ((ROOT / page).parent / link).exists()


FOLDERS = 'mmspanet|tests|tools|configs|projects|benchmarks|leaderboard|dev'


def test_paths_and_modules_in_the_text_exist():
    for page in PAGES:
        if page.name == 'CHANGELOG.md':  # names what is gone
            continue
        text = page.read_text()
        for path in re.findall(rf'(?<![\w./(-])((?:{FOLDERS})/[\w./-]*\w\.(?:py|sh|yml))\b', text):
            assert (ROOT / path).is_file(), f'{page.name}: {path}'
        for module in re.findall(rf'python -m ((?:{FOLDERS})[\w.]*)', text):
            path = ROOT / module.replace('.', '/')
            assert path.with_suffix('.py').is_file() or path.is_dir(), f'{page.name}: {module}'


def test_tables_are_those_of_the_records():
    pytest.importorskip('mmpretrain')
    from benchmarks import render as benchmarks
    from dev import render as dev
    from projects import render as projects

    text = (ROOT / 'benchmarks/README.md').read_text()
    assert benchmarks.page(text) == text, 'run python -m benchmarks.render'
    assert benchmarks.page(text.replace('0.89', '0.59')) != text  # prose stays as it is
    for path, page in projects.pages().items():
        assert path.read_text() == page, 'run python -m projects.render'
    for path, page in dev.pages().items():
        assert path.read_text() == page, 'run python -m dev.render'


def test_the_table_of_checkpoints_is_that_of_the_code():
    from dev.checkpoint_table import PAGE, page

    text = PAGE.read_text()
    assert page(text) == text, 'run python -m dev.checkpoint_table'
    assert page(text.replace('| proved |', '| seen |')) == text


def test_a_table_is_written_between_its_marks_and_nowhere_else():
    from benchmarks.pages import fill

    page = 'a\n<!-- table: t -->\nold\n<!-- end -->\nb\n<!-- table: u -->\n<!-- end -->\n'
    assert fill(page, 't', 'new\n') == page.replace('old', 'new')
    assert fill(page, 'u', 'new\n') == page.replace('u -->\n', 'u -->\nnew\n')
    with pytest.raises(ValueError, match='0 times'):
        fill(page, 'other', '')


class Requests(HTMLParser):
    """The addresses that a browser requests by itself while it shows a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag != 'a' and attrs.get('rel') not in ('canonical', 'next', 'prev'):
            names = ('src', 'href', 'srcset', 'data', 'poster', 'action')
            self.found += [attrs[name] for name in names if attrs.get(name)]
        self.found += re.findall(r'url\(["\']?([^"\')]+)', attrs.get('style') or '')


@pytest.mark.slow
def test_the_site_requests_nothing_from_other_hosts(tmp_path):
    pytest.importorskip('mkdocs')
    run(['-m', 'mkdocs', 'build', '--strict', '--quiet', '-d', tmp_path])
    pages = sorted(tmp_path.rglob('*.html'))
    assert len(pages) > len(PAGES)
    foreign = re.compile(r'(https?:)?//')
    for page in pages:
        requests = [a for a in Requests(page.read_text()).found if foreign.match(a)]
        assert not requests, f'{page.relative_to(tmp_path)}: {requests}'
    for sheet in tmp_path.rglob('*.css'):
        requests = re.findall(
            r'(?:url\(|@import )["\']?((?:https?:)?//[^"\')]+)', sheet.read_text()
        )
        assert not requests, f'{sheet.relative_to(tmp_path)}: {requests}'
