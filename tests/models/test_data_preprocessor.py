"""A batch through normalizing, mixup and random erasing, in timm's order and with its noise."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

registry = pytest.importorskip('mmpretrain.registry')
erasing_of_timm = pytest.importorskip('timm.data.random_erasing')

from mmpretrain.models import ClsDataPreprocessor  # noqa: E402
from mmpretrain.structures import DataSample  # noqa: E402

CONFIG = Path(__file__).parents[2] / 'configs/cls/spanetv2.py'
SIDE = 64


@pytest.fixture
def preprocessor():
    """The one that the config's classifier builds, with its augments."""
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(CONFIG)
    cfg.model.data_preprocessor = cfg.data_preprocessor
    cfg.model.backbone.arch = dict(depths=(1, 1, 1, 1), channels=(8, 8, 8, 8))
    return registry.MODELS.build(cfg.model).data_preprocessor


def batch(images):
    samples = [DataSample().set_gt_label(k % 1000) for k in range(len(images))]
    return dict(inputs=images, data_samples=samples)


def gray(number):
    """Images of one color each, so that whatever differs inside of one was erased."""
    levels = torch.arange(number, dtype=torch.uint8).view(-1, 1, 1, 1) % 200
    return levels.expand(-1, 3, SIDE, SIDE).clone()


def mixing(preprocessor, kind):
    """Let the batch augment of a name be drawn."""
    augments = preprocessor.batch_augments
    augments.augments = [a for a in augments.augments if type(a).__name__ == kind]
    assert len(augments.augments) == 1
    return preprocessor


def test_mixup_and_cutmix_are_drawn_as_before(preprocessor):
    names = [type(augment).__name__ for augment in preprocessor.batch_augments.augments]
    assert names == ['Mixup', 'CutMix']
    assert preprocessor.batch_augments.probs is None  # equal


def test_erasing_comes_behind_mixup_on_the_normalized_batch(preprocessor):
    """Mixtures of one-colored images stay one-colored; the noise in them is N(0, 1), unmixed."""
    mixing(preprocessor, 'Mixup')
    torch.manual_seed(0)
    np.random.seed(0)
    images = preprocessor(batch(gray(600)), training=True)['inputs']
    noise, sizes = [], []
    for image in images:
        color = image.flatten(1).median(dim=1).values  # at most a third is erased
        differs = (image != color.view(3, 1, 1)).all(dim=0)
        if not differs.any():
            continue
        rows, columns = differs.any(dim=1).nonzero(), differs.any(dim=0).nonzero()
        box = [slice(int(i.min()), int(i.max()) + 1) for i in (rows, columns)]
        assert differs[box[0], box[1]].all()  # one rectangle, all of it
        noise.append(image[:, box[0], box[1]].flatten())
        sizes.append([b.stop - b.start for b in box])
    share = len(sizes) / len(images)
    assert share == pytest.approx(0.25, abs=6 * (0.25 * 0.75 / len(images)) ** 0.5)
    noise = torch.cat(noise)
    deviation = 6 / len(noise) ** 0.5
    assert noise.mean().item() == pytest.approx(0.0, abs=deviation)
    assert noise.std().item() == pytest.approx(1.0, abs=deviation)
    assert noise.abs().max() > 4  # black is at -2.1, white at 2.6: nothing is clipped
    assert_rectangles_are_timms(np.array(sizes, dtype=float))


def assert_rectangles_are_timms(sizes):
    """Area and aspect ratio, against those that timm's own erasing draws."""
    random.seed(0)
    torch.manual_seed(0)
    erase = erasing_of_timm.RandomErasing(probability=1.0, mode='pixel', device='cpu')
    erased = erase(torch.zeros(len(sizes), 3, SIDE, SIDE)) != 0
    theirs = [[int(image[0].any(dim=1 - axis).sum()) for axis in (0, 1)] for image in erased]
    theirs = np.array(theirs, dtype=float)
    for measure in (lambda s: s.prod(axis=1) / SIDE**2, lambda s: np.log(s[:, 0] / s[:, 1])):
        a, b = measure(sizes), measure(theirs)
        error = (a.var() / len(a) + b.var() / len(b)) ** 0.5
        assert a.mean() == pytest.approx(b.mean(), abs=6 * error)
        assert a.std() == pytest.approx(b.std(), rel=0.3)
        assert a.min() == pytest.approx(b.min(), abs=0.3)
        assert a.max() == pytest.approx(b.max(), abs=0.3)


def test_cutmix_and_labels_are_mmpretrains(preprocessor):
    """But for the erased rectangles, the batch is what MMPretrain's own preprocessor makes."""
    options = dict(num_classes=1000, mean=preprocessor.mean.flatten().tolist(), to_rgb=True)
    options |= dict(std=preprocessor.std.flatten().tolist())
    plain = ClsDataPreprocessor(
        **options, batch_augments=dict(augments=[dict(type='CutMix', alpha=1.0)])
    )
    mixing(preprocessor, 'CutMix')
    images = torch.randint(0, 256, (64, 3, SIDE, SIDE), dtype=torch.uint8)
    results = []
    for each in (plain, preprocessor):
        np.random.seed(0)
        torch.manual_seed(0)
        results.append(each(batch(images.clone()), training=True))
    expected, got = results
    same = (expected['inputs'] == got['inputs']).all(dim=1).flatten(1).float().mean(dim=1)
    assert (same == 1).sum() > 30
    assert same.min() > 0.6
    for a, b in zip(expected['data_samples'], got['data_samples'], strict=True):
        assert torch.equal(a.gt_score, b.gt_score)


@pytest.mark.parametrize('stacked', [True, False])
def test_nothing_is_erased_in_a_test(preprocessor, stacked):
    images = torch.randint(0, 256, (64, 3, SIDE, SIDE), dtype=torch.uint8)
    given = images.clone() if stacked else list(images)
    got = preprocessor(batch(given), training=False)['inputs']
    expected = (images.flip(1) - preprocessor.mean) / preprocessor.std
    torch.testing.assert_close(got, expected)
