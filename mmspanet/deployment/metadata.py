"""What a file of a whole model says about itself, so that it can be run without its config."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmspanet import __version__
from mmspanet.apis.inference import dataset_meta
from mmspanet.config_check import TASKS, input_size, library_of
from mmspanet.datasets.paths import part_datasets
from mmspanet.errors import InputError

from .end2end import divisor

# Steps of test pipelines that leave the pixels as they are.
_HARMLESS = ('Load', 'Pack', 'Collect', 'ImageToTensor', 'ToTensor')


def end2end_notes(
    cfg: Config, model: Any, config: str, size: tuple[int, int] | None, batch: int | None
) -> dict[str, str]:
    """The notes of docs/deployment.md's table.

    Args:
        cfg: The config.
        model: Its model.
        config: Path of the config.
        size: Height and width of the images of a fixed graph, else None.
        batch: Number of images of a fixed graph, else None.

    Raises:
        InputError: If the test pipeline does something with the pixels that the notes can't say.
    """
    task = TASKS[library_of(cfg)]
    meta = dataset_meta(cfg) if list(part_datasets(cfg, 'test')) else {}
    rcnn = (cfg.model.get('test_cfg') or {}).get('rcnn') or {}
    return dict(
        task=task,
        part='end2end',
        channels='BGR',
        resize=json.dumps(resizing(test_pipeline(cfg))),
        divisor=str(divisor(model.data_preprocessor)),
        size=json.dumps(size),
        batch=json.dumps(batch),
        classes=json.dumps(list(meta.get('classes', []))),
        palette=json.dumps([list(map(int, color)) for color in meta.get('palette') or []]),
        mask_threshold=str(rcnn.get('mask_thr_binary', 0.5)),
        window=json.dumps(window(cfg.model.get('test_cfg'))),
        precision='fp32',
        config=Path(config).name,
        version=__version__,
    )


def part_notes(cfg: Config, config: str, part: str) -> dict[str, str]:
    """What a runtime has to know beside the graph of a part, whose images are normalized."""
    given = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor', {})
    in_rgb = given.get('bgr_to_rgb') or given.get('to_rgb')
    return dict(
        config=Path(config).name,
        part=part,
        mean=str(list(given.get('mean', []))),
        std=str(list(given.get('std', []))),
        channels='RGB' if in_rgb else 'BGR',
    )


def test_pipeline(cfg: Config) -> list[dict[str, Any]]:
    """The steps of the test data set's pipeline; none if the config has no such data set."""
    pipelines = [dataset.get('pipeline', []) for _, dataset in part_datasets(cfg, 'test')]
    return list(pipelines[0]) if pipelines else []


def resizing(pipeline: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What a pipeline does with the number of pixels.

    Returns:
        ``scale`` (width and height, or the length of ``edge``), ``keep_ratio``, ``edge``,
        ``interpolation``, ``backend`` and ``crop`` (height and width), as far as they apply.

    Raises:
        InputError: If a step does something else with the pixels.
    """
    found: dict[str, Any] = {}
    for step in pipeline:
        name = step['type'].rpartition('.')[2]
        if name in ('Resize', 'ResizeEdge') and step.get('scale') is not None:
            scale = step['scale']
            if name == 'ResizeEdge':
                found = dict(scale=scale, edge=step.get('edge', 'short'))
            else:
                both = [scale, scale] if isinstance(scale, int) else list(scale)
                found = dict(scale=both, keep_ratio=step.get('keep_ratio', False))
            found['interpolation'] = step.get('interpolation', 'bilinear')
            found['backend'] = step.get('backend', 'cv2')
        elif name == 'CenterCrop':
            crop = step['crop_size']
            # MMCV's (width, height) is named so; MMPretrain takes it over.
            found['crop'] = [crop, crop] if isinstance(crop, int) else list(crop)[::-1]
        elif not name.startswith(_HARMLESS):
            raise InputError(
                f'The step {name} of the test pipeline has no place in the notes of a whole model: '
                'take it out of the pipeline, or export without --end2end.'
            )
    return found


def window(test_cfg: Mapping[str, Any] | None) -> dict[str, list[int]] | None:
    """Height and width of a segmentor's sliding windows, and their stride; None without them."""
    if test_cfg is None or test_cfg.get('mode') != 'slide':
        return None
    return dict(crop=list(test_cfg['crop_size']), stride=list(test_cfg['stride']))


def image_size(cfg: Config) -> tuple[int, int]:
    """Height and width of the images where the user names none: those of the test pipeline.

    A detector's are in landscape format. A segmentor's are the windows or the training crops.
    """
    if library_of(cfg) == 'mmseg':
        crop = (window(cfg.model.get('test_cfg')) or {}).get(
            'crop'
        ) or cfg.model.data_preprocessor.size
        return tuple(crop)
    resize = resizing(test_pipeline(cfg))
    if resize.get('crop'):
        height, width = resize['crop']
        return height, width
    if isinstance(resize.get('scale'), list):
        width, height = resize['scale']
        return height, width
    if library_of(cfg) == 'mmpretrain':
        return input_size(cfg.model.backbone)
    return 800, 1333
