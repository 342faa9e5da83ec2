"""Count the bytes that autograd keeps of a backbone's forward pass in training, per pixel.

Every tensor that autograd saves is counted once by its storage; parameters are left out. What one
more image of 224 x 224 pixels adds is counted, since weights cast by autocast and the filters'
gains are kept once for a whole batch. A second table has what a block keeps, and which part of it
does. Peers are those of timm.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks import tables
from benchmarks.models import PEERS, hornets, ours
from benchmarks.timing import report
from mmspanet import surroundings
from mmspanet.models import SPANetV2
from tests.helpers import cuda_autocast

SIDE = 224
BLOCKS = (  # stage, backbone and mixer
    (0, 's18-pure', 'SPAM'),
    (2, 's18-hybrid', 'MixAttention'),
    (3, 's18-hybrid', 'Attention'),
)


@contextmanager
def saved(model: nn.Module, note: Callable[[Tensor], None]) -> Iterator[None]:
    """Give ``note`` every storage that autograd saves of what is not a parameter, once."""
    # Not by data_ptr(), which tensors without values lack.
    seen = {p.untyped_storage()._cdata: None for p in model.parameters()}
    alive = []  # no storage may be freed and its address be used again

    def pack(x: Tensor) -> Tensor:
        # An output of a step that its own node keeps would be a circle that nothing frees.
        x = x.detach()
        address = x.untyped_storage()._cdata
        if address not in seen:
            seen[address] = None
            alive.append(x)
            note(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        yield


def saved_bytes(model: nn.Module, images: int, autocast: bool) -> int:
    """Bytes that the forward pass of some images leaves for the backward pass."""
    sizes: list[int] = []
    with (
        saved(model, lambda x: sizes.append(x.untyped_storage().nbytes())),
        torch.autocast('cpu', torch.bfloat16, enabled=autocast),
    ):
        model(torch.randn(images, 3, SIDE, SIDE))
    return sum(sizes)


def bytes_per_pixel(model: nn.Module, autocast: bool) -> float:
    """Bytes of one more image, by its number of pixels."""
    one, two = (saved_bytes(model, images, autocast) for images in (1, 2))
    return (two - one) / SIDE**2


def bytes_per_pixel_on_gpu(arch: str) -> float:
    """The same of ours under CUDA's autocast to float16, which keeps norms in float32.

    Followed without a GPU: tensors have no values. Not for hybrids, of which attention's kernel,
    that a GPU chooses, decides what is kept.
    """
    with FakeTensorMode(), torch.device('cuda'), cuda_autocast(torch.float16):
        model = SPANetV2(arch).train()

        def count(images: int) -> int:
            sizes: list[int] = []
            with saved(model, lambda x: sizes.append(x.untyped_storage().nbytes())):
                model(torch.randn(images, 3, SIDE, SIDE))
            return sum(sizes)

        return (count(2) - count(1)) / SIDE**2


def kept_by_part(block: nn.Module, channels: int) -> list[dict[str, Any]]:
    """What each module of a block keeps of one more image, in maps of the block's width.

    A map that several modules keep is counted at the first, what is less than 1 % of a map nowhere.
    """
    side = 16
    running: list[str] = []  # names of the modules whose forward pass has begun
    maps: Counter[str] = Counter()
    images = 0

    def note(x: Tensor) -> None:
        values = x.untyped_storage().nbytes() / x.element_size() / channels / side**2
        maps[running[-1]] += values if images == 2 else -values

    def begin(name: str) -> Callable[..., None]:
        return lambda *_: running.append(name)

    def end(*_: Any) -> None:
        running.pop()

    for name, module in block.named_modules():
        module.register_forward_pre_hook(begin(name))
        module.register_forward_hook(end)
    for images in (1, 2):
        x = torch.randn(images, channels, side, side).to(memory_format=torch.channels_last)
        with saved(block, note):
            block(x.requires_grad_())
    return [dict(part=name, maps=count) for name, count in maps.items() if count > 0.01]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, help='JSON file of the record to write')
    args = parser.parse_args()
    models = {arch: ours(arch) for arch in SPANetV2.arch_settings} | {
        name: timm.create_model(name, features_only=True)
        for name in (*PEERS.values(), 'convnext_tiny')
    }
    models |= hornets()
    for model in models.values():
        model.train()
    counted = {
        name: dict(
            float32=bytes_per_pixel(model, autocast=False),
            bfloat16=bytes_per_pixel(model, autocast=True),
            parameters=sum(p.numel() for p in model.parameters()),
        )
        | (dict(on_gpu=bytes_per_pixel_on_gpu(name)) if name.endswith('-pure') else {})
        for name, model in models.items()
    }
    blocks = {
        mixer: kept_by_part(models[arch].stages[stage][0], models[arch].channels[stage])
        for stage, arch, mixer in BLOCKS
    }
    record = dict(**surroundings.record('timm'), models=counted, blocks=blocks)
    table = f'{tables.activation_memory(record)}\n\n{tables.memory_of_a_block(record)}'
    report(record, table, args.out)


if __name__ == '__main__':
    main()
