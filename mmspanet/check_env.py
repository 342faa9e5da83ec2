"""Say whether this environment can detect, segment and classify, and how to repair it if not.

    python -m mmspanet.check_env

Each task is tried in a process of its own, from importing torch to running a small backbone
from the library's registry, so it meets the errors that a training would meet. Where there is an
NVIDIA GPU, ops of mmcv are tried on it, forward and backward. Exit status: 0 if all requested
tasks can run, on the GPU, too, if there is one; 1 otherwise. Needs nothing but Python.
"""

import argparse
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

TASKS = dict(detection='mmdet', segmentation='mmseg', classification='mmpretrain')

# Import name: distribution and lowest version in each stack of the libraries; as in pyproject.toml.
ONEDL = dict(
    mmengine=('onedl-mmengine', '0.10.12'),
    mmcv=('onedl-mmcv', '2.3.6'),
    mmdet=('onedl-mmdetection', '3.5.1'),
    mmseg=('onedl-mmsegmentation', '1.4.2'),
    mmpretrain=('onedl-mmpretrain', '1.3.6'),
)
UPSTREAM = dict(
    mmengine=('mmengine', '0.10.7'),
    mmcv=('mmcv', '2.1.0'),
    mmdet=('mmdet', '3.3.0'),
    mmseg=('mmsegmentation', '1.2.2'),
    mmpretrain=('mmpretrain', '1.2.0'),
)
NEWEST_MMCV = dict(mmcv='2.2')  # upstream: what mmdet and mmseg refuse
TORCH = '2.11.0'

# Driver that a version of CUDA needs at least; NVIDIA's toolkit package for torch's CUDA.
LOWEST_DRIVER = {'11': 450, '12': 525, '13': 580}
TOOLKITS = {'13.0': '13.0.2'}

# Import names whose distributions are called something else.
DISTRIBUTIONS = dict(
    cv2='opencv-python-headless', yaml='pyyaml', PIL='pillow', pkg_resources='setuptools<82'
)

PROBE = """
import json, sys, warnings
warnings.filterwarnings('ignore')
library = sys.argv[1]

def step(name):
    print('step', name, flush=True)

try:
    step('torch'); import torch
    step('torchvision'); import torchvision.ops
    step('numpy'); import numpy; torch.zeros(1).numpy()
    step('cv2'); import cv2
    step('mmengine'); import mmengine.runner
    step('mmcv'); import mmcv
    if library != 'mmpretrain':
        step('mmcv.ops'); from mmcv.ops import nms
        nms(torch.tensor([[0., 0., 1., 1.]]), torch.tensor([0.5]), 0.5)
    step(library); __import__(library); __import__(library + '.models')
    step('backbone')
    from mmengine.registry import MODELS, init_default_scope
    init_default_scope(library)
    arch = dict(depths=(1,) * 4, channels=(32,) * 4)
    with torch.no_grad():
        MODELS.build(dict(type='mmspanet.SPANetV2', arch=arch))(torch.zeros(1, 3, 64, 64))
    step('done')
except BaseException as error:
    chain = []
    while error is not None:
        chain.append([type(error).__name__, str(error), getattr(error, 'name', None)])
        error = error.__cause__ or error.__context__
    print('error', json.dumps(chain), flush=True)
"""

GPU_PROBE = """
import json, sys, warnings
warnings.filterwarnings('ignore')

def step(name):
    print('step', name, flush=True)

try:
    step('torch'); import torch
    print('torch', torch.version.cuda, flush=True)
    step('gpu'); torch.cuda.init()
    for i in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(i)
        print('gpu', f'{major}.{minor}', torch.cuda.get_device_name(i), flush=True)
    step('kernel'); (torch.ones(8, device='cuda') + 1).sum().item()
    step('mmcv.ops')
    from mmcv.ops import deform_conv2d, get_compiling_cuda_version, nms, roi_align
    print('mmcv', get_compiling_cuda_version(), flush=True)
    boxes = torch.tensor([[0., 0., 1., 1.]], device='cuda')
    step('nms'); nms(boxes, torch.tensor([0.5], device='cuda'), 0.5)
    x = torch.rand(1, 4, 8, 8, device='cuda', requires_grad=True)
    step('roi_align')
    roi_align(x, torch.tensor([[0., 0., 0., 4., 4.]], device='cuda'), (2, 2)).sum().backward()
    step('deform_conv2d')
    weight = torch.rand(4, 4, 3, 3, device='cuda', requires_grad=True)
    offset = torch.zeros(1, 18, 8, 8, device='cuda', requires_grad=True)
    deform_conv2d(x, offset, weight, 1, 1).sum().backward()
    torch.cuda.synchronize()
    step('done')
except BaseException as error:
    print('error', json.dumps([[type(error).__name__, str(error), getattr(error, 'name', None)]]))
"""


@dataclass(frozen=True)
class Failure:
    """Where a task's probe ended.

    Attributes:
        step: What was being imported or run.
        kind: Class of the exception; empty if the process was killed.
        message: Its text and those of the exceptions behind it.
        missing: The module that was not found, if that was it.
    """

    step: str
    kind: str = ''
    message: str = ''
    missing: str | None = None


@dataclass(frozen=True)
class Finding:
    """What is wrong, and the command that repairs it."""

    reason: str
    command: str


def installed(distribution: str) -> str | None:
    """Return the version of a distribution, or None if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def find_line() -> dict[str, tuple[str, str]]:
    """Return the stack that most installed packages belong to; onedl if there are none."""
    upstream = sum(installed(name) is not None for name, _ in UPSTREAM.values())
    onedl = sum(installed(name) is not None for name, _ in ONEDL.values())
    return UPSTREAM if upstream > onedl else ONEDL


def probe(library: str) -> Failure | None:
    """Try in another process all that a task needs.

    Args:
        library: Import name of the task's library.

    Returns:
        Where the process failed, or None if it did not.
    """
    failure, _ = run_probe(PROBE, library)
    return failure


def run_probe(code: str, *arguments: str) -> tuple[Failure | None, list[str]]:
    """Run a probe in another process.

    Returns:
        Where it failed, or None; and the lines that it printed.
    """
    done = subprocess.run(
        [sys.executable, '-c', code, *arguments], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    step = next((line.split()[1] for line in reversed(lines) if line.startswith('step ')), 'torch')
    if step == 'done' and done.returncode == 0:
        return None, lines
    errors = [json.loads(line[6:]) for line in lines if line.startswith('error ')]
    if not errors:
        return Failure(step, message=f'the process ended with status {done.returncode}'), lines
    chain = errors[-1]
    kind, _, missing = chain[0]
    # Libraries wrap what they meet: a module that is missing is the last in the chain.
    lost = next((name for k, _, name in reversed(chain) if k == 'ModuleNotFoundError'), None)
    text = '; '.join(dict.fromkeys(message for _, message, _ in chain if message))
    return Failure(step, kind, text, missing if kind == 'ModuleNotFoundError' else lost), lines


def pip(arguments: str) -> str:
    """Return a command line of this environment's pip."""
    return f'{shlex.quote(sys.executable)} -m pip {arguments}'


def matching_torchvision(torch: str) -> str:
    """Return the release of torchvision for a release of torch 2, such as 0.26.0 for 2.11.0."""
    _, minor, patch = (re.match(r'\d+', part)[0] for part in torch.split('.')[:3])  # type: ignore[index]
    return f'0.{int(minor) + 15}.{patch}'


def compile_mmcv(line: dict[str, tuple[str, str]]) -> str:
    """Return the command that builds mmcv against the installed torch."""
    name, release = line['mmcv']
    build = '--no-build-isolation --no-cache-dir --no-deps --force-reinstall --no-binary'
    install = f'MMCV_WITH_OPS=1 {pip(f"install {build} {name} {name}=={release}")}'
    return f'{build_tools(line)} && {install}'


def build_tools(line: dict[str, tuple[str, str]]) -> str:
    """Return the command that installs what mmcv's build imports."""
    more = "'packaging>=24.2' wheel ninja" if line is ONEDL else 'wheel ninja psutil'
    return pip(f"install 'setuptools>=77,<82' {more}")


def compile_mmcv_for(
    line: dict[str, tuple[str, str]], cuda: str, capabilities: Iterable[str]
) -> str:
    """Return the commands that build mmcv for GPUs: way A of docs/install.md if PyPI has nvcc.

    Args:
        line: The stack.
        cuda: torch's version of CUDA.
        capabilities: Compute capabilities, such as 8.6.
    """
    name, release = line['mmcv']
    build = '--no-build-isolation --no-cache-dir --no-deps --force-reinstall --no-binary'
    variables = f"MMCV_WITH_OPS=1 FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST='{';'.join(capabilities)}'"
    steps = [build_tools(line)]
    if cuda in TOOLKITS:
        major = cuda.split('.')[0]
        home = f'import nvidia.cu{major} as m; print(list(m.__path__)[0])'
        steps += [
            pip(f"install 'cuda-toolkit[nvcc,nvvm,crt,cccl]=={TOOLKITS[cuda]}'"),
            f'export CUDA_HOME=$({shlex.quote(sys.executable)} -c {shlex.quote(home)})',
            'ln -sfn lib "$CUDA_HOME/lib64"',
            f'ln -sf libcudart.so.{major} "$CUDA_HOME/lib/libcudart.so"',
        ]
    else:
        steps.append(f'export CUDA_HOME=/path/to/the/toolkit/of/CUDA/{cuda}')
    return ' && '.join([*steps, f'{variables} {pip(f"install {build} {name} {name}=={release}")}'])


def as_numbers(release: str) -> tuple[int, ...]:
    """Return a release such as 2.11.0+cpu as (2, 11, 0), for comparisons."""
    return tuple(int(number) for number in re.findall(r'\d+', release.split('+')[0])[:3])


def check_versions(library: str, line: dict[str, tuple[str, str]]) -> Finding | None:
    """Return the first package of a task that is missing or out of range, or None."""
    if installed('mmengine') and installed('onedl-mmengine'):
        both = [
            name for pair in zip(ONEDL.values(), UPSTREAM.values(), strict=True) for name, _ in pair
        ]
        there = ' '.join(name for name in both if installed(name))
        return Finding(
            'both lines of the libraries are installed, and overwrite one another',
            f'{pip(f"uninstall -y {there}")}, then install one line anew (docs/install.md)',
        )
    for name in ('mmengine', 'mmcv', library):
        distribution, lowest = line[name]
        found = installed(distribution)
        mend = compile_mmcv(line) if name == 'mmcv' else pip(f'install {distribution}=={lowest}')
        if found is None:
            return Finding(f'{distribution} is missing', mend)
        if as_numbers(found) < as_numbers(lowest):
            return Finding(
                f'{distribution} {found} is out of range: {lowest} or newer is needed', mend
            )
        too_new = NEWEST_MMCV.get(name) if line is UPSTREAM else None
        if too_new and as_numbers(found) >= as_numbers(too_new):
            return Finding(
                f'{distribution} {found} is out of range: mmdet and mmseg need one below {too_new}',
                mend,
            )
    return None


def diagnose(failure: Failure, line: dict[str, tuple[str, str]]) -> Finding:
    """Say what stopped a probe, and what repairs it."""
    text = failure.message
    torch = installed('torch')
    if torch is None:
        vision = matching_torchvision(TORCH)
        return Finding('torch is missing', pip(f'install torch=={TORCH} torchvision=={vision}'))
    vision = matching_torchvision(torch)
    if 'libGL' in text or 'libgthread' in text:
        return Finding(
            "opencv-python needs libraries of a desktop that this machine doesn't have",
            f'{pip("uninstall -y opencv-python")}; '
            + pip('install --no-deps --force-reinstall opencv-python-headless==4.12.0.88'),
        )
    if re.search(
        r'compiled using NumPy 1|_ARRAY_API|multiarray failed|Numpy is not available', text
    ):
        return Finding(
            f'a package was compiled against another numpy than {installed("numpy")}',
            pip("install 'numpy<2' 'opencv-python-headless<5'"),
        )
    if failure.step == 'torchvision' or 'torchvision::' in text:
        found = installed('torchvision')
        reason = (
            'torchvision is missing'
            if found is None
            else f'torchvision {found} was compiled against another torch than {torch}'
        )
        return Finding(reason, pip(f'install --force-reinstall --no-deps torchvision=={vision}'))
    if 'mmcv._ext' in text or failure.step == 'mmcv.ops':
        name, _ = line['mmcv']
        without = failure.missing == 'mmcv._ext'
        reason = (
            'has no compiled ops' if without else f'was compiled against another torch than {torch}'
        )
        return Finding(f'{name} {installed(name)} {reason}', compile_mmcv(line))
    if failure.missing:
        top = failure.missing.split('.')[0]
        distribution, lowest = line.get(top, (DISTRIBUTIONS.get(top, top), ''))
        wanted = f'{distribution}=={lowest}' if lowest else shlex.quote(distribution)
        return Finding(f'{failure.missing} is missing', pip(f'install {wanted}'))
    if failure.kind == 'AssertionError' and 'incompatible' in text:
        range_said = re.sub(r'\s+', ' ', text)
        return Finding(f'out of range: {range_said}', compile_mmcv(line))
    return Finding(
        f'{failure.step} fails: {failure.kind} {text}'.strip(),
        'bash tools/setup_env.sh in a checkout, or install anew by docs/install.md',
    )


def check(task: str) -> Finding | None:
    """Return what keeps a task from running here, or None if it runs."""
    library, line = TASKS[task], find_line()
    if installed('torch') is None:
        return diagnose(Failure('torch'), line)
    failure = check_versions(library, line)
    if failure is not None:
        return failure
    failed = probe(library)
    return None if failed is None else diagnose(failed, line)


def ask_nvidia_smi() -> tuple[list[str], str]:
    """Return the names of the machine's GPUs and the driver's version; nothing without them."""
    program = shutil.which('nvidia-smi')
    if program is None:
        return [], ''
    query = [program, '--query-gpu=driver_version,name', '--format=csv,noheader']
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return [], ''
    rows = [row for line in done.stdout.splitlines() if (row := re.match(r'([\d.]+), (.+)', line))]
    return [row[2] for row in rows], rows[0][1] if rows else ''


def check_gpu() -> tuple[dict[str, Any], Finding | None]:
    """Try mmcv's ops on the GPU, if there is one.

    Returns:
        What is known of GPU, driver and builds, and what keeps the GPU from being used.
    """
    names, driver = ask_nvidia_smi()
    facts: dict[str, Any] = dict(gpus=names, driver=driver)
    if installed('torch') is None or not (names or os.path.exists('/dev/nvidiactl')):
        return facts, None
    if os.environ.get('CUDA_VISIBLE_DEVICES') == '':
        return facts | dict(hidden='CUDA_VISIBLE_DEVICES is empty'), None
    failure, lines = run_probe(GPU_PROBE)
    found = [line.split(' ', 1) for line in lines]
    said = {kind: rest[0] for kind, *rest in found if kind in ('torch', 'mmcv') and rest}
    seen = [rest[0].split(' ', 1) for kind, *rest in found if kind == 'gpu' and rest]
    capabilities = sorted({capability for capability, *_ in seen})
    facts |= dict(
        gpus=names or [name for _, name in seen],
        capabilities=capabilities,
        torch_cuda=said.get('torch'),
        mmcv_cuda=said.get('mmcv'),
    )
    return facts, None if failure is None else diagnose_gpu(failure, facts)


def diagnose_gpu(failure: Failure, facts: dict[str, Any]) -> Finding:
    """Say what keeps a GPU from being used, and what repairs it.

    Args:
        failure: Where the probe on the GPU ended.
        facts: What ``check_gpu`` found: gpus, driver, capabilities, torch_cuda.
    """
    line = find_line()
    name, _ = line['mmcv']
    cuda, text = facts.get('torch_cuda') or 'None', failure.message
    gpu = ', '.join(dict.fromkeys(facts['gpus'])) or 'the GPU'
    torch = (installed('torch') or TORCH).split('+')[0]
    stack = f'torch=={torch} torchvision=={matching_torchvision(torch)}'
    build = compile_mmcv_for(line, cuda, facts.get('capabilities') or ['8.0'])

    def older_cuda(index: str) -> str:
        url = f'https://download.pytorch.org/whl/{index}'
        install = pip(f'install --force-reinstall {stack} --index-url {url}')
        return f'{install} (then mmcv, way C of docs/install.md)'

    if cuda == 'None' and failure.step != 'torch':
        return Finding(
            f"torch {installed('torch')} is the build without CUDA, so {gpu} isn't used",
            f'{pip(f"install --force-reinstall {stack}")} && {build}',
        )
    if 'driver' in text or 'unsupported toolchain' in text or failure.step == 'gpu':
        lowest = LOWEST_DRIVER.get(cuda.split('.')[0], 580)
        driver = facts.get('driver') or 'of unknown version'
        old = 'too old' in text or 'toolchain' in text
        if facts.get('driver'):
            old = old or as_numbers(facts['driver'])[0] < lowest
        if old:
            return Finding(
                f'the driver {driver} of {gpu} is too old for CUDA {cuda}: {lowest} or newer is '
                'needed',
                f'update the driver, or: {older_cuda("cu128")}',
            )
        return Finding(f"torch doesn't see {gpu}: {text}", 'nvidia-smi (if it fails, reboot)')
    if failure.step == 'kernel' and 'no kernel image' in text:
        return Finding(
            f'torch {installed("torch")} is not for {gpu} (compute capability '
            f'{", ".join(facts.get("capabilities", []))})',
            older_cuda('cu126'),
        )
    if re.search(r'implementation for device cuda:\d+ not found|not compiled with GPU', text):
        return Finding(f'{name} {installed(name)} was compiled without CUDA', build)
    if 'no kernel image' in text:
        return Finding(
            f'{name} {installed(name)} was compiled for other GPUs, not for {gpu} (compute '
            f'capability {", ".join(facts.get("capabilities", []))})',
            build,
        )
    if failure.step in ('torch', 'mmcv.ops'):
        return diagnose(failure, line)
    return Finding(f'{failure.step} fails on {gpu}: {failure.kind} {text}'.strip(), build)


def main() -> int:
    """Run the command.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(
        prog='python -m mmspanet.check_env',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'tasks', nargs='*', metavar='task', help=f'of {", ".join(TASKS)}; default: all'
    )
    parser.add_argument('--json', action='store_true', help='print all for a bug report')
    args = parser.parse_args()
    tasks = args.tasks or list(TASKS)
    if not set(tasks) <= set(TASKS):
        parser.error(f'a task is one of {", ".join(TASKS)}')

    line = find_line()
    general = ('torch', 'torchvision', 'numpy', *(name for name, _ in line.values()))
    packages = {name: installed(name) for name in general}
    if not args.json:
        print(f'python {sys.version.split()[0]}', end='')
        print(''.join(f', {name} {release or "missing"}' for name, release in packages.items()))
    findings: dict[str, Finding | None] = {}
    for task in tasks:
        findings[task] = check(task)
        if not args.json:
            print(
                f'{task:<15} {"can run" if findings[task] is None else "can NOT run"}', flush=True
            )
    facts, of_gpu = check_gpu()
    if facts['gpus'] or of_gpu is not None:
        findings['GPU'] = of_gpu
    if args.json:
        report = dict(
            python=sys.version.split()[0],
            platform=platform.platform(),
            packages=packages,
            gpu=facts,
            findings={name: found and asdict(found) for name, found in findings.items()},
        )
        print(json.dumps(report, indent=1))
        return int(any(findings.values()))
    if not facts['gpus']:
        print(f'{"GPU":<15} none')
    elif 'hidden' in facts:
        print(f'{"GPU":<15} not tried: {facts["hidden"]}')
    else:
        state = 'can run' if of_gpu is None else 'can NOT run'
        print(f'{"GPU":<15} {state}: {", ".join(facts["gpus"])}, driver {facts["driver"]}')
    for finding in dict.fromkeys(f for f in findings.values() if f is not None):
        print(f'\n{finding.reason}. Mend it with:\n  {finding.command}')
    return int(any(findings.values()))


if __name__ == '__main__':
    sys.exit(main())
