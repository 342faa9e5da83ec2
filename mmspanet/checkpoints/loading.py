"""Loading a checkpoint into a model, all of it: the one way that every tool takes."""

import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor, nn

from mmspanet.errors import CheckpointError

from .archive import Archive
from .pickles import RefusedError, printable
from .reader import check_weights, read_checkpoint, read_state_dict
from .sources import local_file


def load(model: nn.Module, source: str | Path) -> dict[str, Any]:
    """Load the weights of a checkpoint into a model, which it must fill whole.

    The file is read once, without running code that it may hold. Files in the authors' layout
    are translated by the load hooks of the model.

    Args:
        model: The model, may be wrapped for distributed runs or test-time augmentation.
        source: A path, ``file://``, ``http(s)://`` or ``spanetv2://``.

    Returns:
        The checkpoint's ``meta``, such as ``dataset_meta`` with the names of the classes; empty
        for a bare state dict.

    Raises:
        InputError: If there is no such file.
        CheckpointError: If it is damaged, holds foreign code or weights that are not finite, or
            is not of this model.
    """
    checkpoint = read_checkpoint(local_file(source))
    fill(model, checkpoint, source)
    return dict(checkpoint.get('meta') or {})


def load_backbone(model: nn.Module, source: str | Path) -> None:
    """Load a checkpoint of which only the weights of ``model.backbone`` have to be complete.

    Args:
        model: A detector, segmentor or classifier, whose heads may stay as they are.
        source: See :func:`load`.

    Raises:
        InputError: See :func:`load`.
        CheckpointError: See :func:`load`.
    """
    state_dict = read_state_dict(local_file(source))
    missing = [key for key in _load_into(model, state_dict, source)[0] if _of_backbone(key)]
    if missing:
        raise CheckpointError(
            f'{source} lacks {len(missing)} weights of the backbone, such as {missing[0]}: give a '
            'checkpoint of the same config.'
        )


def fill(model: nn.Module, checkpoint: Mapping[str, Any], source: str | Path) -> None:
    """Load the weights of a checkpoint that has been read, and check that nothing is left over.

    Args:
        model: See :func:`load`.
        checkpoint: What :func:`~mmspanet.checkpoints.reader.read_checkpoint` gives.
        source: Where it is from, for messages.

    Raises:
        CheckpointError: If weights are missing, of another size, of a deeper backbone, or not
            finite.
    """
    state_dict = checkpoint.get('state_dict', checkpoint)
    check_weights(state_dict, source)
    missing, unexpected = _load_into(model, state_dict, source)
    foreign = [key for key in unexpected if _of_backbone(key)]
    if missing or foreign:
        kind, keys = ('lacks', missing) if missing else ('has beyond it', foreign)
        raise CheckpointError(
            f'{source} is of another model than the config: it {kind} {len(keys)} tensors, such '
            f'as {printable(keys[0])}.'
        )


def _of_backbone(key: str) -> bool:
    return key.startswith('backbone.')


def _load_into(
    model: nn.Module, state_dict: dict[str, Tensor], source: str | Path
) -> tuple[Sequence[str], Sequence[str]]:
    """Load what has a place; give the keys that are missing and those that have none."""
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):  # both, in a distributed test
        inner = inner.module
    try:
        return inner.load_state_dict(state_dict, strict=False)
    except CheckpointError:
        raise
    except RuntimeError as error:
        *_, difference = str(error).splitlines()  # the last of those that differ in size
        raise CheckpointError(
            f'{source} is of another model: {difference.strip().rstrip(".")}'
            f'{_head_width(inner, state_dict)}.'
        ) from error


def _head_width(model: nn.Module, state_dict: Mapping[str, Tensor]) -> str:
    """What to do about UPerHeads of another width: the release has one of 320 and one of 512."""
    weight = state_dict.get('decode_head.fpn_bottleneck.conv.weight')
    width = getattr(getattr(model, 'decode_head', None), 'channels', None)
    if weight is None or width in (None, weight.shape[0]):
        return ''
    found = weight.shape[0]
    return (
        f'; its UPerHead is {found} channels wide, that of the config {width}, so take the config '
        f'whose name has h{found}, or --cfg-options model.decode_head.channels={found}'
    )


def best_checkpoint(work_dir: str | Path) -> str | None:
    """The best checkpoint of a run, the newest of several; None where the folder holds none."""
    found = Path(work_dir).glob('best_*.pth')
    return str(max(found, key=lambda path: path.stat().st_mtime, default='')) or None


def newest_whole_checkpoint(work_dir: str | Path) -> str | None:
    """The checkpoint that ``--resume`` goes on from: the newest of a run that is not damaged.

    Files that are cut short or fail their checksums are passed over with a warning.

    Args:
        work_dir: The folder of the run.

    Returns:
        Its path, or None where the folder holds no checkpoint.

    Raises:
        CheckpointError: If the folder holds checkpoints, but no whole one.
    """
    folder = Path(work_dir)
    progress = {path: done for path in folder.glob('*.pth') if (done := _progress(path))}
    found = _of_last_run(progress, folder / 'last_checkpoint')
    for path in sorted(found, key=progress.__getitem__, reverse=True):
        if is_whole(path):
            return str(path)
        print(f'warning: the checkpoint {path} is damaged and passed over.', flush=True)
    if found:
        raise CheckpointError(
            f'All checkpoints in {work_dir} are damaged: start anew in another --work-dir.'
        )
    return None


def _progress(path: Path) -> tuple[int, int] | None:
    """Epochs and iterations that a checkpoint's name says, None where it is not a run's."""
    name = re.fullmatch(r'(?:epoch|iter)_(\d+)(?:_iter_(\d+))?', path.stem)
    return (int(name[1]), int(name[2] or 0)) if name else None


def _of_last_run(progress: Mapping[Path, tuple[int, int]], note: Path) -> list[Path]:
    """The files without those that are further than the folder's last run, and older than its note.

    MMEngine notes each checkpoint in ``last_checkpoint`` once it is written, so that a run that is
    killed between the two is further than its note, but not older.
    """
    try:
        end = progress[note.with_name(Path(note.read_text().strip()).name)]
        written = note.stat().st_mtime
        return [p for p, done in progress.items() if done <= end or p.stat().st_mtime >= written]
    except (OSError, UnicodeDecodeError, ValueError, KeyError):
        return list(progress)


def is_whole(path: Path) -> bool:
    """Whether a checkpoint file is complete and passes its checksums."""
    try:
        with open(path, 'rb') as file:
            return Archive(file, path.stat().st_size).is_intact()
    except (RefusedError, UnicodeDecodeError, struct.error):
        return False
