"""Blocks of any backbone, and their outputs as maps."""

import pytest
import torch
from torch import nn

from mmspanet.analysis.inside.blocks import (
    as_map,
    find_blocks,
    record_outputs,
    token_grid,
)
from mmspanet.errors import InputError


@pytest.mark.parametrize(
    ('shape', 'image', 'expected'),
    [
        ((2, 8, 16, 12), (64, 48), (2, 8, 16, 12)),
        ((2, 16, 12, 8), (64, 48), (2, 8, 16, 12)),
        ((2, 14 * 14 + 1, 8), (224, 224), (2, 8, 14, 14)),
        ((2, 7 * 7, 8), (224, 224), (2, 8, 7, 7)),
        ((2, 16 * 12 + 5, 8), (256, 192), (2, 8, 16, 12)),
        ((2, 8 * 7, 8), (250, 220), (2, 8, 8, 7)),  # padded to whole patches of 32
    ],
)
def test_outputs_as_maps(shape, image, expected):
    assert as_map(torch.zeros(shape), image).shape == expected


def test_tokens_keep_their_place():
    maps = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    tokens = maps.flatten(2).transpose(1, 2)
    with_class_token = torch.cat([torch.full((2, 1, 3), -1), tokens], dim=1)
    assert as_map((with_class_token, 'more'), (64, 96)).equal(maps)
    assert as_map(maps.permute(0, 2, 3, 1), (64, 96)).equal(maps)


def test_what_is_no_map_is_refused():
    with pytest.raises(InputError, match='neither maps nor tokens'):
        as_map(torch.zeros(2, 10), (64, 64))
    with pytest.raises(InputError, match='fit no grid'):
        token_grid(100 - 16 - 1 + 900, (64, 64))


def test_blocks_by_class_and_by_path():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(nn.ReLU(), nn.ReLU()))
    with pytest.raises(InputError, match='no block told by its class'):
        find_blocks(model)
    assert list(find_blocks(model, r'1\.\d')) == ['1.0', '1.1']
    with pytest.raises(InputError, match='no block at'):
        find_blocks(model, 'x')


def test_outputs_are_recorded_inside_the_block_alone():
    model = nn.Sequential(nn.Identity(), nn.Flatten())
    seen = []
    with record_outputs({'0': model[0]}, lambda path, output: seen.append((path, output))):
        model(torch.ones(1, 2))
    model(torch.ones(1, 2))
    assert [path for path, _ in seen] == ['0']
    assert seen[0][1].equal(torch.ones(1, 2))
