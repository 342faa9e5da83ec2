"""What several test modules share: models of random weights, comparisons, scripts as processes."""

import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from mmspanet.models import SPANetV2

ROOT = Path(__file__).parents[1]
DEVICE = os.environ.get('MMSPANET_TEST_DEVICE', 'cpu')  # see the fixture ``device``

TINY = dict(depths=(1, 1, 2, 1), channels=(32, 32, 64, 64))
TINY_HYBRID = TINY | dict(mixers=('SPAM', 'SPAM', 'MixAttention', 'Attention'))
TINY_REVISION = TINY | dict(mixers=('SPAMRevision',) * 4)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def random_model(arch: str | dict = TINY, seed: int = 0, **kwargs) -> SPANetV2:
    """A model in eval mode whose every parameter is random, so that each of them matters."""
    model = SPANetV2(arch, **kwargs).eval()
    generator = torch.Generator('cpu').manual_seed(seed)  # the same numbers on all devices
    with torch.no_grad():
        for name, param in model.named_parameters():
            noise = torch.randn(param.shape, generator=generator, device='cpu')
            if param.ndim == 1:
                param.copy_(1 + 0.1 * noise)
            elif 'filter' in name:
                param.copy_(noise)
            else:
                param.copy_(noise / param[0].numel() ** 0.5)
    return model


def assert_close(
    actual: Iterable[Tensor], expected: Iterable[Tensor], tolerance: float = 5e-5
) -> None:
    """Compare maps one by one; ``tolerance`` is max|difference| / max|expected|."""
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape
        assert (a - e).abs().max() <= tolerance * e.abs().max()


@contextmanager
def cuda_autocast(dtype: torch.dtype) -> Iterator[None]:
    """What torch.autocast sets, which without a GPU turns itself off."""
    torch.set_autocast_dtype('cuda', dtype)
    torch.set_autocast_enabled('cuda', True)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled('cuda', False)
        torch.set_autocast_dtype('cuda', torch.float16)


def run(
    command: Sequence[str | Path | int],
    cwd: Path = ROOT,
    status: int | None = 0,
    **env: str,
) -> str:
    """Run a Python or a shell script of this checkout as a user does.

    Args:
        command: The script (or ``-m`` and a module) and its arguments.
        cwd: The folder to run in.
        status: The exit status that is expected; None allows any.
        env: Environment variables beside those of this process.

    Returns:
        Its stdout and stderr together.
    """
    program = ['bash'] if str(command[0]).endswith('.sh') else [sys.executable]
    return _output([*program, *map(str, command)], cwd, status, env)


def run_block(block: str, cwd: Path) -> str:
    """Run the shell commands of a page as a user does, with this Python in front."""
    return _output(['bash', '-e', '-c', block], cwd, 0, {})


def _output(command: list[str], cwd: Path, status: int | None, env: dict[str, str]) -> str:
    bin_dir = Path(sys.executable).parent
    process = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | dict(PATH=f'{bin_dir}:{os.environ["PATH"]}', PYTHONPATH=str(ROOT)) | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert status is None or process.returncode == status, (
        f'{command} ended with {process.returncode}:\n{process.stdout}'
    )
    return process.stdout


def free_port() -> str:
    """A port that nothing listens on, below those that the system hands out by itself."""
    candidates = random.SystemRandom()
    while True:
        port = candidates.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(('127.0.0.1', port))
            except OSError:
                continue
            return str(port)


SHAPES_CONFIGS = dict(
    det='configs/det/maskrcnn_spanetv2_shapes.py',
    seg='configs/seg/upernet_spanetv2_shapes.py',
    cls='configs/cls/spanetv2_shapes.py',
)


def shapes_options(task: str, root: Path) -> list[str]:
    """--no-report, and --cfg-options that shorten a Shapes config to a few images."""
    layout = dict(det='coco', seg='ade', cls='imagenet')[task]
    data = root / layout
    common = [
        '--no-report',
        '--cfg-options',
        *(f'{part}_dataloader.dataset.data_root={data}' for part in ('train', 'val', 'test')),
        *(f'{part}_dataloader.num_workers=0' for part in ('train', 'val', 'test')),
        *(f'{part}_dataloader.persistent_workers=False' for part in ('train', 'val', 'test')),
        'train_dataloader.batch_size=4',
        'default_hooks.logger.interval=1',
    ]
    if task == 'det':
        annotations = data / 'annotations/instances_val2017.json'
        common += [f'{part}_evaluator.ann_file={annotations}' for part in ('val', 'test')]
    if task == 'seg':
        return [
            *common,
            'train_cfg.max_iters=4',
            'train_cfg.val_interval=4',
            'default_hooks.checkpoint.interval=4',
        ]
    return [*common, 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
