"""The golden numbers of the released model: weights by rule, probes to compare with.

tests/golden/README.md gives the rules that this file follows.
"""

import json
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent
VARIANTS = tuple(
    f'{size}_{family}' for size in ('s18', 's36', 'm36', 'b36') for family in ('pure', 'hybrid')
)
TOLERANCE = 5e-5  # max|diff| / max|ref| that the golden README asks for


@cache
def load(name: str) -> dict:
    return json.loads((FOLDER / f'{name}.json').read_text())


def weight(key: str, shape: list[int]) -> Tensor:
    """The golden rule's value of the parameter ``key`` (authors' name)."""
    seed = zlib.crc32(key.encode())
    t = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    last = key.rsplit('.', 1)[-1]
    if '.filter' in key:
        value = t
    elif last == 'bias':
        value = 0.1 * t
    elif last == 'scale' or len(shape) == 1:
        value = 1 + 0.1 * t
    else:
        value = t / np.float32(np.sqrt(np.prod(shape[1:])))
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


def state_dict(name: str, dense: bool = False) -> dict[str, Tensor]:
    """A file as the authors publish it; ``dense`` adds the output norms of a detector."""
    shapes = dict(load(name)['state_dict'])
    if dense:
        for i in range(4):
            shapes[f'norm{i}.weight'] = shapes[f'stages.{i}.0.norm1.weight']
    return {key: weight(key, shape) for key, shape in shapes.items()}


def image(seed: int, shape: list[int]) -> Tensor:
    values = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    return torch.tensor(values)  # on the test's device, as torch.randn is


def assert_probe(actual: Tensor, probe: dict) -> None:
    """Compare an array with its stored shape, mean, deviation and values."""
    assert list(actual.shape) == probe['shape']
    flat = actual.detach().double().cpu().reshape(-1)
    ref = torch.tensor(probe['value'], dtype=torch.float64)
    scale = ref.abs().max()
    assert (flat[probe['index']] - ref).abs().max() <= TOLERANCE * scale
    assert abs(flat.mean() - probe['mean']) <= TOLERANCE * scale
    assert abs(flat.std(correction=0) - probe['std']) <= TOLERANCE * scale
