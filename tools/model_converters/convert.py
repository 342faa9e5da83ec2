"""Rewrite a checkpoint from the authors' layout into ours, or back.

Both load as they are; a converted file is for other programs, or to be read. A bare ImageNet
file of the authors becomes one of mmpretrain's ImageClassifier.
"""

import argparse
from pathlib import Path

import torch

from mmspanet import cli
from mmspanet.checkpoints import model_from_authors, model_to_authors
from mmspanet.checkpoints.load import check_checkpoint
from mmspanet.checkpoints.publish import read_state_dict

TRANSLATIONS = dict(ours=model_from_authors, authors=model_to_authors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', type=Path, help='file to read')
    parser.add_argument('out', type=Path, help='file to write')
    parser.add_argument('--to', choices=TRANSLATIONS, required=True, help='layout to write')
    args = parser.parse_args()
    check_checkpoint(str(args.checkpoint))
    state_dict = TRANSLATIONS[args.to](read_state_dict(args.checkpoint))
    torch.save(dict(state_dict=state_dict), args.out)
    print(f'{len(state_dict)} tensors in {args.out}')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
