"""The environment check, on faked environments and on a real one that is broken."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mmspanet import check_env
from mmspanet.check_env import ONEDL, UPSTREAM, Failure, check, diagnose, probe
from tests.helpers import ROOT

WHOLE = dict(ONEDL.values()) | dict(torch='2.11.0', torchvision='0.26.0', numpy='2.2.6')
WHOLE_UPSTREAM = dict(UPSTREAM.values()) | dict(torch='2.4.1', torchvision='0.19.1', numpy='1.26.4')


@pytest.fixture
def have(monkeypatch):
    """Pretend that exactly these distributions are installed."""
    return lambda versions: monkeypatch.setattr(check_env, 'installed', versions.get)


def fake_modules(folder: Path, monkeypatch, **modules: str) -> None:
    """Put modules with this code before all others of child processes."""
    for name, code in modules.items():
        (folder / f'{name}.py').write_text(code)
    monkeypatch.setenv('PYTHONPATH', str(folder))


def test_the_table_is_that_of_the_extras():
    required = set(
        re.findall(r'"((?:onedl-)?mm[a-z]+>=[\d.]+)', (ROOT / 'pyproject.toml').read_text())
    )
    lines = [*ONEDL.values(), *UPSTREAM.values()]
    assert {f'{name}>={lowest}' for name, lowest in lines} == required
    pinned = (ROOT / 'requirements.txt').read_text().splitlines()
    assert {f'{name}=={lowest}' for name, lowest in ONEDL.values()} <= set(pinned)
    assert f'torch=={check_env.TORCH}' in pinned
    assert f'torchvision=={check_env.matching_torchvision(check_env.TORCH)}' in pinned


@pytest.mark.parametrize(
    ('versions', 'reason', 'command'),
    [
        ({}, 'torch is missing', 'install torch==2.11.0 torchvision==0.26.0'),
        (
            WHOLE | {'onedl-mmdetection': None},
            'onedl-mmdetection is missing',
            'install onedl-mmdetection==3.5.1',
        ),
        (WHOLE | {'onedl-mmcv': None}, 'onedl-mmcv is missing', 'onedl-mmcv==2.3.6'),
        (
            WHOLE | {'onedl-mmengine': '0.9.0'},
            'onedl-mmengine 0.9.0 is out of range: 0.10.12 or newer',
            'install onedl-mmengine==0.10.12',
        ),
        (
            WHOLE_UPSTREAM | {'mmcv': '2.2.0'},
            'mmcv 2.2.0 is out of range: mmdet and mmseg need one below 2.2',
            '--force-reinstall --no-binary mmcv mmcv==2.1.0',
        ),
        (
            WHOLE | {'mmengine': '0.10.7'},
            'both lines of the libraries are installed',
            'uninstall -y onedl-mmengine mmengine onedl-mmcv onedl-mmdetection',
        ),
    ],
)  # fmt: skip
def test_what_the_installed_versions_say(have, versions, reason, command):
    have(versions)
    finding = check('detection')
    assert finding.reason.startswith(reason)
    assert command in finding.command
    assert finding.command.startswith(f'{shlex.quote(sys.executable)} -m pip ')


# The texts are those that the libraries print.
@pytest.mark.parametrize(
    ('failure', 'reason', 'command'),
    [
        (
            Failure('torchvision', 'RuntimeError', 'operator torchvision::nms does not exist'),
            'torchvision 0.26.0 was compiled against another torch than 2.11.0',
            'install --force-reinstall --no-deps torchvision==0.26.0',
        ),
        (
            Failure('mmcv.ops', 'ModuleNotFoundError', "No module named 'mmcv._ext'", 'mmcv._ext'),
            'onedl-mmcv 2.3.6 has no compiled ops',
            '--force-reinstall --no-binary onedl-mmcv onedl-mmcv==2.3.6',
        ),
        (
            Failure('mmcv.ops', 'ImportError', '_ext.so: undefined symbol: _ZN3c106detail'),
            'onedl-mmcv 2.3.6 was compiled against another torch than 2.11.0',
            'onedl-mmcv==2.3.6',
        ),
        (
            Failure('mmseg', 'ModuleNotFoundError', "No module named 'ftfy'", 'ftfy'),
            'ftfy is missing',
            'install ftfy',
        ),
        (
            Failure('mmcv', 'ModuleNotFoundError', 'No module named', 'pkg_resources'),
            'pkg_resources is missing',
            "install 'setuptools<82'",
        ),
        (
            Failure('cv2', 'ImportError', 'libGL.so.1: cannot open shared object file'),
            'opencv-python needs libraries of a desktop',
            'uninstall -y opencv-python; ',
        ),
        (
            Failure('numpy', 'RuntimeError', 'Numpy is not available'),
            'a package was compiled against another numpy than 2.2.6',
            "install 'numpy<2'",
        ),
        (
            Failure('mmdet', 'AssertionError', 'MMCV==2.3.6 is used but incompatible. Please'),
            'out of range: MMCV==2.3.6 is used but incompatible',
            'onedl-mmcv==2.3.6',
        ),
        (Failure('mmdet', 'OSError', 'strange'), 'mmdet fails: OSError strange', 'docs/install.md'),
    ],
)  # fmt: skip
def test_what_a_failed_import_says(have, failure, reason, command):
    have(WHOLE)
    finding = diagnose(failure, ONEDL)
    assert finding.reason.startswith(reason)
    assert command in finding.command


@pytest.mark.parametrize(
    ('torch', 'torchvision'), [('2.4.1', '0.19.1'), ('2.11.0', '0.26.0'), ('2.7.1+cu128', '0.22.1')]
)
def test_torchvision_follows_torch(torch, torchvision):
    """Pairs from PyPI."""
    assert check_env.matching_torchvision(torch) == torchvision


def test_the_probe_says_which_step_failed(tmp_path, monkeypatch):
    code = "raise RuntimeError('operator torchvision::nms does not exist')"
    fake_modules(tmp_path, monkeypatch, torch='', torchvision=code)
    failure = probe('mmdet')
    assert (failure.step, failure.kind) == ('torchvision', 'RuntimeError')
    assert 'torchvision::nms' in failure.message


def test_the_probe_looks_behind_an_exception(tmp_path, monkeypatch):
    """Libraries wrap an import that failed in an error of their own."""
    code = (
        'try:\n import module_that_is_not_there\n'
        "except ImportError as e:\n raise ValueError('cannot build') from e"
    )
    fake_modules(tmp_path, monkeypatch, torch=code)
    failure = probe('mmdet')
    assert (failure.kind, failure.missing) == ('ValueError', 'module_that_is_not_there')


def test_the_probe_survives_a_crash(tmp_path, monkeypatch):
    fake_modules(tmp_path, monkeypatch, torch='import os; os.abort()')
    failure = probe('mmdet')
    assert failure.step == 'torch'
    assert failure.message == 'the process ended with status -6'


def run_check(*tasks: str, **env: str) -> subprocess.CompletedProcess:
    command = [sys.executable, '-m', 'mmspanet.check_env', *tasks]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True)


def test_it_needs_nothing_but_python(tmp_path):
    """Not even torch: it has to run where nothing else does."""
    (tmp_path / 'mmspanet').symlink_to(ROOT / 'mmspanet')
    command = [sys.executable, '-E', '-S', '-m', 'mmspanet.check_env']  # sees no site-packages
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1
    assert 'detection       can NOT run' in run.stdout
    assert run.stdout.count('torch is missing. Mend it with:') == 1
    assert run.stderr == ''


ON_A100 = dict(
    gpus=['NVIDIA A100'], driver='580.65.06', capabilities=['8.0'], torch_cuda='13.0', mmcv_cuda=''
)


# The texts are those that torch and mmcv print.
@pytest.mark.parametrize(
    ('failure', 'facts', 'reason', 'command'),
    [
        (
            Failure('nms', 'RuntimeError', 'nms_impl: implementation for device cuda:0 not found.'),
            ON_A100,
            'onedl-mmcv 2.3.6 was compiled without CUDA',
            "FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST='8.0' ",
        ),
        (
            Failure('roi_align', 'RuntimeError', 'RoIAlign is not compiled with GPU support'),
            ON_A100,
            'onedl-mmcv 2.3.6 was compiled without CUDA',
            "'cuda-toolkit[nvcc,nvvm,crt,cccl]==13.0.2'",
        ),
        (
            Failure(
                'nms',
                'AcceleratorError',
                'CUDA error: no kernel image is available for execution on the device',
            ),
            ON_A100,
            'onedl-mmcv 2.3.6 was compiled for other GPUs, not for NVIDIA A100',
            "TORCH_CUDA_ARCH_LIST='8.0' ",
        ),
        (
            Failure(
                'kernel',
                'AcceleratorError',
                'CUDA error: no kernel image is available for execution on the device',
            ),
            ON_A100 | dict(gpus=['Tesla V100'], capabilities=['7.0']),
            'torch 2.11.0 is not for Tesla V100 (compute capability 7.0)',
            'download.pytorch.org/whl/cu126',
        ),
        (
            Failure(
                'gpu',
                'RuntimeError',
                'The NVIDIA driver on your system is too old (found version 12040). Please update',
            ),
            ON_A100 | dict(driver='550.54.15', capabilities=[]),
            'the driver 550.54.15 of NVIDIA A100 is too old for CUDA 13.0: 580 or newer',
            'download.pytorch.org/whl/cu128',
        ),
        (
            Failure(
                'nms',
                'AcceleratorError',
                'the provided PTX was compiled with an unsupported toolchain.',
            ),
            ON_A100,
            'the driver 580.65.06 of NVIDIA A100 is too old',
            'update the driver',
        ),
        (
            Failure('gpu', 'RuntimeError', 'CUDA unknown error - this may be due to'),
            ON_A100 | dict(capabilities=[]),
            "torch doesn't see NVIDIA A100: CUDA unknown error",
            'nvidia-smi',
        ),
        (
            Failure('gpu', 'AssertionError', 'Torch not compiled with CUDA enabled'),
            ON_A100 | dict(capabilities=[], torch_cuda='None'),
            "torch 2.11.0 is the build without CUDA, so NVIDIA A100 isn't used",
            'torch==2.11.0 torchvision==0.26.0',
        ),
        (
            Failure('mmcv.ops', 'ModuleNotFoundError', "No module named 'mmcv._ext'", 'mmcv._ext'),
            ON_A100,
            'onedl-mmcv 2.3.6 has no compiled ops',
            'onedl-mmcv==2.3.6',
        ),
    ],
)  # fmt: skip
def test_what_a_failed_probe_of_the_gpu_says(have, failure, facts, reason, command):
    have(WHOLE)
    finding = check_env.diagnose_gpu(failure, facts)
    assert finding.reason.startswith(reason)
    assert command in finding.command


FAKE_TORCH = """
class version: cuda = '13.0'
class cuda:
    init = synchronize = lambda: None
    device_count = lambda: 1
    get_device_capability = lambda i: (8, 0)
    get_device_name = lambda i: 'NVIDIA A100'
class Tensor:
    def __add__(self, other): return self
    sum = item = backward = lambda self: self
def ones(*shape, device, requires_grad=False): return Tensor()
zeros = rand = tensor = ones
"""
FAKE_OPS = """
def get_compiling_cuda_version(): return 'not available'
def nms(*args): raise RuntimeError('nms_impl: implementation for device cuda:0 not found.')
def roi_align(*args): pass
def deform_conv2d(*args): pass
"""


@pytest.fixture
def gpu_machine(tmp_path, monkeypatch):
    """Stand-ins for nvidia-smi, torch and an mmcv whose ops lack CUDA."""
    program = tmp_path / 'bin/nvidia-smi'
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "580.65.06, NVIDIA A100"\n')
    program.chmod(0o755)
    monkeypatch.setenv('PATH', f'{program.parent}:{os.environ["PATH"]}')
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv/__init__.py').touch()
    (tmp_path / 'mmcv/ops.py').write_text(FAKE_OPS)
    fake_modules(tmp_path, monkeypatch, torch=FAKE_TORCH)
    return tmp_path


def test_the_gpu_is_probed_where_there_is_one(gpu_machine, have, monkeypatch):
    have(WHOLE)
    facts, finding = check_env.check_gpu()
    assert facts == ON_A100 | dict(mmcv_cuda='not available')
    assert finding.reason == 'onedl-mmcv 2.3.6 was compiled without CUDA'
    (gpu_machine / 'mmcv/ops.py').write_text(
        re.sub('raise .*', 'pass', FAKE_OPS).replace(
            'args): pass', 'args): import torch; return torch.Tensor()'
        )
    )
    assert check_env.check_gpu()[1] is None
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    facts, finding = check_env.check_gpu()
    assert 'hidden' in facts
    assert finding is None


def test_the_report_for_bug_reports_is_json(gpu_machine):
    report = json.loads(run_check('detection', '--json', PYTHONPATH=f'{gpu_machine}:{ROOT}').stdout)
    assert report['gpu']['driver'] == '580.65.06'
    assert set(report['findings']) == {'detection', 'GPU'}
    assert 'FORCE_CUDA=1' in report['findings']['GPU']['command']


@pytest.mark.slow
def test_this_environment():
    for task, library in check_env.TASKS.items():
        run = run_check(task)
        has_library = importlib.util.find_spec(library) is not None
        assert (run.returncode == 0) == has_library, run.stdout
        assert (f'{task:<15} can run' in run.stdout) == has_library


@pytest.mark.slow
def test_an_mmcv_without_its_compiled_ops(tmp_path):
    """What is installed here, but for the one file that the compiler made."""
    mmcv = pytest.importorskip('mmcv')
    (tmp_path / 'mmcv').mkdir()
    for path in Path(mmcv.__file__).parent.iterdir():
        if not path.name.startswith('_ext.'):
            (tmp_path / 'mmcv' / path.name).symlink_to(path)
    path = f'{tmp_path}:{os.environ.get("PYTHONPATH", "")}'
    run = run_check('detection', PYTHONPATH=path)
    assert run.returncode == 1
    assert re.search(
        r'mmcv \S+ has no compiled ops\. Mend it with:\n.* MMCV_WITH_OPS=1', run.stdout
    )
