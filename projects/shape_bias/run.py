"""Measure the shape bias of small SPANetV2 of several kernel sizes and of attention.

Models are trained on synthetic data, where outline and texture both tell the class, and
tested on images with the outline of one class and the texture of another (the measure of
Geirhos et al. 2019; the images and the comparison are ours). Each run's row is appended to
runs.csv when it ends; the same command again continues with what is missing. The figure is
shape_bias.png and .svg, with shape_bias.csv of what it shows; examples.png shows the images.
"""

import argparse
from pathlib import Path

from mmspanet import cli
from projects.shape_bias.variants import VARIANTS

CONFIG = Path(__file__).parent / 'configs/spanetv2_cues.py'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=VARIANTS,
        default=list(VARIANTS),
        help="kernel sizes of SPAM's four heads, or attention (default: all)",
    )
    parser.add_argument(
        '--seeds',
        nargs='+',
        type=int,
        default=[0, 1, 2],
        help='seeds of the initial weights and the order of the images (default: 0 1 2)',
    )
    cli.add_out_dir_option(parser, 'work_dirs/shape_bias')
    cli.add_cfg_options(parser, 'such as train_cfg.max_epochs=3 cues.train=500')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmspanet.engine import device
    from projects.shape_bias import training

    cfg = cli.load_config(str(CONFIG), args.cfg_options)
    device.adapt_to_cpu(cfg)
    wanted = [(variant, seed) for seed in args.seeds for variant in args.variants]
    for path in training.run_all(cfg, wanted, args.out_dir):
        print(path)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
