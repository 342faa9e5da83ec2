"""What a study looks at: images are read once, stages are found once."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from mmspanet.analysis import subject as subjects
from mmspanet.analysis.images import Picture
from mmspanet.analysis.models import RANDOM, Model, Normalization
from mmspanet.analysis.subject import Subject, make_scene_subject, make_subjects, told_apart
from mmspanet.models import SPANetV2

SHAPES = str(Path(__file__).parents[2] / 'configs/cls/spanetv2_shapes.py')


def model_of(network: nn.Module) -> Model:
    return Model('m', network, network, RANDOM, Normalization((1.0,) * 3), True, (), 64)


def test_inputs_are_normalized_in_order():
    pictures = [Picture(str(i), torch.full((3, 4, 4), i, dtype=torch.uint8)) for i in range(5)]
    subject = Subject(model_of(nn.Identity()), pictures, 'cpu')
    given = torch.cat(list(subject.batches(2, 'title')))
    assert given[:, 0, 0, 0].tolist() == [-1, 0, 1, 2, 3]
    some = {picture.name: x for picture, x in subject.some(2, 'title')}
    assert {name: x.mean().item() for name, x in some.items()} == {'0': -1, '2': 1}


def test_stage_ends_are_found_once():
    arch = dict(depths=(2, 1, 1, 1), channels=(8, 16, 24, 32))
    network = SPANetV2(arch=arch, input_size=64).eval()
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    picture = Picture('a', torch.zeros(3, 64, 64, dtype=torch.uint8))
    subject = Subject(model_of(network), [picture], 'cpu')
    ends = list(subject.stage_ends)
    assert ends == ['stages.0.1', 'stages.1.0', 'stages.2.0', 'stages.3.0']
    assert list(subject.stage_ends) == ends
    assert len(calls) == 1


def test_images_are_read_once_for_all_models(tmp_path, monkeypatch):
    pytest.importorskip('mmpretrain')
    for name in ('a.png', 'b.png'):
        Image.new('RGB', (80, 70)).save(tmp_path / name)
    read = []
    monkeypatch.setattr(
        subjects, 'read_image', lambda *a, f=subjects.read_image: read.append(a) or f(*a)
    )
    made = make_subjects([(SHAPES, None), (SHAPES, None)], tmp_path, 8, 'crop', None, 0, 'cpu')
    assert len(read) == 2
    assert made[0].pictures is made[1].pictures
    assert made[0].pictures[0].pixels.shape == (3, 64, 64)  # the size of the first model


def test_models_of_one_name_are_told_apart():
    def of(name, weights):
        return replace(model_of(nn.Identity()), name=name, weights=weights)

    before, after = 'work_dirs/a/epoch_1.pth', 'work_dirs/b/epoch_1.pth'
    models = [of('m', before), of('m', after), of('m', RANDOM), of('n', before)]
    assert [model.title for model in told_apart(models)] == [
        'm, a/epoch_1.pth',
        'm, b/epoch_1.pth',
        'm (random weights)',
        'n',
    ]


def test_a_scene_stands_in_for_an_image():
    pytest.importorskip('mmpretrain')
    first, same, other = (
        make_scene_subject(SHAPES, None, None, 96, seed, 'cpu').pictures[0] for seed in (0, 0, 1)
    )
    assert first.pixels.shape == (3, 96, 96)
    assert first.pixels.equal(same.pixels)
    assert not first.pixels.equal(other.pixels)
