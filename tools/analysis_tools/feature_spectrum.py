"""Draw the relative log amplitude of every block of one or more models, averaged over images.

A model is the path of an mmdet, mmseg or mmpretrain config, a config of theirs by name
(mmpretrain::convnext/convnext-tiny_32xb128_in1k.py), or timm:NAME. Add =CHECKPOINT for its weights;
without it they are random. Writes feature_spectrum.png, .svg and .csv.
"""

import argparse
from pathlib import Path

import torch
from mmengine.device import get_device
from rich.progress import track

from mmspanet import cli
from mmspanet.analysis import images, plotting
from mmspanet.analysis.inside import feature_spectrum as spectra
from mmspanet.analysis.inside.blocks import find_blocks
from mmspanet.analysis.models import Model, build, read_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'models',
        nargs='+',
        metavar='MODEL[=CHECKPOINT]',
        help='config, mmpretrain::NAME, timm:NAME',
    )
    images.add_image_options(parser, count=64, policies=list(images.SIZE_POLICIES))
    parser.add_argument(
        '--profile',
        choices=spectra.PROFILES,
        default='radial',
        help='mean over rings of equal radius (the default), or the half-diagonal of the paper '
        'that the measure is from',
    )
    parser.add_argument(
        '--blocks', metavar='REGEX', help='paths of the modules to look at, in all the models'
    )
    parser.add_argument(
        '--batch-size', type=images.at_least_one, default=8, help='images at a time (default 8)'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of random weights')
    parser.add_argument('--device', default=get_device(), help='where to compute')
    parser.add_argument(
        '--out-dir',
        type=Path,
        default=Path('work_dirs/analysis'),
        help='folder of the figure and its table (default work_dirs/analysis)',
    )
    return parser.parse_args()


def measure(
    model: Model, paths: list[Path], size: int, args: argparse.Namespace
) -> list[spectra.BlockSpectrum]:
    batches = images.batches(paths, size, args.batch_size, images.SIZE_POLICIES[args.policy])
    steps = -(-len(paths) // args.batch_size) if args.policy != 'keep' else None
    model.network.to(args.device)
    return spectra.feature_spectrum(
        model.backbone,
        find_blocks(model.backbone, args.blocks),
        (
            model.normalize(batch.to(args.device))
            for batch in track(batches, model.name, total=steps)
        ),
        spectra.PROFILES[args.profile],
    )


def main() -> None:
    args = parse_args()
    first = args.models[0].partition('=')[0]
    cfg = None if first.startswith('timm:') else read_config(first)
    paths = images.chosen_images(args, cfg)
    size, drawn = args.size, {}
    for spec in args.models:
        path, _, checkpoint = spec.partition('=')
        model = build(path, checkpoint or None, args.seed, size)
        size = size or model.input_size
        drawn[model.title] = measure(model, paths, size, args)
    figure = spectra.draw_models(drawn)
    written = plotting.save_figure(figure, spectra.table(drawn), args.out_dir / 'feature_spectrum')
    sides = 'their own size' if args.policy == 'keep' else f'{size} x {size} pixels ({args.policy})'
    print(f'{len(paths)} images of {sides}, {args.profile} profile')
    for path in written:
        print(path)


if __name__ == '__main__':
    torch.set_grad_enabled(False)
    with cli.one_line_errors():
        main()
