"""Draw convolution, self-attention and SPAM in one graph-spectral frame.

Without a config: response against window size (windows, summaries), with and without signs
(signs), and in a Laplacian's eigenbasis (eigenbasis). With the config of a SPANetV2 also its
kernels beside the random ones, the response of SPAM (spam) and, in a hybrid, of its attention
(attention); with random weights, or those of the checkpoint. Each figure is a PNG, an SVG and a
CSV of its data.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track

from mmspanet import cli
from mmspanet.analysis import plotting
from mmspanet.analysis.images import crop, read_image
from mmspanet.analysis.inside.spam_response import (
    depthwise_kernels,
    find_backbone,
    head_responses,
    local_response,
    mixer_inputs,
)
from mmspanet.analysis.models import Model, build
from mmspanet.analysis.theory import sweeps
from mmspanet.analysis.theory.grid import Grid
from mmspanet.datasets.shapes import make_scene
from mmspanet.errors import InputError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', nargs='?', help='path of the config of a SPANetV2')
    parser.add_argument('checkpoint', nargs='?', help='its weights; random ones by default')
    parser.add_argument('--out-dir', type=Path, default=Path('work_dirs/graph_spectrum'))
    parser.add_argument('--grid', type=int, default=28, help='side of the torus, in nodes')
    parser.add_argument(
        '--windows', type=int, nargs='+', default=[3, 5, 7, 9, 13], help='sides, odd'
    )
    parser.add_argument('--kernels', type=int, default=500, help='random kernels per window')
    parser.add_argument('--heads', type=int, default=10, help='random attentions per window')
    parser.add_argument('--image', type=Path, help='for the model; by default a scene of Shapes')
    parser.add_argument('--image-size', type=int, help="in pixels; by default the config's")
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def draw_theory(args: argparse.Namespace, model: Model | None) -> None:
    rng = np.random.default_rng(args.seed)
    grid = Grid(args.grid, args.grid, periodic=True)
    unsigned, signed = (
        sweeps.convolution_sweep(grid, args.windows, args.kernels, rng, signs)
        for signs in (False, True)
    )
    # The first odd window that reaches all nodes.
    windows = [*args.windows, args.grid | 1]
    attention = sweeps.attention_sweep(grid, track(windows, 'self-attention'), args.heads, rng)
    sharp = sweeps.attention_sweep(
        grid, track(windows, 'self-attention, logits x 4'), args.heads, rng, sharpness=4
    )
    save(args, 'windows', sweeps.draw_windows(grid, unsigned, attention, sharp))
    save(args, 'summaries', sweeps.draw_summaries(grid, unsigned, signed, attention, sharp))
    kernels = depthwise_kernels(model.backbone) if model else {}
    learned = {k: kernels[k] for k in kernels if k in args.windows}
    name = 'of the model, random weights' if args.checkpoint is None else 'of the model'
    save(args, 'signs', sweeps.draw_signs(grid, unsigned, signed, learned, name))
    save(args, 'eigenbasis', sweeps.draw_eigenbasis(14, 5, rng))


def draw_model(args: argparse.Namespace, model: Model) -> None:
    size = args.image_size or model.input_size
    heads = head_responses(model.backbone, (size, size))
    inputs = mixer_inputs(model.backbone, model.normalize(image(args, size)[None]))
    local = {
        (item.stage, item.block): local_response(item.mixer, item.x, seed=args.seed)
        for item in track(inputs, 'mixers at the image')
    }
    save(args, 'spam', sweeps.draw_spam(heads, local))
    attention = sweeps.draw_attention(inputs)
    if attention:
        save(args, 'attention', attention)


def image(args: argparse.Namespace, size: int) -> torch.Tensor:
    """The image that the model sees, (3, size, size) uint8 RGB."""
    if args.image:
        return read_image(args.image, crop, size)
    scene, _ = make_scene(np.random.default_rng(args.seed), 'val')
    resized = cv2.resize(scene, (size, size), interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(resized[..., ::-1].copy()).permute(2, 0, 1)


def save(args: argparse.Namespace, name: str, drawn: tuple[plotting.Figure, sweeps.Rows]) -> None:
    for path in plotting.save_figure(*drawn, args.out_dir / name):
        print(path)


def check(args: argparse.Namespace) -> None:
    wrong = [k for k in args.windows if k % 2 == 0 or not 1 < k < args.grid]
    if wrong:
        raise InputError(
            f'--windows {wrong[0]} must be odd, from 3 to less than --grid {args.grid}.'
        )


def main() -> None:
    args = parse_args()
    check(args)
    model = build(args.config, args.checkpoint, args.seed) if args.config else None
    if model:
        find_backbone(model.backbone)  # says so now if it is not a SPANetV2
    draw_theory(args, model)
    if model:
        draw_model(args, model)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
