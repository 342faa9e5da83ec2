"""Whether a checkpoint is there, whole, harmless, and of the model it is meant for."""

import re
import zipfile
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from mmspanet.errors import CheckpointError

from .publish import read_state_dict
from .safe import check_for_foreign_code


def check_checkpoint(path: str) -> None:
    """Check that a local checkpoint is there, whole, and nothing but a checkpoint.

    Raises:
        FileNotFoundError: If it is not there.
        CheckpointError: If it is something else, cut short, or would run foreign code.
    """
    if '://' in path:
        return
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'The checkpoint {path} does not exist: give the path of a .pth file or its URL.'
        )
    with open(path, 'rb') as file:
        is_legacy = file.read(2) == b'\x80\x02'
    if not is_legacy and not zipfile.is_zipfile(path):
        raise CheckpointError(
            f'The checkpoint {path} is not a PyTorch file, or is cut short: copy it again.'
        )
    if not is_legacy:
        check_for_foreign_code(path)


def newest_whole_checkpoint(work_dir: str) -> str | None:
    """The checkpoint that ``--resume auto`` continues from: the newest that is not damaged.

    Files that are cut short or fail their checksums are passed over with a warning.
    None where the folder holds no checkpoint at all.

    Raises:
        CheckpointError: If it holds checkpoints, but no whole one.
    """
    names = (
        (re.fullmatch(r'(?:epoch|iter)_(\d+)', p.stem), p) for p in Path(work_dir).glob('*.pth')
    )
    found = sorted(((int(name[1]), path) for name, path in names if name), reverse=True)
    for _, path in found:
        if is_whole(path):
            return str(path)
        print(f'warning: the checkpoint {path} is damaged and passed over.', flush=True)
    if found:
        raise CheckpointError(
            f'All checkpoints in {work_dir} are damaged: start anew in another --work-dir.'
        )
    return None


def is_whole(path: Path) -> bool:
    """Whether a checkpoint file is complete and passes its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError):
        return False


def check_head_width(cfg: Config, path: str) -> None:
    """Check that a checkpoint of UperNet is as wide as the config's UPerHead.

    The authors' printed costs fit a width of 512, their config says 320: files of either
    may turn up, and a mismatch would otherwise leave most of the head at random.

    Raises:
        CheckpointError: Names both widths and the remedy.
    """
    head = cfg.model.get('decode_head', ConfigDict())
    if '://' in path or head.get('type') != 'UPerHead':
        return
    weight = read_state_dict(Path(path)).get('decode_head.fpn_bottleneck.conv.weight')
    if weight is not None and weight.shape[0] != head.channels:
        raise CheckpointError(
            f'The UPerHead of {path} is {weight.shape[0]} channels wide, that of the config '
            f'{head.channels}: take the config whose name has h{weight.shape[0]}, or '
            f'--cfg-options model.decode_head.channels={weight.shape[0]}.'
        )


def check_fit(model: nn.Module, path: str) -> None:
    """Check that a local checkpoint holds the weights of ``model`` (maybe wrapped), all of them.

    MMEngine loads what fits and leaves the rest at random, with a warning.

    Raises:
        CheckpointError: Names a weight that is missing, of another size, or of a deeper backbone.
    """
    if '://' in path:
        return
    is_wrapped = is_model_wrapper(model) or isinstance(model, BaseTTAModel)
    inner: nn.Module = model.module if is_wrapped else model  # type: ignore[assignment]
    try:
        missing, unexpected = inner.load_state_dict(read_state_dict(Path(path)), strict=False)
    except CheckpointError:
        raise
    except RuntimeError as error:
        *_, difference = str(error).splitlines()  # the last of those that differ in size
        raise CheckpointError(f'{path} is of another model: {difference.strip()}') from error
    foreign = [key for key in unexpected if key.startswith('backbone.')]
    if missing or foreign:
        kind, keys = ('lacks', missing) if missing else ('has beyond it', foreign)
        raise CheckpointError(
            f'{path} is of another model than the config: it {kind} {len(keys)} tensors, such as '
            f'{keys[0]}.'
        )


def use_checkpoint(cfg: Config, path: str) -> None:
    """Have the Runner load ``path``, and nothing else on the way."""
    check_checkpoint(path)
    check_head_width(cfg, path)
    cfg.load_from = path
