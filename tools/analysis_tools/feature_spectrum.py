"""Draw the relative log amplitude of every block of one or more models, averaged over images.

A model is the path of an mmdet, mmseg or mmpretrain config, a config of theirs by name
(mmpretrain::convnext/convnext-tiny_32xb128_in1k.py), or timm:NAME. Add =CHECKPOINT for its weights;
without it they are random. Writes feature_spectrum.png, .svg and .csv.
"""

import argparse

from mmspanet import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'models',
        nargs='+',
        type=cli.model_and_checkpoint,
        metavar='MODEL[=CHECKPOINT]',
        help='config, mmpretrain::NAME, timm:NAME',
    )
    cli.add_image_options(parser, count=64, policies=list(cli.POLICY_HELP))
    parser.add_argument(
        '--profile',
        choices=['radial', 'diagonal'],
        default='radial',
        help='mean over rings of equal radius (the default), or the half-diagonal of Park and Kim',
    )
    parser.add_argument(
        '--blocks',
        type=cli.pattern,
        metavar='REGEX',
        help='paths of the modules to look at, in all the models',
    )
    cli.add_batch_size_option(parser, default=8)
    cli.add_seed_option(parser)
    cli.add_device_option(parser)
    cli.add_out_dir_option(parser, 'work_dirs/analysis')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmspanet.analysis.inside import studies
    from mmspanet.analysis.subject import make_subjects

    subjects = make_subjects(
        args.models, args.images, args.count, args.policy, args.size, args.seed, args.device
    )
    drawing = studies.blocks_spectra(subjects, args.batch_size, args.profile, args.blocks)
    pictures = subjects[0].pictures
    side = pictures[0].pixels.shape[-1]
    sides = 'their own size' if args.policy == 'keep' else f'{side} x {side} pixels ({args.policy})'
    print(f'{len(pictures)} images of {sides}, {args.profile} profile')
    for path in drawing.save(args.out_dir):
        print(path)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
