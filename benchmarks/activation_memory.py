"""Count the bytes that autograd keeps of a backbone's forward pass in training, per pixel.

Every tensor that autograd saves is counted once by its storage; parameters are left out. The
count grows with the number of pixels, so one image of 224 x 224 pixels gives it for all sizes.
"""

import argparse
from pathlib import Path

import torch

from benchmarks import tables
from benchmarks.models import ours
from benchmarks.timing import report, surroundings
from mmspanet.models import SPANetV2

SIDE = 224


def saved_bytes(model: SPANetV2) -> int:
    """Bytes that a forward pass of one image leaves for the backward pass."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes: dict[int, int] = {}
    kept = []  # no storage may be freed and its address be used again

    def note(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
            kept.append(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        model(torch.randn(1, 3, SIDE, SIDE))
    return sum(sizes.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, help='JSON file of the record to write')
    args = parser.parse_args()
    models = {
        arch: dict(
            bytes_per_pixel=saved_bytes(ours(arch).train()) / SIDE**2,
            parameters=sum(p.numel() for p in ours(arch).parameters()),
        )
        for arch in SPANetV2.arch_settings
    }
    record = dict(**surroundings(), models=models)
    report(record, tables.activation_memory(record), args.out)


if __name__ == '__main__':
    main()
