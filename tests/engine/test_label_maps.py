"""Label maps that a loader or a loss fails at: the run's last word names the file."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from torch.nn.functional import cross_entropy

from mmspanet.engine import run
from mmspanet.errors import InputError

HEIGHT, WIDTH = 48, 64
HEALTHY = np.ones((HEIGHT, WIDTH), np.uint8)
CASES = {
    'wrong size': lambda path: cv2.imwrite(str(path), HEALTHY[:7, :9]),
    'label out of range': lambda path: cv2.imwrite(str(path), 77 * HEALTHY),
    'not a label map': lambda path: cv2.imwrite(str(path), np.stack([HEALTHY] * 3, -1)),
    'broken image': lambda path: path.write_bytes(path.read_bytes()[:40]),
}


@pytest.fixture
def cfg(tmp_path):
    """A data set of two images with two classes."""
    pytest.importorskip('mmseg.datasets')
    for folder, pixels in {
        'images': np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        'maps': HEALTHY,
    }.items():
        (tmp_path / folder).mkdir()
        for name in ('a', 'b'):
            cv2.imwrite(str(tmp_path / folder / f'{name}.png'), pixels)
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        img_suffix='.png',
        data_prefix=dict(img_path='images', seg_map_path='maps'),
        metainfo=dict(classes=('sky', 'sea')),
        reduce_zero_label=False,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.75),
            dict(type='PackSegInputs'),
        ],
    )
    return Config(dict(default_scope='mmseg', train_dataloader=dict(dataset=dataset)))


def fail(cfg):
    """Load a sample and take a loss, as a training does."""
    from mmseg.models.losses import CrossEntropyLoss

    with DefaultScope.overwrite_default_scope('mmseg'):
        sample = DATASETS.build(cfg.train_dataloader.dataset)[1]
    labels = torch.stack([sample['data_samples'].gt_sem_seg.data.long()]).squeeze(1)
    CrossEntropyLoss()(torch.zeros(1, 2, *sample['inputs'].shape[-2:]), labels)


@pytest.mark.parametrize('kind', CASES)
def test_the_file_is_named(cfg, tmp_path, kind):
    path = tmp_path / 'maps' / 'b.png'
    CASES[kind](path)
    runner = SimpleNamespace(cfg=cfg)
    with (
        pytest.raises(InputError, match=f'b.png has a fault, {kind}'),
        run._ending_errors(runner, run._RunHook()),
    ):
        fail(cfg)


def test_other_errors_stay_what_they_are(cfg):
    with (
        pytest.raises(IndexError, match='out of bounds'),
        run._ending_errors(SimpleNamespace(cfg=cfg), begun()),
    ):
        cross_entropy(torch.zeros(1, 2), torch.tensor([7]))


def test_errors_of_a_model_read_no_data(cfg, tmp_path):
    CASES['label out of range'](tmp_path / 'maps' / 'b.png')
    with (
        pytest.raises(RuntimeError, match='size of tensor'),
        run._ending_errors(SimpleNamespace(cfg=cfg), begun()),
    ):
        torch.zeros(2, 3) + torch.zeros(2, 4)


def test_a_gpu_tells_of_a_label_later(cfg, tmp_path):
    CASES['label out of range'](tmp_path / 'maps' / 'b.png')
    with (
        pytest.raises(InputError, match=r'b\.png has a fault, label out of range'),
        run._ending_errors(SimpleNamespace(cfg=cfg), begun()),
    ):
        raise RuntimeError('CUDA error: device-side assert triggered')


def begun():
    hook = run._RunHook()
    hook.has_begun = True
    return hook
