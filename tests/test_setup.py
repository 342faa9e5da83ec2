"""The set-up's decision in what users meet, with stand-ins for NVIDIA's programs."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT, is_alive
from tools.set_up import mmcv_wheel

A100, V100, RTX = ('NVIDIA A100-SXM4-80GB', '8.0'), ('Tesla V100', '7.0'), ('RTX 3090', '8.6')
SMI = """#!/bin/sh
case "$*" in
-L) echo "GPU 0: {name} (UUID: GPU-5c2a)" ;;
*compute_cap*) echo "{driver}, {capability}" ;;
esac
"""
# As much of PyTorch as the decision asks for.
TORCH = """
class cuda:
    def init():
        if {message!r}: raise RuntimeError({message!r})
    def device_count(): return 1
    def get_device_capability(index): return (9, 0)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A checkout on a machine without GPU, toolkit and kept wheels; a Python without torch."""
    checkout, programs = tmp_path / 'checkout', tmp_path / 'bin'
    checkout.mkdir()
    programs.mkdir()
    shutil.copytree(ROOT / 'tools/set_up', checkout / 'tools/set_up')
    shutil.copy(ROOT / 'tools/setup_env.sh', checkout / 'tools')
    for path in [*ROOT.glob('requirements*.txt'), ROOT / 'pyproject.toml', ROOT / 'setup.py']:
        shutil.copy(path, checkout)
    for name in ('FORCE_CUDA', 'TORCH_CUDA_ARCH_LIST', 'MAX_JOBS', 'CUDA_PATH', 'PYTHONPATH'):
        monkeypatch.delenv(name, raising=False)
    put(programs / 'python-alone', f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    put(programs / 'nvidia-smi', '#!/bin/sh\necho "No devices were found"; exit 6\n')
    monkeypatch.setenv('PATH', f'{programs}:{os.environ["PATH"]}')
    monkeypatch.setenv('PYTHON', 'python-alone')
    monkeypatch.setenv('CUDA_HOME', str(tmp_path / 'no-toolkit'))
    monkeypatch.setenv('MMSPANET_WHEELS', str(tmp_path / 'wheels'))
    return tmp_path


def put(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)


def gpu(machine, model, driver: str) -> None:
    name, capability = model
    script = SMI.format(name=name, capability=capability, driver=driver)
    put(machine / 'bin/nvidia-smi', script)


def toolkit(machine, monkeypatch, release: str, headers: bool = True) -> None:
    home = machine / f'cuda-{release}'
    put(
        home / 'bin/nvcc',
        f'#!/bin/sh\necho "Cuda compilation tools, release {release}, V{release}.1"\n',
    )
    if headers:
        put(home / 'include/cublas_v2.h', '')
    monkeypatch.setenv('CUDA_HOME', str(home))


def torch(machine, monkeypatch, version: str, cuda: str | None, message: str = '') -> None:
    put(machine / 'site/torch/__init__.py', TORCH.format(message=message))
    lines = f"__version__ = '{version}'\ncuda: Optional[str] = {cuda!r}\n"
    put(machine / 'site/torch/version.py', lines)
    monkeypatch.setenv('PYTHONPATH', str(machine / 'site'))


def keep_wheel(machine, target: str) -> None:
    python = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    folder = f'onedl-mmcv-2.3.6_torch-2.11.0+cu130_{python}_{target}'
    put(machine / 'wheels' / folder / 'onedl_mmcv.whl', '')


def set_up(machine, *options: str, status: int = 0) -> str:
    command = ['bash', 'tools/setup_env.sh', *options]
    done = subprocess.run(command, cwd=machine / 'checkout', capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    assert not (machine / 'checkout/.venv/bin/pip').exists()
    return done.stdout if status == 0 else done.stderr


def test_without_a_gpu_mmcv_is_built_for_cpus_and_the_plan_says_so(machine):
    plan = set_up(machine, '--plan')
    assert 'onedl-mmcv==2.3.6 for CPUs' in plan
    assert 'No devices were found' in plan
    assert '--cuda' in plan
    assert 'FORCE_CUDA' not in plan


@pytest.mark.parametrize(('model', 'ways'), [(A100, 'way C'), (RTX, 'way B or C')])
def test_a_driver_that_is_too_old_for_pytorch_is_an_error(machine, model, ways):
    gpu(machine, model, '550.54.15')
    error = set_up(machine, '--plan', status=1)
    assert model[0] in error
    assert '550.54.15' in error
    assert 'driver to 580' in error
    assert f'{ways} of docs/install.md' in error
    assert '--cpu' in error
    assert set_up(machine, status=1) == error  # before anything is downloaded
    assert 'for CPUs' in set_up(machine, '--plan', '--cpu')


def test_a_gpu_that_the_installed_pytorch_does_not_see_is_an_error(machine, monkeypatch):
    gpu(machine, A100, '580.65.06')
    said = 'CUDA unknown error - this may be due to an incorrectly set up environment'
    torch(machine, monkeypatch, '2.11.0+cu130', '13.0', said)
    error = set_up(machine, '--plan', status=1)
    assert said in error
    assert A100[0] in error


def test_a_gpu_too_old_for_the_default_wheels_is_an_error(machine):
    gpu(machine, V100, '580.65.06')
    error = set_up(machine, '--plan', status=1)
    assert 'compute capability 7.0' in error
    assert 'way C' in error


def test_a_gpu_with_the_cpu_build_of_pytorch_is_an_error(machine, monkeypatch):
    gpu(machine, A100, '580.65.06')
    torch(machine, monkeypatch, '2.11.0+cpu', None)
    assert 'without CUDA' in set_up(machine, '--plan', status=1)


def test_pytorch_for_cuda_12_takes_the_older_driver_and_needs_a_compiler(machine, monkeypatch):
    gpu(machine, A100, '550.54.15')
    torch(machine, monkeypatch, '2.11.0+cu128', '12.8')
    error = set_up(machine, '--plan', status=1)
    assert 'conda install -c nvidia cuda-nvcc=12.8' in error
    toolkit(machine, monkeypatch, '12.4')
    assert "TORCH_CUDA_ARCH_LIST='9.0'" not in set_up(machine, '--plan')
    assert "TORCH_CUDA_ARCH_LIST='8.0'" in set_up(machine, '--plan')


def test_a_cpu_build_is_made_anew_once_a_gpu_is_there(machine):
    """The driver was mended, or the same .venv is used on a GPU node."""
    checkout = machine / 'checkout'
    cases = f'*"import mmspanet"*) ;; *pip*) exit 9 ;; *) exec {sys.executable} -S "$@" ;;'
    python = f'#!/bin/sh\ncase "$*" in {cases} esac\n'
    put(checkout / '.venv/bin/python', python)
    sum_up = ['bash', '-c', 'cat requirements*.txt pyproject.toml setup.py | cksum']
    made_from = subprocess.run(sum_up, cwd=checkout, capture_output=True, text=True).stdout.strip()
    stamp = checkout / '.venv/.mmspanet-ready'
    stamp.write_text(made_from)
    assert set_up(machine) == ''
    gpu(machine, A100, '580.65.06')
    put(machine / 'bin/python-alone', '#!/bin/sh\nexit 1\n')
    set_up(machine, status=1)
    stamp.write_text(f'{made_from}\n--cpu')  # asked for
    assert set_up(machine) == ''
    stamp.write_text(f'{made_from}\ncuda-8.0')
    assert set_up(machine) == ''
    gpu(machine, ('H100', '9.0'), '580.65.06')
    set_up(machine, status=1)


def test_cuda_can_be_asked_for_without_a_gpu(machine, monkeypatch):
    keep_wheel(machine, 'cpu')
    monkeypatch.setenv('FORCE_CUDA', '1')
    plan = set_up(machine, '--plan')
    assert "TORCH_CUDA_ARCH_LIST='7.5;8.0;8.6;9.0;10.0;12.0+PTX'" in plan
    assert 'none is kept' in plan  # that of the CPU is no help
    monkeypatch.setenv('TORCH_CUDA_ARCH_LIST', '8.0 9.0+PTX')
    assert "TORCH_CUDA_ARCH_LIST='8.0;9.0+PTX'" in set_up(machine, '--plan')
    monkeypatch.delenv('FORCE_CUDA')
    assert 'for CPUs' in set_up(machine, '--plan')
    assert "TORCH_CUDA_ARCH_LIST='8.6'" in set_up(machine, '--plan', '--cuda', '--arch', '8.6')
    assert 'compute capabilities' in set_up(machine, '--plan', '--arch', 'Ampere', status=1)


@pytest.mark.parametrize('release', ['13.0', '13.1'])
def test_a_toolkit_of_pytorchs_cuda_is_used(machine, monkeypatch, release):
    gpu(machine, A100, '580.65.06')
    toolkit(machine, monkeypatch, release)
    plan = set_up(machine, '--plan')
    assert f'CUDA_HOME={machine}/cuda-{release} ' in plan
    assert 'cuda-toolkit[' not in plan


@pytest.mark.parametrize(
    ('release', 'headers', 'reason'),
    [(None, True, 'no nvcc is here'), ('12.4', True, 'nvcc 12.4'), ('13.0', False, 'no headers')],
)
def test_without_a_fitting_toolkit_the_compiler_comes_from_pypi(
    machine, monkeypatch, release, headers, reason
):
    gpu(machine, A100, '580.65.06')
    if release:
        toolkit(machine, monkeypatch, release, headers)
    plan = set_up(machine, '--plan')
    assert "pip install 'cuda-toolkit[nvcc,nvvm,crt,cccl]==13.0.2'" in plan
    assert reason in plan


def test_a_wheel_for_one_gpu_is_not_taken_for_another(machine):
    keep_wheel(machine, 'cuda-8.6')
    gpu(machine, RTX, '580.65.06')
    assert 'cuda-8.6/onedl_mmcv.whl' in set_up(machine, '--plan')
    gpu(machine, A100, '580.65.06')
    assert 'none is kept' in set_up(machine, '--plan')
    keep_wheel(machine, 'cuda-7.5-8.0-9.0+PTX')
    assert 'cuda-7.5-8.0-9.0+PTX/onedl_mmcv.whl' in set_up(machine, '--plan')


@pytest.mark.parametrize(
    ('target', 'wanted', 'runs'),
    [
        ('cpu', 'cpu', True),
        ('cpu', 'cuda-8.0', False),
        ('cuda-9.0', 'cpu', True),
        ('cuda-8.0', 'cuda-8.6', True),  # binary code runs within a major version, upwards
        ('cuda-8.6', 'cuda-8.0', False),
        ('cuda-8.0', 'cuda-9.0', False),
        ('cuda-8.0+PTX', 'cuda-12.0', True),
        ('cuda-9.0+PTX', 'cuda-8.6', False),
        ('cuda-9.0a', 'cuda-9.0', False),
        ('cuda-8.0-9.0', 'cuda-8.0-9.0', True),
        ('cuda-8.0', 'cuda-8.0-9.0', False),
    ],
)
def test_which_build_runs_where(target, wanted, runs):
    assert mmcv_wheel.serves(target, wanted) is runs


def test_the_pinned_torch_has_its_toolkit_in_the_table():
    """Without it, a plan before the installation could not name the compiler."""
    lines = (ROOT / 'requirements.txt').read_text().splitlines()
    (pin,) = (line for line in lines if line.startswith('torch=='))
    assert pin.removeprefix('torch==') in mmcv_wheel.DEFAULT_WHEELS


def test_the_number_of_compilers_is_bounded_by_cores_and_memory(monkeypatch):
    monkeypatch.delenv('MAX_JOBS', raising=False)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(64)))
    monkeypatch.setattr(mmcv_wheel, 'free_memory', lambda: 12 * 10**9)
    assert mmcv_wheel.jobs('cuda-8.0') == 8
    assert mmcv_wheel.jobs('cpu') == 12
    monkeypatch.setattr(mmcv_wheel, 'free_memory', lambda: 10**8)
    assert mmcv_wheel.jobs('cuda-8.0') == 1
    monkeypatch.setenv('MAX_JOBS', '3')
    assert mmcv_wheel.jobs('cuda-8.0') == 3


def test_compiling_says_how_far_it_is_and_is_ended_as_a_whole(tmp_path, capsys):
    script = 'for i in 1 2 3 4; do echo "  [$i/4] c++ -c $i.cpp"; done; echo done'
    log = tmp_path / 'log'
    assert mmcv_wheel.follow(['sh', '-c', script], dict(os.environ), log, done_before=6) == 0
    assert '10 of 10 files' in capsys.readouterr().err
    assert log.read_text().endswith('done\n')


def test_an_interrupted_build_leaves_no_compiler_behind(tmp_path):
    code = f"""
import os, pathlib, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from tools.set_up import mmcv_wheel
signal.signal(signal.SIGTERM, signal.default_int_handler)
script = 'sleep 600 & echo $! > pid; echo "[1/2] c++"; wait'
mmcv_wheel.follow(['sh', '-c', script], dict(os.environ), pathlib.Path('log'), 0)
"""
    with subprocess.Popen(
        [sys.executable, '-S', '-c', code], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr.readline().startswith('1 of 2 files')
        process.send_signal(signal.SIGTERM)
        process.communicate()
    compiler = int((tmp_path / 'pid').read_text())
    deadline = time.monotonic() + 60
    while is_alive(compiler):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_compose_leaves_variables_of_commands_to_the_container():
    """A single dollar would be the host's variable, which is empty where it is not set."""
    services = yaml.safe_load((ROOT / 'docker/compose.yml').read_text())['services']
    commands = [service['command'] for service in services.values()]
    assert any('$$CONFIG' in command for command in commands)
    assert not any(re.search(r'(?<!\$)(\$\$)*\$(?!\$)', command) for command in commands)
