"""Export a detector, a segmentor, a classifier or its backbone to ONNX, OpenVINO or AOTInductor.

With --end2end, the file takes resized uint8 images and gives boxes and masks, label maps or
probabilities; without it, it has the network's raw outputs, and Mask R-CNN is three files. Each
file is opened again and compared with PyTorch before it is called done: a part by its numbers, a
whole model by what it finds in images of the config's test data set, or of --check-images.
docs/deployment.md has the table of what goes in and comes out. Needs pip install -e '.[deploy]'.
"""

import argparse
import copy
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.utils import digit_version
from rich.console import Console

from mmspanet import cli
from mmspanet.errors import InputError
from mmspanet.files import make_folder

FREE = ('batch', 'size')
CALIBRATION = 64  # images


def free_sides(text: str) -> frozenset[str]:
    """Read a list such as ``batch,size``: a ``type`` for argparse."""
    names = frozenset(text.split(','))
    if not names <= set(FREE):
        raise argparse.ArgumentTypeError(f'{text} is none of batch, size and batch,size')
    return names


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    parser.add_argument(
        'checkpoint', nargs='?', help='path or URL of the checkpoint; without it, random weights'
    )
    parser.add_argument(
        '--to', choices=['onnx', 'openvino', 'aoti'], default='onnx', help='format (default onnx)'
    )
    parser.add_argument(
        '--end2end', action='store_true', help='one file, from resized uint8 images to results'
    )
    parser.add_argument(
        '--part', choices=['model', 'backbone'], default='model', help='what, without --end2end'
    )
    parser.add_argument(
        '--precision',
        choices=['fp32', 'fp16', 'int8'],
        default='fp32',
        help='of an --end2end file (default fp32); int8 is calibrated on training images',
    )
    parser.add_argument(
        '--dynamic',
        type=free_sides,
        default=frozenset(),
        metavar='batch,size',
        help='what is left free: the number of images, their size, or both',
    )
    parser.add_argument(
        '--spectral',
        choices=['matrices', 'dft'],
        default='matrices',
        help='how the spectral filters are written: as products with matrices (default), or by '
        'the DFT of ONNX',
    )
    parser.add_argument(
        '--size',
        nargs=2,
        type=cli.image_side,
        metavar=('HEIGHT', 'WIDTH'),
        help='of the images, in pixels, where it is fixed. Default: what the test pipeline makes '
        '(detection, in landscape format; classification), the crop (segmentation)',
    )
    parser.add_argument(
        '--check-images',
        type=Path,
        metavar='DIR',
        help='images to compare, without labels (default: the test data set of the config)',
    )
    parser.add_argument(
        '--check-count',
        type=cli.positive_int,
        default=100,
        metavar='N',
        help='images to compare at most (default 100)',
    )
    parser.add_argument(
        '--out',
        type=cli.output_folder,
        default=Path('work_dirs/export'),
        help='folder of the files (default work_dirs/export)',
    )
    cli.add_seed_option(parser)
    cli.add_cfg_options(parser, 'such as model.test_cfg.rcnn.max_per_img=50')
    return parser.parse_args()


def build(cfg: Config, checkpoint: str | None, seed: int) -> Any:
    """The config's model in test mode, with the checkpoint's weights or random ones."""
    import torch

    from mmspanet.apis.build import build_model
    from mmspanet.checkpoints import load

    torch.manual_seed(seed)
    model = build_model(cfg).eval()
    if checkpoint:
        load(model, checkpoint)
    return model


# What each format needs.
PACKAGES = dict(
    onnx=('onnx', 'onnxscript', 'onnxruntime'),
    openvino=('onnx', 'onnxscript', 'openvino'),
    aoti=(),
)


def check_environment(packages: tuple[str, ...]) -> None:
    """Check that what exporting needs, and running doesn't, is there."""
    import torch

    if digit_version(torch.__version__) < digit_version('2.9'):
        raise InputError(
            f'PyTorch {torch.__version__} has not the exporter that is used here: install 2.9 or '
            'newer where you export; the files run anywhere.'
        )
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise InputError(
            f'{", ".join(missing)} can not be imported: pip install {" ".join(packages)}.'
        )


def file_path(args: argparse.Namespace, part: str, size: tuple[int, int], suffix: str) -> Path:
    """Path of a part's file."""
    sides = [] if 'size' in args.dynamic else [f'{size[0]}x{size[1]}']
    precision = [] if args.precision == 'fp32' else [args.precision]
    spectral = [] if args.spectral == 'matrices' else [args.spectral]
    name = '_'.join([Path(args.config).stem, part, *sides, *spectral, *precision])
    return args.out / f'{name}{suffix}'


def convert(
    args: argparse.Namespace, part: Any, path: Path, notes: dict[str, str], images: Any
) -> None:
    """Write a file in float32 to a temporary folder, and to ``path`` in the precision asked for."""
    from mmspanet.deployment import export, precision

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / 'fp32.onnx'
        export.write_onnx(part, source, notes, args.dynamic)
        if args.to == 'onnx' and args.precision == 'fp16':
            precision.to_half(source, path)
        elif args.to == 'onnx':
            precision.to_int8(source, path, images)
        elif args.precision == 'fp16':
            precision.openvino_to_half(source, path, notes)
        else:
            precision.openvino_to_int8(source, path, notes, images)


def calibration(cfg: Config, size: tuple[int, int] | None) -> Any:
    """Inputs of a graph made of images of the training set, one after the other."""
    from mmspanet.deployment import check

    samples = check.training_images(cfg, CALIBRATION)
    return check.feeds_of_all(samples, cfg, size)


def export_parts(args: argparse.Namespace, cfg: Config, model: Any, size: tuple[int, int]) -> None:
    """Write the parts of a model, and compare each with PyTorch by its numbers."""
    from mmspanet.deployment import export, metadata, parts

    cut = parts.backbone_parts if args.part == 'backbone' else parts.model_parts
    kind = export.FORMATS[args.to]
    if 'size' in args.dynamic and args.part != 'backbone':
        raise InputError('Parts have one size: leave it free with --end2end or --part backbone.')
    prepared = copy.deepcopy(model)
    parts.prepare(prepared, None if 'size' in args.dynamic else size, args.spectral)
    batches = (2, 3) if 'batch' in args.dynamic else (1,)
    sizes = (size, (size[0] - 5, size[1] + 23)) if 'size' in args.dynamic else (size,)
    references = [cut(model, other, batch) for batch in batches for other in sizes]
    for i, part in enumerate(cut(prepared, size, batches[0])):
        path = file_path(args, part.name, size, kind.suffix)
        notes = metadata.part_notes(cfg, args.config, part.name)
        with Console(stderr=True).status(f'exporting {part.name}'):
            kind.write(part, path, notes, args.dynamic)
            run = kind.open(path)
            differences = [export.largest_difference(run, r[i]) for r in references]
        say(path, part)
        difference = np.max(differences)  # NaN is the largest
        if not difference <= export.TOLERANCE:
            sys.exit(f'error: {path} differs from PyTorch by {difference:.1e} (relative).')
        print(f'  differs from PyTorch by {difference:.1e} at most (relative)')


def export_whole(args: argparse.Namespace, cfg: Config, model: Any, size: tuple[int, int]) -> None:
    """Write a whole model as one file, and compare what it and PyTorch find in images."""
    from mmspanet.deployment import check, export, metadata, parts

    batch, fixed = (2, None) if 'batch' in args.dynamic else (1, 1)
    kind = export.FORMATS[args.to]
    samples = check.Samples(cfg, args.check_images, args.check_count)
    graph_size = None if 'size' in args.dynamic else size
    notes = metadata.end2end_notes(cfg, model, args.config, graph_size, fixed)
    prepared = copy.deepcopy(model)
    divisor = int(notes['divisor'])
    padded = (size[0] + -size[0] % divisor, size[1] + -size[1] % divisor)
    parts.prepare(prepared, padded if graph_size else None, args.spectral)
    (part,) = parts.end2end_parts(prepared, size, batch)
    path = file_path(args, part.name, size, kind.suffix)
    status = Console(stderr=True).status
    with status('exporting'):
        if args.precision == 'fp32':
            kind.write(part, path, notes, args.dynamic)
        else:
            convert(args, part, path, notes, calibration(cfg, graph_size))
    say(path, part)
    with status('comparing with PyTorch'):
        report = check.compare(kind.open(path), model, cfg, samples, graph_size)
    for line in report.lines():
        print(f'  {line}')
    faults = report.faults(args.precision)
    if faults:
        sys.exit(f'error: {path} is not the model: {"; ".join(faults)}.')


def say(path: Path, part: Any) -> None:
    """What a file is, in one line."""
    weight = sum(p.stat().st_size for p in path.parent.glob(f'{path.stem}.*')) / 2**20
    print(f'{path}: {", ".join(part.inputs)} -> {", ".join(part.outputs)}, {weight:.1f} MiB')


def main() -> None:
    args = parse_args()
    needed = PACKAGES[args.to]
    if (args.to, args.precision) == ('openvino', 'int8'):
        needed += ('nncf',)
    check_environment(needed)
    if args.precision != 'fp32' and not args.end2end:
        raise InputError(
            f'{args.precision} loses accuracy, which is measured with --end2end: add it.'
        )
    if args.precision != 'fp32' and args.check_images:
        raise InputError(
            f'{args.precision} is judged by metrics, which need labels: leave out --check-images.'
        )
    if args.precision != 'fp32' and args.to == 'aoti':
        raise InputError('Files of AOTInductor are float32: take --to onnx or openvino.')
    from mmspanet.deployment import metadata

    cfg = cli.load_model_config(args.config, args.cfg_options)
    size = tuple(args.size) if args.size else metadata.image_size(cfg)
    model = build(cfg, args.checkpoint, args.seed)
    make_folder(args.out)
    (export_whole if args.end2end else export_parts)(args, cfg, model, size)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
