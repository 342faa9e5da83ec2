"""Installing and importing: what the package needs, and what it leaves alone."""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import mmspanet
from tests.helpers import ROOT

MIM = ('configs', 'tools', 'model-index.yml')


def python(code: str) -> str:
    return subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    ).stdout


def test_the_core_needs_torch_and_mmengine_only():
    """In a process where the other libraries can't be imported at all."""
    code = """
import sys
for name in ('mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'torchvision', 'timm'):
    sys.modules[name] = None
import mmspanet.registry, mmspanet.engine, mmspanet.checkpoints
from mmengine.registry import MODELS
import torch
model = MODELS.build(dict(type='mmspanet.SPANetV2', arch=dict(depths=(1,) * 4, channels=(32,) * 4)))
print(len(model(torch.zeros(1, 3, 64, 64))))
"""
    assert python(code).strip().endswith('4')


@pytest.mark.slow
@pytest.mark.parametrize('library', ['mmdet', 'mmseg', 'mmpretrain'])
def test_the_backbone_builds_in_each_scope(library):
    """With no custom_imports and no import of mmspanet by the caller."""
    pytest.importorskip(library)
    code = f"""
from mmengine.registry import init_default_scope
init_default_scope('{library}')
from {library}.registry import MODELS
model = MODELS.build(dict(type='mmspanet.SPANetV2'))
from mmengine.optim import build_optim_wrapper
build_optim_wrapper(model, dict(
    constructor='mmspanet.LayerDecayOptimWrapperConstructor', paramwise_cfg=dict(decay_rate=0.9),
    optimizer=dict(type='SGD', lr=1.0)))
print(type(model).__module__)
"""
    assert python(code).strip().endswith('mmspanet.models.spanetv2')


@pytest.fixture
def sources(tmp_path):
    """A copy of what a distribution is built from, as a build writes into its folder."""
    root = tmp_path / 'sources'
    for name in ('configs', 'tools', 'mmspanet', 'tests'):
        ignored = shutil.ignore_patterns('__pycache__', '.mim')
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, root)
    return root


def build(kind: str, sources: Path, out: Path) -> Path:
    """Call the build backend as pip does: ``kind`` is wheel, editable or sdist."""
    code = f'import setuptools.build_meta as b; print(b.build_{kind}({str(out)!r}))'
    done = subprocess.run([sys.executable, '-c', code], cwd=sources, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


def files_for_mim() -> set[str]:
    of_a_checkout = ('setup_env.sh', 'set_up', 'run_tests.sh', 'quickstart.sh')
    found = [ROOT / 'model-index.yml', *(ROOT / 'configs').rglob('*'), *(ROOT / 'tools').rglob('*')]
    return {
        str(path.relative_to(ROOT))
        for path in found
        if path.is_file()
        and '__pycache__' not in path.parts
        and not set(path.parts) & set(of_a_checkout)
    }


def mim_files_of(wheel: Path) -> set[str]:
    prefix = 'mmspanet/.mim/'
    names = zipfile.ZipFile(wheel).namelist()
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def test_a_wheel_carries_what_mim_looks_for(sources, tmp_path):
    wheel = build('wheel', sources, tmp_path)
    assert mim_files_of(wheel) == files_for_mim()
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split('/')[0] for name in names if '.dist-info' not in name} == {'mmspanet'}
    package = {str(path.relative_to(ROOT)) for path in (ROOT / 'mmspanet').rglob('*.py')}
    assert {*package, 'mmspanet/py.typed'} <= set(names)


def test_the_metadata_of_a_wheel(sources, tmp_path):
    wheel = build('wheel', sources, tmp_path)
    with zipfile.ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if name.endswith('.dist-info/METADATA'))
        found = email.message_from_bytes(file.read(name))
    assert (found['Name'], found['Version']) == ('mmspanet', mmspanet.__version__)
    assert set(found.get_all('Provides-Extra')) == {
        'onedl', 'upstream', 'analysis', 'timm', 'hub', 'deploy', 'runtime', 'report', 'app',
        'track',
    }  # fmt: skip
    needed = {
        re.match(r'\w+', line)[0] for line in found.get_all('Requires-Dist') if ';' not in line
    }
    assert needed == {'torch', 'numpy', 'orjson'}


def test_a_file_that_is_gone_is_gone_from_the_next_wheel(sources, tmp_path):
    build('wheel', sources, tmp_path)
    (sources / 'configs/cls/spanetv2_shapes.py').unlink()
    wheel = build('wheel', sources, tmp_path)
    assert files_for_mim() - mim_files_of(wheel) == {'configs/cls/spanetv2_shapes.py'}


def test_a_source_distribution_builds_the_same_wheel(sources, tmp_path):
    archive = build('sdist', sources, tmp_path)
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / 'unpacked', filter='data')
    (unpacked,) = (tmp_path / 'unpacked').iterdir()
    assert mim_files_of(build('wheel', unpacked, tmp_path)) == files_for_mim()


def test_an_editable_install_links_to_the_checkout(sources, tmp_path):
    build('editable', sources, tmp_path)
    for name in MIM:
        assert (sources / 'mmspanet/.mim' / name).resolve() == sources / name
    build('editable', sources, tmp_path)  # again, over the links
    assert (sources / 'configs/det/maskrcnn_spanetv2.py').is_file()
    assert mim_files_of(build('wheel', sources, tmp_path)) == files_for_mim()


@pytest.fixture
def checkout(tmp_path):
    """The files of a checkout that the set-up reads."""
    shutil.copytree(ROOT / 'tools/set_up', tmp_path / 'tools/set_up')
    shutil.copy(ROOT / 'tools/setup_env.sh', tmp_path / 'tools')
    for path in [*ROOT.glob('requirements*.txt'), ROOT / 'pyproject.toml', ROOT / 'setup.py']:
        shutil.copy(path, tmp_path)
    return tmp_path


def set_up(checkout, **env):
    command = ['bash', 'tools/setup_env.sh']
    return subprocess.run(
        command, cwd=checkout, env=os.environ | env, capture_output=True, text=True
    )


def test_set_up_without_a_fitting_python_says_so(checkout):
    run = set_up(checkout, PYTHON='python-that-is-not-there')
    assert run.returncode == 1
    assert run.stderr.startswith('error: Python 3.10, 3.11 or 3.12')
    assert not (checkout / '.venv').exists()


def fake_venv(checkout, replies: dict[str, str]) -> None:
    """A .venv whose python answers by the first of ``replies`` that its arguments contain.

    The set-up's own script is run, without torch.
    """
    bin_dir = checkout / '.venv/bin'
    bin_dir.mkdir(parents=True)
    cases = ''.join(f'    *{key}*) {reply} ;;\n' for key, reply in replies.items())
    cases += f'    *tools/set_up/*) exec {sys.executable} -S "$@" ;;\n'
    (bin_dir / 'python').write_text(f'#!/bin/sh\ncase "$*" in\n{cases}esac\n')
    (bin_dir / 'python').chmod(0o755)


def test_set_up_without_a_compiler_says_so(checkout):
    torch = checkout / 'site/torch'
    torch.mkdir(parents=True)
    (torch / '__init__.py').touch()
    (torch / 'version.py').write_text("__version__ = '0'\ncuda = '13.0'\n")
    fake_venv(checkout, {})
    tools = checkout / 'bin'
    tools.mkdir()
    for name in ('bash', 'cat', 'cksum', 'dirname', 'grep'):
        (tools / name).symlink_to(shutil.which(name))
    env = dict(PATH=str(tools), MMSPANET_WHEELS=str(checkout / 'wheels'))
    run = set_up(checkout, **env, PYTHONPATH=str(checkout / 'site'))
    assert run.returncode == 1
    assert 'error: a C++ compiler is needed' in run.stderr


def test_a_finished_set_up_is_used_as_it_is(checkout):
    sum_up = ['bash', '-c', 'cat requirements*.txt pyproject.toml setup.py | cksum']
    stamp = subprocess.run(sum_up, cwd=checkout, capture_output=True).stdout
    fake_venv(checkout, {'pip': 'echo called pip >&2; exit 1'})
    (checkout / '.venv/.mmspanet-ready').write_bytes(stamp.strip())
    run = set_up(checkout)
    assert (run.returncode, run.stdout, run.stderr) == (0, '', '')
    (checkout / '.venv/.mmspanet-ready').unlink()  # a set-up that did not get to its end
    assert set_up(checkout, PYTHON='none').stderr.startswith('error: Python')


def test_the_hooks_and_the_environment_have_one_ruff():
    """Else a commit's hook and CI would format differently."""
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos']
    (revision,) = (hook['rev'] for hook in hooks if hook['repo'].endswith('ruff-pre-commit'))
    assert f'ruff=={revision.removeprefix("v")}' in (ROOT / 'requirements-dev.txt').read_text()


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == mmspanet.__version__
    released = f'## [{mmspanet.__version__}] - {citation["date-released"]}'
    assert released in (ROOT / 'CHANGELOG.md').read_text()
