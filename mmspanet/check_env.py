"""Say whether this environment can detect, segment and classify, and how to repair it if not.

    python -m mmspanet.check_env

Each task is tried in a process of its own, from importing torch to running a small backbone
from the library's registry, so it meets the errors that a training would meet. Exit status: 0
if all requested tasks can run, 1 otherwise. Needs nothing but Python.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

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
    done = subprocess.run(
        [sys.executable, '-c', PROBE, library], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    step = next((line.split()[1] for line in reversed(lines) if line.startswith('step ')), 'torch')
    if step == 'done' and done.returncode == 0:
        return None
    errors = [json.loads(line[6:]) for line in lines if line.startswith('error ')]
    if not errors:
        return Failure(step, message=f'the process ended with status {done.returncode}')
    chain = errors[-1]
    kind, _, missing = chain[0]
    # Libraries wrap what they meet: a module that is missing is the last in the chain.
    lost = next((name for k, _, name in reversed(chain) if k == 'ModuleNotFoundError'), None)
    text = '; '.join(dict.fromkeys(message for _, message, _ in chain if message))
    return Failure(step, kind, text, missing if kind == 'ModuleNotFoundError' else lost)


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
    if line is ONEDL:
        tools = pip("install 'setuptools>=77,<82' 'packaging>=24.2' wheel ninja")
    else:
        tools = pip("install 'setuptools>=77,<82' wheel ninja psutil")
    build = '--no-build-isolation --no-cache-dir --no-deps --force-reinstall --no-binary'
    return f'{tools} && MMCV_WITH_OPS=1 {pip(f"install {build} {name} {name}=={release}")}'


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
    tasks = parser.parse_args().tasks or list(TASKS)
    if not set(tasks) <= set(TASKS):
        parser.error(f'a task is one of {", ".join(TASKS)}')

    line = find_line()
    general = ('torch', 'torchvision', 'numpy', *(name for name, _ in line.values()))
    print(f'python {sys.version.split()[0]}', end='')
    print(''.join(f', {name} {installed(name) or "missing"}' for name in general))
    findings = {}
    for task in tasks:
        findings[task] = check(task)
        print(f'{task:<15} {"can run" if findings[task] is None else "can NOT run"}', flush=True)
    for finding in dict.fromkeys(f for f in findings.values() if f is not None):
        print(f'\n{finding.reason}. Mend it with:\n  {finding.command}')
    return int(any(findings.values()))


if __name__ == '__main__':
    sys.exit(main())
