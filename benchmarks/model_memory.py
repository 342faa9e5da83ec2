"""Count the bytes that autograd keeps of a whole model's loss, in its backbone and beyond.

Counted as in benchmarks.activation_memory: what one more image of the recipe's size adds. Images
are noise; detectors get 128 objects an image, so that the mask head has as many regions as its
sampler takes, and segmentors a label for each pixel.
"""

import argparse
import functools
import gc
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from mmcv.ops import RoIAlign, nms
from mmengine.structures import InstanceData, PixelData
from rich.progress import track
from torch import Tensor, nn

from benchmarks import tables
from benchmarks.activation_memory import saved
from benchmarks.timing import report
from mmspanet import cli, surroundings
from mmspanet.apis.build import build_model

CONFIGS = Path(__file__).parents[1] / 'configs'
OBJECTS = 128  # a quarter of the 512 regions that the sampler takes of an image
# Config, size of the images and images in a batch, by the models' names.
MODELS = {
    'Mask R-CNN': ('det/maskrcnn_spanetv2.py', (800, 1216), 2),
    'UperNet': ('seg/upernet_spanetv2.py', (512, 512), 4),
    'classifier': ('cls/spanetv2.py', (224, 224), 128),
}


def detection_sample(model: nn.Module, height: int, width: int) -> Any:
    """A sample with boxes of 32 to 160 pixels a side, and empty masks."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    corners = torch.rand(OBJECTS, 2) * torch.tensor([width - 160.0, height - 160.0])
    objects = InstanceData(
        bboxes=torch.cat([corners, corners + 32 + 128 * torch.rand(OBJECTS, 2)], dim=1),
        labels=torch.randint(0, 80, (OBJECTS,)),
        masks=BitmapMasks(np.zeros((OBJECTS, height, width), np.uint8), height, width),
    )
    sample = DetDataSample(gt_instances=objects, ignored_instances=InstanceData())
    sample.ignored_instances.bboxes = torch.zeros(0, 4)
    sample.set_metainfo(dict(img_shape=(height, width), ori_shape=(height, width)))
    return sample


def segmentation_sample(model: nn.Module, height: int, width: int) -> Any:
    """A sample with a class for each pixel."""
    from mmseg.structures import SegDataSample

    labels = torch.randint(0, 150, (1, height, width))
    sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
    sample.set_metainfo(dict(img_shape=(height, width), ori_shape=(height, width)))
    return sample


def classification_sample(model: nn.Module, height: int, width: int) -> Any:
    """A sample with a class."""
    from mmpretrain.structures import DataSample

    return DataSample().set_gt_label(0)


SAMPLES: dict[str, Callable[..., Any]] = dict(
    mmdet=detection_sample, mmseg=segmentation_sample, mmpretrain=classification_sample
)


def build(file: str) -> tuple[nn.Module, Callable[..., Any]]:
    """A model of random weights in training mode, and what makes a sample for it."""
    cfg = cli.load_model_config(str(CONFIGS / file))
    torch.manual_seed(0)
    model = build_model(cfg).train()
    for part in model.modules():
        if isinstance(part, RoIAlign):  # has no bfloat16 on CPUs, and keeps no map
            part.forward = functools.partial(_in_float32, part.forward)
    return model, SAMPLES[cfg.default_scope]


def _in_float32(align: Callable[..., Tensor], maps: Tensor, regions: Tensor) -> Tensor:
    return align(maps.float(), regions.float()).to(maps.dtype)


def _nms_in_float32(boxes: Tensor, scores: Tensor, *args: Any, **kwargs: Any) -> Any:
    return nms(boxes.float(), scores.float(), *args, **kwargs)


def kept_bytes(
    model: nn.Module, sample: Callable[..., Any], size: tuple[int, int], images: int, autocast: bool
) -> Counter[str]:
    """Bytes that the loss of some images leaves for the backward pass, by part of the model."""
    parts: Counter[str] = Counter()
    inside = 'rest'

    def enter(part: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            nonlocal inside
            inside = part

        return hook

    backbone: Any = model.backbone
    hooks = (
        backbone.register_forward_pre_hook(enter('backbone')),
        backbone.register_forward_hook(enter('rest')),
    )
    batch = dict(
        inputs=[torch.randint(0, 256, (3, *size), dtype=torch.uint8) for _ in range(images)],
        data_samples=[sample(model, *size) for _ in range(images)],
    )
    preprocess: Any = model.data_preprocessor
    parse: Any = model.parse_losses

    def note(x: Tensor) -> None:
        parts[inside] += x.untyped_storage().nbytes()

    # As RoIAlign: mmcv's has no bfloat16 on CPUs.
    without_half = mock.patch.object(import_module('mmcv.ops.nms'), 'nms', _nms_in_float32)
    with without_half, saved(model, note), torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        parse(model(**preprocess(batch, training=True), mode='loss'))
    for hook in hooks:
        hook.remove()
    return parts


def bytes_per_image(
    model: nn.Module, sample: Callable[..., Any], size: tuple[int, int], autocast: bool
) -> dict[str, int]:
    """Bytes of one more image, by part of the model."""
    fewest = 2 if hasattr(model, 'decode_head') else 1  # UPerNet's norms refuse a batch of one
    less, more = (kept_bytes(model, sample, size, fewest + i, autocast) for i in (0, 1))
    return {part: more[part] - less[part] for part in ('backbone', 'rest')}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--models', nargs='+', choices=MODELS, default=[*MODELS])
    parser.add_argument('--out', type=Path, help='JSON file of the record to write')
    args = parser.parse_args()
    counted = {}
    for name in track(args.models, 'models'):
        file, size, images = MODELS[name]
        model, sample = build(file)
        gc.collect()  # the model before, which holds circles
        counted[name] = dict(
            size=size,
            images=images,
            float32=bytes_per_image(model, sample, size, autocast=False),
            bfloat16=bytes_per_image(model, sample, size, autocast=True),
            parameters=sum(p.numel() for p in model.parameters()),
        )
    record = dict(**surroundings.record(device='cpu'), models=counted)
    report(record, tables.model_memory(record), args.out)


if __name__ == '__main__':
    main()
