"""Rewrite a checkpoint from the authors' layout into ours, or back.

Both load as they are; a converted file is for other programs, or to be read. A bare ImageNet
file of the authors becomes one of mmpretrain's ImageClassifier.
"""

import argparse

from mmspanet import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='path or URL of the file to read')
    parser.add_argument(
        'out', type=cli.output_file, help='file to write: NAME.pth or NAME.safetensors'
    )
    parser.add_argument('--to', choices=['ours', 'authors'], required=True, help='layout to write')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmspanet.checkpoints import model_from_authors, model_to_authors
    from mmspanet.checkpoints.publish import write_checkpoint
    from mmspanet.checkpoints.reader import read_state_dict
    from mmspanet.checkpoints.sources import local_file

    given = read_state_dict(local_file(args.checkpoint))
    state_dict = model_from_authors(given) if args.to == 'ours' else model_to_authors(given)
    write_checkpoint(dict(state_dict=state_dict), args.out)
    print(f'{len(state_dict)} tensors in {args.out}')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
