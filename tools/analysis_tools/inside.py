"""Look inside a SPANetV2: its filters' gains, modulators, receptive fields and Grad-CAM.

Writes, each as .png, .svg and .csv: srf_gains (mean gain of the re-scaling filters by stage and
head), modulators (over some images), receptive_field (of the end of each stage) and, for a
classifier with a checkpoint, grad_cam. Without a checkpoint the weights are random.
"""

import argparse
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from mmengine.device import get_device
from rich.progress import track

from mmspanet import cli
from mmspanet.analysis import images, plotting
from mmspanet.analysis.inside import grad_cam, modulators, receptive_field, srf_gain
from mmspanet.analysis.inside.blocks import find_blocks
from mmspanet.analysis.models import RANDOM, build, read_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('checkpoint', nargs='?', help='path or URL (default: random weights)')
    images.add_image_options(parser, count=16)
    parser.add_argument(
        '--show',
        type=images.at_least_one,
        default=4,
        help='number of images with modulators and Grad-CAM (4)',
    )
    parser.add_argument(
        '--cam-layer',
        help='path in the backbone of the layer for Grad-CAM (default: the end of each stage)',
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of random weights')
    parser.add_argument('--device', default=get_device(), help='where to compute')
    parser.add_argument(
        '--out-dir',
        type=Path,
        default=Path('work_dirs/analysis'),
        help='folder of the figures and tables (default work_dirs/analysis)',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    paths = images.chosen_images(args, read_config(args.config))
    model = build(args.config, args.checkpoint, args.seed)
    model.network.to(args.device)
    policy, size = images.SIZE_POLICIES[args.policy], args.size or model.input_size
    written = []

    def save(name: str, figure: Figure, rows: list[dict[str, Any]]) -> None:
        with plotting.style():
            figure.suptitle(model.title)
        written.extend(plotting.save_figure(figure, rows, args.out_dir / name))

    gains = srf_gain.head_gains(model.backbone)
    save('srf_gains', srf_gain.draw_gains(gains), srf_gain.table(gains))

    shown = images.evenly(paths, args.show)
    names = [f'{path.parent.name}/{path.name}' for path in shown]
    pictures = [images.read_image(path, policy, size) for path in shown]
    inputs = [model.normalize(picture[None].to(args.device)) for picture in pictures]
    maps = [modulators.modulator_maps(model.backbone, x) for x in track(inputs, 'modulators')]
    figure = modulators.draw_modulators(pictures, names, maps)
    save('modulators', figure, modulators.table(names, maps))

    blocks = find_blocks(model.backbone)
    ends = receptive_field.stage_ends(model.backbone, blocks, inputs[0])
    stream = (model.normalize(x.to(args.device)) for x in images.batches(paths, size, 1, policy))
    progress = track(stream, 'receptive fields', total=len(paths))
    fields = {model.title: receptive_field.receptive_fields(model.backbone, ends, progress)}
    figure = receptive_field.draw_fields(fields)
    save('receptive_field', figure, receptive_field.table(fields))

    if model.is_classifier and model.weights != RANDOM:
        layers = (
            {args.cam_layer: model.backbone.get_submodule(args.cam_layer)}
            if args.cam_layer
            else ends
        )
        cams = [
            [grad_cam.grad_cam(model, layer, x) for layer in layers.values()]
            for x in track(inputs, 'Grad-CAM')
        ]
        figure = grad_cam.draw_cams(pictures, names, list(layers), cams)
        save('grad_cam', figure, grad_cam.table(names, list(layers), cams))
    else:
        print('no Grad-CAM: it needs a classifier with trained weights')
    print(f'{model.name}, {model.weights}')
    for path in written:
        print(path)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
