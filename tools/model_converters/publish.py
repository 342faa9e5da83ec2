"""Make a training checkpoint fit to be published: weights only, with its hash in the name."""

import argparse
from pathlib import Path

from mmspanet import cli
from mmspanet.errors import InputError

ROOT = Path(__file__).parents[2]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='path or URL of the checkpoint of a training run')
    parser.add_argument(
        'out',
        type=cli.output_file,
        help='file to write, without the hash: NAME.pth or NAME.safetensors',
    )
    parser.add_argument(
        '--card',
        metavar='CONFIG',
        help='write a model card for this config, README.md beside the file',
    )
    parser.add_argument(
        '--license',
        default='unknown',
        help="license of the weights in the card, by Hugging Face's name (default: unknown)",
    )
    parser.add_argument(
        '--record',
        type=Path,
        default=ROOT / 'leaderboard/reproduced.yml',
        help='record of tools/reproduce.py, for the measured figures of the card',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmspanet.checkpoints.publish import publish
    from mmspanet.checkpoints.sources import local_file
    from mmspanet.files import write_text

    readme = args.out.with_name('README.md')
    if args.card and readme.exists():
        raise InputError(f'{readme} is there: remove it, or give another folder.')
    given = local_file(args.checkpoint)
    published = publish(given, args.out)
    print(published)
    if args.card:
        from mmspanet.apis.card import measured_with, model_card

        config = Path(args.card).stem
        measured = measured_with([given, published], config, args.record)
        write_text(readme, model_card(published, config, ROOT / 'configs', measured, args.license))
        print(readme)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
