"""Export a detector, a segmentor, a classifier or its backbone to ONNX, and check the graphs.

A classifier and a segmentor are one graph, from normalized images to logits. A one-stage detector
goes up to the maps of its head; Mask R-CNN is three graphs (proposals, box_head, mask_head), a
cascade its proposals; docs/deployment.md says what runs between them. Each graph is compared with
PyTorch in onnxruntime before it is called done. Needs pip install onnx onnxscript onnxruntime.
"""

import argparse
import copy
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.utils import digit_version
from rich.console import Console

from mmspanet import cli
from mmspanet.errors import InputError
from mmspanet.files import make_folder


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    parser.add_argument(
        'checkpoint', nargs='?', help='path or URL of the checkpoint; without it, random weights'
    )
    parser.add_argument(
        '--out',
        type=cli.output_folder,
        default=Path('work_dirs/onnx'),
        help='folder of the .onnx files',
    )
    parser.add_argument('--part', choices=['model', 'backbone'], default='model', help='what')
    parser.add_argument(
        '--size',
        nargs=2,
        type=cli.image_side,
        metavar=('HEIGHT', 'WIDTH'),
        help='of the images, in pixels; the graph is for this size alone. Default: 800x1280 '
        '(detection), the crop (segmentation), the training size (classification)',
    )
    parser.add_argument('--dynamic-batch', action='store_true', help='any number of images')
    cli.add_cfg_options(parser, 'such as model.test_cfg.mode=slide')
    return parser.parse_args()


def build(cfg: Config, checkpoint: str | None) -> Any:
    """The config's model in test mode, with the checkpoint's weights."""
    from mmspanet.apis.build import build_model
    from mmspanet.checkpoints import load

    model = build_model(cfg).eval()
    if checkpoint:
        load(model, checkpoint)
    return model


def image_size(cfg: Config) -> tuple[int, int]:
    """Height and width of the images where the user names none."""
    if cfg.default_scope == 'mmseg':
        return tuple(cfg.model.data_preprocessor.size)
    if cfg.default_scope == 'mmpretrain':
        from mmspanet.analysis.costs import input_size

        return input_size(cfg.model.backbone)
    return 800, 1280


def notes(cfg: Config, config: str, part: str) -> dict[str, str]:
    """What a runtime has to know beside the graph, for the file's metadata."""
    given = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor', {})
    in_rgb = given.get('bgr_to_rgb') or given.get('to_rgb')
    return dict(
        config=Path(config).name,
        part=part,
        mean=str(list(given.get('mean', []))),
        std=str(list(given.get('std', []))),
        channels='RGB' if in_rgb else 'BGR',
    )


def check_environment() -> None:
    """Check that what exporting needs, and running doesn't, is there."""
    import torch

    if digit_version(torch.__version__) < digit_version('2.9'):
        raise InputError(
            f'PyTorch {torch.__version__} has not the exporter that is used here: install 2.9 or '
            'newer where you export; the graphs run anywhere.'
        )
    missing = [name for name in ('onnx', 'onnxruntime', 'onnxscript') if find_spec(name) is None]
    if missing:
        raise InputError(
            f'{", ".join(missing)} can not be imported: pip install onnx onnxscript onnxruntime.'
        )


def main() -> None:
    args = parse_args()
    check_environment()
    from mmspanet.deployment import export, parts

    cfg = cli.load_model_config(args.config, args.cfg_options)
    size = tuple(args.size) if args.size else image_size(cfg)
    model = build(cfg, args.checkpoint)
    cut = parts.backbone_parts if args.part == 'backbone' else parts.model_parts
    prepared = copy.deepcopy(model)
    parts.prepare(prepared, size)
    batches = (2, 3) if args.dynamic_batch else (1,)
    references = [cut(model, size, batch) for batch in batches]
    make_folder(args.out)
    for i, part in enumerate(cut(prepared, size, batches[0])):
        path = args.out / f'{Path(args.config).stem}_{part.name}_{size[0]}x{size[1]}.onnx'
        with Console(stderr=True).status(f'exporting {part.name}'):
            export.write_onnx(part, path, args.dynamic_batch, notes(cfg, args.config, part.name))
            difference = max(export.largest_difference(path, r[i]) for r in references)
        if difference > export.TOLERANCE:
            sys.exit(f'error: {path} differs from PyTorch by {difference:.1e} (relative).')
        print(f'{path}: {", ".join(part.inputs)} -> {", ".join(part.outputs)}')
        print(f'  opset {export.OPSET}, {path.stat().st_size / 2**20:.1f} MiB')
        print(f'  differs from PyTorch by {difference:.1e} at most (relative, in onnxruntime)')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
