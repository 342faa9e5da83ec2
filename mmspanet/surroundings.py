"""Where a figure was measured: machine, versions of the libraries, commit of the checkout."""

import datetime
import os
import platform
import resource
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

LIBRARIES = ('mmengine', 'mmcv', 'mmdetection', 'mmsegmentation', 'mmpretrain')
CHECKOUT = Path(__file__).parents[1]  # none in a wheel
UPSTREAM_NAMES = {'mmdetection': 'mmdet'}  # of the distributions that are not the project's own


def machine(device: str | None = None) -> str:
    """Name the GPU, or the CPU's cores, instruction set and threads in use.

    Args:
        device: What was measured on, such as ``cpu``; None is the GPU if there is one.
    """
    if torch.cuda.is_available() and device != 'cpu':
        return torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    threads = torch.get_num_threads()
    used = '1 thread' if threads == 1 else f'{threads} threads'
    return f'{os.cpu_count()} CPU cores ({capability}), {used}'


def peak_memory_mib() -> int:
    """The most memory that this process had: on a GPU what PyTorch allocated there, in MiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10  # of KiB, on Linux


def record(*more: str, device: str | None = None) -> dict[str, Any]:
    """Where and when something is measured, as the records of measurements begin.

    Args:
        more: Names of further distributions whose versions matter.
        device: See :func:`machine`.
    """
    return dict(
        machine=machine(device),
        versions=versions(*more),
        commit=commit(CHECKOUT),
        date=datetime.date.today().isoformat(),
    )


def versions(*more: str) -> dict[str, str]:
    """Look up the versions of Python, torch, the installed OpenMMLab libraries and ``more``.

    Args:
        more: Names of further distributions.

    Returns:
        Versions by the names of the distributions, those that are not installed left out.
    """
    names = [n for lib in LIBRARIES for n in (f'onedl-{lib}', UPSTREAM_NAMES.get(lib, lib))]
    found = dict(python=platform.python_version(), torch=str(torch.__version__))
    for name in (*names, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit(root: Path) -> str:
    """Read the short commit hash of the checkout at ``root``.

    Returns:
        The hash, with ``+`` if Python files differ from it; ``unknown`` if ``root`` is no
        checkout, or git is not installed. (MMEngine's ``get_git_hash`` looks at the current
        folder only.)
    """
    if shutil.which('git') is None:
        return 'unknown'
    git = ['git', '-C', str(root)]
    found = subprocess.run(
        [*git, 'rev-parse', '--show-toplevel', '--short', 'HEAD'], capture_output=True, text=True
    )
    if found.returncode:
        return 'unknown'
    top, name = found.stdout.splitlines()
    if Path(top).resolve() != root.resolve():  # an installed package in a checkout of the user's
        return 'unknown'
    changed = subprocess.run([*git, 'diff', '--quiet', 'HEAD', '--', '*.py']).returncode
    return name + ('+' if changed else '')
