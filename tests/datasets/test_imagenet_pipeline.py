"""The training images of the ImageNet configs: how they are resampled, and what is drawn."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

transforms = pytest.importorskip('mmpretrain.datasets.transforms')

CONFIG = Path(__file__).parents[2] / 'configs/cls/spanetv2.py'
PILLOW = {Image.Resampling.BILINEAR: 'bilinear', Image.Resampling.BICUBIC: 'bicubic'}
OPENCV = {cv2.INTER_LINEAR: 'bilinear', cv2.INTER_CUBIC: 'bicubic'}
GEOMETRIC = {'Rotate', 'Shear', 'Translate'}


@pytest.fixture
def steps():
    init_default_scope('mmpretrain')
    pipeline = Config.fromfile(CONFIG).train_dataloader.dataset.pipeline
    return [transforms.TRANSFORMS.build(step) for step in pipeline[1:-1]]


def assert_half_and_half(counts, expected):
    """Both are drawn equally often; a fair draw fails this once in 10^9 runs, and it is seeded."""
    total = sum(counts.values())
    assert total == pytest.approx(expected, abs=6 * (expected / 2) ** 0.5 + 1)
    assert set(counts) == {'bilinear', 'bicubic'}
    assert counts['bilinear'] == pytest.approx(total / 2, abs=6 * (total / 4) ** 0.5)


def test_the_crop_is_resampled_by_one_of_two_at_random(steps, monkeypatch):
    used = Counter()
    resize = Image.Image.resize

    def spy(image, size, resample=None, *args, **kwargs):
        used[PILLOW[resample]] += 1
        return resize(image, size, resample, *args, **kwargs)

    monkeypatch.setattr(Image.Image, 'resize', spy)
    np.random.seed(0)
    image = np.random.randint(0, 256, (20, 24, 3), dtype=np.uint8)
    for _ in range(400):
        assert steps[0](dict(img=image.copy(), img_shape=(20, 24)))['img'].shape == (224, 224, 3)
    assert used.total() == 400
    assert_half_and_half(used, 400)


def noting(operation, drawn):
    """The operation, which notes its name when it is drawn."""

    def call(results):
        drawn.append(type(operation).__name__)
        return operation(results)

    return call


def test_randaugment_draws_two_operations_each_with_its_interpolation(steps, monkeypatch):
    """15 operations of equal chance, each applied in half of its draws; see timm's rand-m9."""
    used, drawn = Counter(), []
    warp = cv2.warpAffine

    def spy(image, matrix, size, *args, flags, **kwargs):
        used[OPENCV[flags]] += 1
        return warp(image, matrix, size, *args, flags=flags, **kwargs)

    monkeypatch.setattr(cv2, 'warpAffine', spy)
    for choice in steps[2:]:
        for (randaugment,) in choice.transforms:
            randaugment.transforms = [noting(each, drawn) for each in randaugment.transforms]
    np.random.seed(0)
    image = np.random.randint(0, 256, (16, 16, 3), dtype=np.uint8)
    images = 2000
    for _ in range(images):
        results = dict(img=image.copy(), img_shape=(16, 16))
        for step in steps[2:]:
            results = step(results)
        assert results['img'].dtype == np.uint8
    assert len(drawn) == 2 * images
    geometric = sum(name in GEOMETRIC for name in drawn)
    assert geometric == pytest.approx(len(drawn) * 5 / 15, abs=6 * (len(drawn) * 2 / 9) ** 0.5)
    assert_half_and_half(used, geometric / 2)
    assert set(Counter(drawn)) >= {'AutoContrast', 'Equalize', 'Invert', 'Posterize', 'Solarize'}


def test_the_pipeline_erases_nothing_itself(steps):
    """Erasing comes behind mixup: see mmspanet.models.data_preprocessor."""
    assert [type(step).__name__ for step in steps] == ['RandomChoice', 'RandomFlip'] + [
        'RandomChoice'
    ] * 2
