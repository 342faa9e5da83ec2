"""Documentation names what exists: files, scripts, options and links.

That the commands do what they say is tested where they are: tests/test_tools.py,
test_analysis_tools.py, test_demo.py, test_your_own_data.py and tests/deployment.
"""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').rglob('*.md'))]
SHARED = ''.join(path.read_text() for path in (ROOT / 'mmspanet').rglob('*.py'))  # common options


def blocks(page: Path) -> list[str]:
    """Commands of the page's shell blocks, and those in its text."""
    text = page.read_text()
    fenced = re.findall(r'```shell\n(.*?)```', text, flags=re.S)
    lines = [line for block in fenced for line in block.replace('\\\n', ' ').splitlines()]
    inline = re.findall(
        r'`((?:python|bash|torchrun) [^`]+)`', re.sub(r'```.*?```', '', text, flags=re.S)
    )
    return [*lines, *(' '.join(command.split()) for command in inline)]


COMMANDS = sorted(
    {(page.name, line) for page in PAGES for line in blocks(page) if 'tools/' in line}
)


@pytest.mark.parametrize(('page', 'line'), COMMANDS)
def test_a_command_names_what_exists(page, line):
    words = shlex.split(line, comments=True)
    scripts = [word for word in words if re.match(r'tools/\S+\.(py|sh)$', word)]
    for script in scripts:
        source = (ROOT / script).read_text() + SHARED
        if script.endswith('.sh'):  # passes what it gets to train.py, test.py or pytest
            source += ''.join((ROOT / f'tools/{name}.py').read_text() for name in ('train', 'test'))
        for option in (word.split('=')[0] for word in words if word.startswith('--')):
            is_torchruns = option == '--nproc_per_node'
            is_bashs = script.endswith('.sh') and f' {option} ' in source
            is_argparses = f"'{option}'" in source
            assert is_torchruns or is_bashs or is_argparses, f'{script} has no {option}'
    for word in words:
        if re.match(r'configs/\S+\.py$', word):
            assert (ROOT / word).is_file(), word


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


def test_every_page_is_linked_from_the_readme():
    readme = (ROOT / 'README.md').read_text()
    for page in (ROOT / 'docs').glob('*.md'):
        assert f'(docs/{page.name})' in readme, page.name


def test_paths_in_the_text_exist():
    for page in PAGES:
        for path in re.findall(
            r'`((?:mmspanet|tests|tools|configs)/[\w./-]*\w\.(?:py|sh))`', page.read_text()
        ):
            assert (ROOT / path).is_file(), f'{page.name}: {path}'
