"""--help of every script that a user can start: Python scripts in this process, shell scripts."""

import re
import runpy
import shutil
import subprocess
import sys

import pytest

from tests.helpers import ROOT, run

WORDS = r'import argparse|parse_args\(\)'
FOLDERS = ('tools', 'projects', 'benchmarks', 'leaderboard', 'dev')


def scripts(pattern: str) -> list[str]:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob(pattern)]
    return sorted(path.relative_to(ROOT).as_posix() for path in files)


# Others take no options: started, they do their work.
PYTHON = [
    name
    for name in scripts('*.py')
    if {'import argparse', 'parse_args()'} <= set(re.findall(WORDS, (ROOT / name).read_text()))
]


@pytest.mark.parametrize('script', PYTHON)
def test_python_scripts(script, monkeypatch, capsys):
    """None does anything else before it reads its options."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', [script, '--help'])
    folder = script.rpartition('/')[0]
    monkeypatch.setattr(sys, 'path', [folder, *sys.path])  # as Python starts a script
    with pytest.raises(SystemExit) as end:
        runpy.run_path(script, run_name='__main__')
    shown = capsys.readouterr()
    assert (end.value.code, shown.err) == (0, '')
    assert shown.out.startswith(f'usage: {script.rpartition("/")[2]}')


WITHOUT_TORCH = """
import runpy, sys
sys.modules['torch'] = None  # to import it is an error
for script in sys.argv[1:]:
    sys.argv = [script, '--help']
    try:
        runpy.run_path(script, run_name='__main__')
    except SystemExit as end:
        assert not end.code
    except ImportError as error:
        raise SystemExit(f'--help of {script}: {error}')
"""


def test_help_of_the_tools_imports_no_torch():
    """All in one process of their own: seconds are for work, not for a usage line."""
    tools = [name for name in PYTHON if name.startswith('tools/')]
    assert run(['-c', WITHOUT_TORCH, *tools]).count('usage: ') == len(tools)


@pytest.mark.parametrize('script', scripts('*.sh'))
def test_shell_scripts(script, tmp_path):
    """And do nothing else: with no program but sed at hand, they could not."""
    for name in ('bash', 'sed'):
        (tmp_path / name).symlink_to(shutil.which(name))
    shown = subprocess.run(
        ['bash', script, '--help'],
        cwd=ROOT, env=dict(PATH=str(tmp_path)), capture_output=True, text=True,
    )  # fmt: skip
    assert (shown.returncode, shown.stderr) == (0, '')
    assert f'bash {script}' in shown.stdout
    assert '#' not in shown.stdout
