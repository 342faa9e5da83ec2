"""Draw convolution, self-attention and SPAM in one graph-spectral frame.

Without a config: response against window size (windows, summaries), with and without signs
(signs), and in a Laplacian's eigenbasis (eigenbasis). With the config of a SPANetV2 also its
kernels beside the random ones, the response of SPAM (spam) and, in a hybrid, of its attention
(attention); with random weights, or those of the checkpoint. Each figure is a PNG, an SVG and a
CSV of its data.
"""

import argparse
from pathlib import Path

from mmspanet import cli
from mmspanet.errors import InputError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', nargs='?', help='path of the config of a SPANetV2')
    parser.add_argument('checkpoint', nargs='?', help='its weights (default: random weights)')
    parser.add_argument(
        '--grid', type=cli.positive_int, default=28, help='side of the torus, in nodes (28)'
    )
    parser.add_argument(
        '--windows',
        type=cli.positive_int,
        nargs='+',
        default=[3, 5, 7, 9, 13],
        help='sides of the windows, odd (3 5 7 9 13)',
    )
    parser.add_argument(
        '--kernels', type=cli.positive_int, default=500, help='random kernels per window (500)'
    )
    parser.add_argument(
        '--heads', type=cli.positive_int, default=10, help='random attentions per window (10)'
    )
    parser.add_argument(
        '--image', type=Path, help='image for the model (default: a scene of Shapes)'
    )
    parser.add_argument(
        '--image-size', type=cli.image_side, help="side in pixels (default: the config's)"
    )
    cli.add_seed_option(parser)
    cli.add_device_option(parser)
    cli.add_out_dir_option(parser, 'work_dirs/graph_spectrum')
    args = parser.parse_args()
    wrong = [k for k in args.windows if k % 2 == 0 or not 1 < k < args.grid]
    if wrong:
        raise InputError(
            f'--windows {wrong[0]} must be odd, from 3 to less than --grid {args.grid}.'
        )
    return args


def main() -> None:
    args = parse_args()
    import numpy as np

    from mmspanet.analysis.inside import studies
    from mmspanet.analysis.inside.spam_response import depthwise_kernels, find_backbone
    from mmspanet.analysis.subject import make_scene_subject
    from mmspanet.analysis.theory import figures
    from mmspanet.analysis.theory.sweeps import random_sweeps

    rng, kernels, drawings = np.random.default_rng(args.seed), {}, []
    if args.config:
        subject = make_scene_subject(
            args.config, args.checkpoint, args.image, args.image_size, args.seed, args.device
        )
        find_backbone(subject.model.backbone)  # an error now, not after minutes
        kernels = depthwise_kernels(subject.model.backbone)
        drawings = studies.mixers(subject, args.seed)
    sweeps = random_sweeps(args.grid, args.windows, args.kernels, args.heads, rng)
    name = 'of the model' if args.checkpoint else 'of the model, random weights'
    drawings = [
        figures.draw_windows(sweeps),
        figures.draw_summaries(sweeps),
        figures.draw_signs(sweeps, kernels, name),
        figures.draw_eigenbasis(14, 5, rng),
        *drawings,
    ]
    for drawing in drawings:
        for path in drawing.save(args.out_dir):
            print(path)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
