"""Make a training checkpoint fit to be published: weights only, with its hash in the name."""

import argparse
from pathlib import Path

from mmspanet import cli
from mmspanet.checkpoints.load import check_checkpoint
from mmspanet.checkpoints.publish import publish


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', type=Path, help='checkpoint of a training run')
    parser.add_argument('out', type=Path, help='file to write, without the hash: NAME.pth')
    args = parser.parse_args()
    check_checkpoint(str(args.checkpoint))
    print(publish(args.checkpoint, args.out))


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
