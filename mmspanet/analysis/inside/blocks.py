"""The blocks of any backbone, and their outputs as feature maps."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmspanet.errors import InputError

# How mmdet, mmseg, mmpretrain and timm name the classes of blocks.
BLOCK_CLASS = re.compile(
    r'(Block|Bottle2?neck|EncoderLayer|InvertedResidual|EdgeResidual|MBConv|ShuffleUnit)'
    r'(V?\d+d?|X|Attn|PS)?$'
)
MAX_EXTRA_TOKENS = 16  # class, distillation and register tokens


def find_blocks(backbone: nn.Module, pattern: str | None = None) -> dict[str, nn.Module]:
    r"""Find the outermost blocks of a backbone by their paths, in the order of the modules.

    Args:
        backbone: Any network.
        pattern: A regular expression that the whole path of a block matches, such as
            ``features\.\d+``. By default a block is told by its class: ``...Block``,
            ``Bottleneck``, ``...EncoderLayer``, ``InvertedResidual`` and a few more names.

    Raises:
        InputError: If nothing matches.
    """
    found: dict[str, nn.Module] = {}
    for path, module in backbone.named_modules():
        name = type(module).__name__
        is_block = (
            bool(BLOCK_CLASS.search(name)) if pattern is None else bool(re.fullmatch(pattern, path))
        )
        if path and is_block and not any(path.startswith(f'{outer}.') for outer in found):
            found[path] = module
    if not found:
        wanted = 'told by its class' if pattern is None else f'at {pattern!r}'
        raise InputError(
            f'{type(backbone).__name__} has no block {wanted}: give a regular expression of '
            f'module paths, such as {_some_path(backbone)!r}.'
        )
    return found


def as_map(output: Any, image_size: tuple[int, int]) -> Tensor:
    """Bring a block's output into the form of feature maps, (B, C, h, w).

    - (B, C, h, w) and (B, h, w, C): told apart by which pair of axes has the image's aspect.
    - (B, N, C), tokens: the first N - h * w are class, distillation or register tokens and left
      out; (h, w) is the image divided by one stride along both axes, with the fewest extra tokens.
    - A tuple or list: its first tensor counts.

    Args:
        output: What the block returns.
        image_size: Height and width of the network's input.

    Returns:
        The maps, a view of the output.

    Raises:
        InputError: If it is neither, or no grid fits the tokens.
    """
    if isinstance(output, (tuple, list)):
        output = next((part for part in output if isinstance(part, Tensor)), None)
    if isinstance(output, Tensor) and output.ndim == 4:
        first = _mismatch((output.shape[2], output.shape[3]), image_size)
        last = _mismatch((output.shape[1], output.shape[2]), image_size)
        return output if first <= last else output.permute(0, 3, 1, 2)
    if isinstance(output, Tensor) and output.ndim == 3:
        height, width = token_grid(output.shape[1], image_size)
        tokens = output[:, output.shape[1] - height * width :]
        return tokens.transpose(1, 2).unflatten(2, (height, width))
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    raise InputError(
        f'A block returns {shape}, neither maps nor tokens: choose other modules with a regular '
        'expression of module paths.'
    )


def token_grid(tokens: int, image_size: tuple[int, int]) -> tuple[int, int]:
    """Find height and width of the grid that the tokens of an image lie on.

    Raises:
        InputError: If no stride divides the image into about so many.
    """
    height, width = image_size
    best: tuple[int, tuple[int, int]] | None = None
    for stride in range(1, min(image_size) + 1):
        # Patches are cut without or with padding.
        floors = height // stride, width // stride
        ceils = -(-height // stride), -(-width // stride)
        for grid in (floors, ceils):
            extra = tokens - grid[0] * grid[1]
            if 0 <= extra <= MAX_EXTRA_TOKENS and (best is None or extra < best[0]):
                best = extra, grid
    if best is None:
        raise InputError(
            f'{tokens} tokens fit no grid of an image of {height} x {width} pixels: choose blocks '
            'before the tokens are mixed or dropped.'
        )
    return best[1]


@contextmanager
def record_outputs(
    modules: Mapping[str, nn.Module], record: Callable[[str, Any], None]
) -> Iterator[None]:
    """Call ``record(path, output)`` whenever one of ``modules`` returns, inside the ``with``."""

    def hook(path: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda _module, _inputs, output: record(path, output)

    handles = [module.register_forward_hook(hook(path)) for path, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def stage_ends(
    backbone: nn.Module, blocks: Mapping[str, nn.Module], image: Tensor
) -> dict[str, nn.Module]:
    """Find the last block of every stage, a stage being a run of blocks of one map size.

    Args:
        backbone: The network.
        blocks: Its blocks, see :func:`find_blocks`.
        image: A normalized image, (1, 3, H, W), to find the sizes with.

    Returns:
        Blocks by their paths, in the order in which they are called.
    """
    sizes: dict[str, tuple[int, ...]] = {}
    size = (image.shape[2], image.shape[3])

    def record(path: str, output: Any) -> None:
        sizes[path] = tuple(as_map(output, size).shape[2:])

    with torch.no_grad(), record_outputs(blocks, record):
        backbone(image)
    paths = list(sizes)
    ends = [
        path
        for path, after in zip(paths, [*paths[1:], None], strict=True)
        if after is None or sizes[after] != sizes[path]
    ]
    return {path: blocks[path] for path in ends}


def _mismatch(size: tuple[int, int], image_size: tuple[int, int]) -> float:
    """How unlike the strides along both axes are: 0 where they are equal."""
    stride_y, stride_x = image_size[0] / size[0], image_size[1] / size[1]
    return max(stride_y, stride_x) / min(stride_y, stride_x) - 1


def _some_path(backbone: nn.Module) -> str:
    paths = [path for path, _ in backbone.named_modules() if '.' in path]
    return re.sub(r'\d+', r'\\d+', paths[0]) if paths else r'layers\.\d+'
