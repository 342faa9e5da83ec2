"""Documentation names what exists, and its commands are run or have a reason not to be.

`tests/documented_commands.py` says which test runs which command. Here are the mechanism, and the
runs of those that no other test makes.
"""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documented_commands import AS_WRITTEN, BY_TEST, FIRST, NOT_RUN, Run
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md')),
    *sorted((ROOT / 'docs').rglob('*.md')),
]
SHARED = ''.join(path.read_text() for path in (ROOT / 'mmspanet').rglob('*.py'))  # common options
FENCES = {'shell', 'python', 'text', 'mermaid'}
PROGRAMS = r'python|bash|torchrun|pip|mim|srun|sbatch|\.venv/\S+|tools/\S+|\$S/\S+'
OWN_PAGE = 'your_own_data.md'  # run by tests/test_your_own_data.py


def commands(page: Path) -> list[str]:
    """Commands of the page's shell blocks, and those in its text, without comments."""
    text = page.read_text()
    fenced = re.findall(r'```shell\n(.*?)```', text, flags=re.S)
    lines = [line for block in fenced for line in block.replace('\\\n', ' ').splitlines()]
    prose = re.sub(r'```.*?```', '', text, flags=re.S)
    spans = re.findall(r'`([^`]+)`', prose)
    lines += [span for span in spans if re.match(rf'([A-Z_]+=\S+ )*({PROGRAMS})\s', span)]
    lines = [' '.join(re.sub(r'\s#.*', '', line).split()) for line in lines]
    return [line for line in lines if line]


COMMANDS = sorted(
    {(page.name, line) for page in PAGES for line in commands(page) if 'tools/' in line}
)


@pytest.mark.parametrize(('page', 'line'), COMMANDS)
def test_a_command_names_what_exists(page, line):
    words = shlex.split(line, comments=True)
    scripts = [word for word in words if re.match(r'tools/\S+\.(py|sh)$', word)]
    for script in scripts:
        source = (ROOT / script).read_text()
        for module in re.findall(r'(?m)^from (\w+) import', source):  # those beside the script
            beside = (ROOT / script).with_name(f'{module}.py')
            source += beside.read_text() if beside.is_file() else ''
        source += SHARED
        if script.endswith('.sh'):  # passes what it gets to train.py, test.py or pytest
            source += ''.join((ROOT / f'tools/{name}.py').read_text() for name in ('train', 'test'))
        for option in (word.split('=')[0] for word in words if word.startswith('--')):
            is_torchruns = option == '--nproc_per_node'
            is_bashs = script.endswith('.sh') and f' {option} ' in source
            is_argparses = f"'{option}'" in source
            assert is_torchruns or is_bashs or is_argparses, f'{script} has no {option}'
    for word in words:
        if re.match(r'configs/\S+\.py$', word):
            assert [*ROOT.glob(word)], word


def test_shell_commands_stand_in_blocks_that_are_read():
    for page in PAGES:
        fences = re.findall(r'^```(\w*)$', page.read_text(), flags=re.M)
        assert set(fences[::2]) <= FENCES, page.name  # the others close


DOCUMENTED = {command for page in PAGES if page.name != OWN_PAGE for command in commands(page)}
LISTED = [
    *(run.command for runs in (FIRST, *AS_WRITTEN.values()) for run in runs),
    *BY_TEST,
    *(command for listed in NOT_RUN.values() for command in listed),
]


def test_every_command_is_run_or_has_a_reason():
    """A new command belongs into tests/documented_commands.py."""
    assert len(LISTED) == len(set(LISTED)), 'a command is listed twice'
    assert DOCUMENTED - set(LISTED) == set(), 'documented, but neither run nor excused'
    assert set(LISTED) - DOCUMENTED == set(), 'listed, but documented no more'


def used_by(test: str) -> str:
    """Source of a test, of all in its module that it uses, and of the scripts these start."""
    file, name = test.split('::')
    text = (ROOT / file).read_text()
    lines = text.splitlines()
    parts = {}
    for node in ast.parse(text).body:
        names = [getattr(node, 'name', '')]
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        decorators = getattr(node, 'decorator_list', [])
        first = min(part.lineno for part in (node, *decorators))
        parts |= dict.fromkeys(names, '\n'.join(lines[first - 1 : node.end_lineno]))
    assert name.startswith('test_'), test
    assert name in parts, test
    found, wanted = {}, [name]
    while wanted:
        one = wanted.pop()
        if one in parts and one not in found:
            found[one] = parts[one]
            wanted += re.findall(r'\w+', parts[one])
    source = '\n'.join(found.values())
    scripts = {path for path in re.findall(r'tools/[\w/]+\.(?:py|sh)', source)}
    return source + ''.join((ROOT / path).read_text() for path in sorted(scripts))


@pytest.mark.parametrize('command', BY_TEST)
def test_the_named_test_runs_the_command(command):
    """It exists, and names the command's script or module and its options."""
    source = used_by(BY_TEST[command])
    words = shlex.split(command)
    programs = [word for word in words if re.search(r'(?<!config)\.(py|sh)$', word)]
    programs = [word for word in programs if not word.startswith('configs/')]
    programs += [words[i + 1] for i, word in enumerate(words) if word in ('-m', '-c')]
    assert programs
    for program in programs:
        short = re.sub(r'.*/(\.mim/)', r'\1', program)  # wherever the libraries lie
        assert short in source or Path(short).name in source, program
    for option in (word for word in words if word.startswith('--')):
        assert f"'{option}" in source or f' {option}' in source, option
    for setting in re.findall(r'([A-Z_]+)=\S+ ', command):
        assert setting in source, setting


@pytest.mark.parametrize('reason', NOT_RUN)
def test_a_reason_names_what_exists(reason):
    for path in re.findall(r'(?:tests|tools|\.ci)/[\w/]+(?:\.py|\.sh)?', reason):
        assert (ROOT / path).is_file(), path
    for file, name in re.findall(r'(tests/\S+\.py)::(\w+)', reason):
        assert used_by(f'{file}::{name}')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder like a checkout, with what the first commands make; what is written stays in it."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in ('configs', 'tools', 'mmspanet', 'model-index.yml'):
        (folder / name).symlink_to(ROOT / name)
    (folder / '.venv').symlink_to(sys.prefix)
    (folder / 'home').mkdir()
    shutil.copy(ROOT / 'README.md', folder)
    shutil.copytree(ROOT / 'docs/leaderboard', folder / 'docs/leaderboard')
    for run in FIRST:
        execute(run, folder)
    return folder


def execute(run: Run, folder: Path, second: str | None = None) -> None:
    """Run a command, and beside it a `second` one, and look at what the first said and made."""
    bin_dir = Path(sys.executable).parent
    options = dict(
        cwd=folder,
        env=os.environ
        | dict(PATH=f'{bin_dir}:{os.environ["PATH"]}', HOME=f'{folder}/home', OMP_NUM_THREADS='1')
        | dict(PORT=free_port()),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    other = subprocess.Popen(['bash', '-c', second], **options) if second else None
    try:
        process = subprocess.run(['bash', '-e', '-c', run.line], timeout=1200, **options)
        said = f'{run.line}\n{process.stdout}'
        if other:
            said += other.communicate(timeout=1200)[0]
            assert other.returncode == 0, said
    finally:
        if other:
            other.kill()
    assert process.returncode == 0, said
    assert run.says in process.stdout, said
    assert not run.makes or (folder / run.makes).stat().st_size, said
    assert_nothing_is_written_elsewhere(folder)


def assert_nothing_is_written_elsewhere(folder: Path) -> None:
    """All is in work_dirs, data and what a command was told; matplotlib and YAPF have caches."""
    checkout = {'README.md', 'configs', 'docs', 'mmspanet', 'model-index.yml', 'tools', '.venv'}
    told = {'data', 'work_dirs', 'costs.json', 'home', 'short'}
    assert {path.name for path in folder.iterdir()} <= checkout | told
    assert {path.name for path in (folder / 'home').iterdir()} <= {'.cache', '.config'}
    cached = {path.name for path in (folder / 'home').glob('.*/*')}
    assert cached <= {'YAPF', 'fontconfig', 'matplotlib'}


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in AS_WRITTEN if name != 'leaderboard'])
def test_a_command_as_written(name, folder):
    for run in AS_WRITTEN[name]:
        second = run.line.replace('NODE_RANK=0', 'NODE_RANK=1') if 'NODE_RANK' in run.line else None
        execute(run, folder, second)


@pytest.mark.slow
def test_the_leaderboard_command_writes_what_is_there(folder):
    execute(*AS_WRITTEN['leaderboard'], folder)
    for path in ('README.md', 'docs/leaderboard/README.md', 'docs/leaderboard/index.html'):
        assert (folder / path).read_text() == (ROOT / path).read_text(), path


@pytest.mark.slow
def test_the_quickstart_with_fewer_images(folder):
    """`bash tools/quickstart.sh`, without its set-up, and with 12 images instead of 2000."""
    lines = (ROOT / 'tools/quickstart.sh').read_text()
    for old, new in {
        'bash tools/setup_env.sh\n': '',
        '--train 1800 --val 200': '--train 8 --val 4',
    }.items():
        assert lines.count(old) == 1
        lines = lines.replace(old, new)
    (folder / 'short').mkdir()
    (folder / 'short/quickstart.sh').write_text(lines)
    execute(Run('bash short/quickstart.sh', says='mask AP'), folder)
    assert (folder / 'work_dirs/quickstart/predictions.pkl').stat().st_size
    assert (folder / 'work_dirs/quickstart/predictions.png').stat().st_size


def test_the_package_says_where_it_is():
    """As docs/install.md asks it."""
    code = 'import mmspanet; print(mmspanet.__path__[0])'
    said = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert (Path(said.stdout.strip()) / 'registry.py').is_file()


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
