"""Links and paths on the pages lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted(ROOT.glob('*.md')),
    *(
        page
        for folder in ('docs', 'projects', 'benchmarks', 'leaderboard')
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


def test_paths_in_the_text_exist():
    for page in PAGES:
        for path in re.findall(rf'`((?:{FOLDERS})/[\w./-]*\w\.(?:py|sh))`', page.read_text()):
            assert (ROOT / path).is_file(), f'{page.name}: {path}'
