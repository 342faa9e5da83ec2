"""Make a training checkpoint fit to be published: weights only, with its hash in the name."""

import argparse
from pathlib import Path

from mmspanet import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='path or URL of the checkpoint of a training run')
    parser.add_argument(
        'out', type=Path, help='file to write, without the hash: NAME.pth or NAME.safetensors'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmspanet.checkpoints.publish import publish
    from mmspanet.checkpoints.sources import local_file

    print(publish(local_file(args.checkpoint), args.out))


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
