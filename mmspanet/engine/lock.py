"""One training in one work dir."""

import atexit
import json
import os
import socket
from pathlib import Path
from typing import Any

from mmspanet import files
from mmspanet.errors import InputError

NAME = '.training.lock'


def lock_work_dir(work_dir: str | Path) -> None:
    """Keep other trainings out of a folder until this process ends.

    The system lets go of the lock when the process ends, in whatever way. Its file names the
    owner: one of another machine, whose locks may not be seen here, is left in place, unless it
    is an earlier start of the same Slurm job.

    Raises:
        InputError: If another training has the folder; names it.
        WriteError: If the folder can't be written to.
    """
    path = Path(work_dir) / NAME
    files.make_folder(path.parent)
    with files.write_errors(path):
        descriptor = files.lock(path, wait=False)
    before = _owner(path)
    says = f'process {before.get("pid")} on {before.get("host")}'
    if descriptor is None:
        raise InputError(
            f'Another training, {says}, writes to {work_dir}: wait for its end, or give another '
            '--work-dir.'
        )
    owner = dict(host=socket.gethostname(), pid=os.getpid(), job=os.environ.get('SLURM_JOB_ID', ''))
    is_same_job = bool(owner['job']) and before.get('job') == owner['job']
    if before and before.get('host') != owner['host'] and not is_same_job:
        os.close(descriptor)
        raise InputError(
            f'Another training, {says}, wrote to {work_dir} and did not end by itself: if it is '
            f'over, remove {path}.'
        )
    with files.write_errors(path):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
    atexit.register(_release, path, descriptor)


def _release(path: Path, descriptor: int) -> None:
    path.unlink(missing_ok=True)
    os.close(descriptor)


def _owner(path: Path) -> dict[str, Any]:
    """Who wrote the file; nobody, if it is empty or unreadable."""
    try:
        owner = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}
