"""Make one self-contained HTML page about a SPANetV2: spectra, filters, fields, Grad-CAM.

The given model stands beside peers built from config, by default ConvNeXt-T and Swin-T of
MMPretrain. Without checkpoints the weights are random, and the page says so.
"""

import argparse
import shlex
import sys
from pathlib import Path

from mmspanet import cli

TEMPLATE = Path(__file__).with_suffix('.html')
PEERS = (
    ('mmpretrain::convnext/convnext-tiny_32xb128_in1k.py', None),
    ('mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py', None),
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('checkpoint', nargs='?', help='path or URL (default: random weights)')
    cli.add_image_options(parser, count=64)
    parser.add_argument(
        '--peers',
        nargs='*',
        type=cli.model_and_checkpoint,
        default=PEERS,
        metavar='MODEL[=CHECKPOINT]',
        help='models to compare with: config, mmpretrain::NAME or timm:NAME (default: ConvNeXt-T '
        'and Swin-T of MMPretrain, random weights)',
    )
    parser.add_argument(
        '--show',
        type=cli.positive_int,
        default=4,
        help='number of images with modulators and Grad-CAM (4)',
    )
    parser.add_argument(
        '--field-images',
        type=cli.positive_int,
        default=8,
        help='images per effective receptive field (8)',
    )
    cli.add_batch_size_option(parser, default=8)
    cli.add_seed_option(parser)
    cli.add_device_option(parser)
    parser.add_argument(
        '--out',
        type=cli.output_file,
        help='the page (default work_dirs/analysis/CONFIG_report.html)',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmspanet.analysis import page, report
    from mmspanet.analysis.subject import make_subjects
    from mmspanet.files import write_text

    subjects = make_subjects(
        [(args.config, args.checkpoint), *args.peers],
        args.images,
        args.count,
        args.policy,
        args.size,
        args.seed,
        args.device,
    )
    drawings, left_out = report.take_studies(
        subjects, args.show, args.field_images, args.batch_size, args.seed
    )
    images = f'{args.images or "the test data set"} ({args.policy})'
    facts = [
        *report.facts(args.config, subjects, images),
        *left_out,
        ('Command', shlex.join(['python', *sys.argv])),
    ]
    title = f'Inside {subjects[0].model.title}'
    out = args.out or Path('work_dirs/analysis') / f'{Path(args.config).stem}_report.html'
    write_text(out, page.fill(TEMPLATE.read_text(), title, facts, drawings))
    print(f'{out} ({out.stat().st_size / 1e6:.1f} MB)')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
