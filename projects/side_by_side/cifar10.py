"""Unpack CIFAR-10 into class folders, OUT/train/CLASS and OUT/test/CLASS, as our configs read it.

SOURCE is cifar-10-python.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html, whose images
are written as PNG, or an archive of image files that has these folders already.
"""

import argparse
import tarfile
import tempfile
from pathlib import Path

from rich.progress import track

from mmspanet import cli
from mmspanet.errors import InputError

ORIGINAL_FOLDER = 'cifar-10-batches-py'  # in cifar-10-python.tar.gz


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', type=Path, help='a .tar archive, compressed or not')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('data/cifar10'),
        help='new folder of train and test (default: data/cifar10)',
    )
    return parser.parse_args()


def unpack(source: Path, folder: Path) -> None:
    """Unpack an archive; members that would leave the folder are refused."""
    try:
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter='data')
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f'{source} can not be unpacked ({error}): copy it again.') from error


def write_images(original: Path, out: Path) -> None:
    """Write the images of the original batches as PNG, numbered as they stand there."""
    from torchvision.datasets import CIFAR10  # here, so that --help needs no torch

    for name in ('train', 'test'):
        try:
            # It compares the files' checksums with the published ones before it opens the pickles.
            dataset = CIFAR10(str(original), train=name == 'train')
        except RuntimeError as error:
            raise InputError(f'{original}: {error}: copy the archive again.') from error
        for label in dataset.classes:
            (out / name / label).mkdir(parents=True)
        for number, (image, label) in track(enumerate(dataset), name, total=len(dataset)):
            image.save(out / name / dataset.classes[label] / f'{number:05d}.png')


def main() -> None:
    args = parse_args()
    if not args.source.is_file():
        raise InputError(f'{args.source} does not exist: give the archive of CIFAR-10.')
    if args.out.exists():
        raise InputError(f'{args.out} exists already: remove it, or give another --out.')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that an interrupted run leaves no half a data set under its name.
    with tempfile.TemporaryDirectory(dir=args.out.parent, prefix='.cifar10-') as folder:
        unpacked, images = Path(folder, 'unpacked'), Path(folder, 'images')
        unpack(args.source, unpacked)
        if (unpacked / ORIGINAL_FOLDER).is_dir():
            write_images(unpacked, images)
        elif all((unpacked / name).is_dir() for name in ('train', 'test')):
            images = unpacked
        else:
            raise InputError(
                f'{args.source} holds neither {ORIGINAL_FOLDER} nor the folders train and '
                'test: give cifar-10-python.tar.gz or an archive of class folders.'
            )
        images.rename(args.out)
    for name in ('train', 'test'):
        count = sum(1 for path in (args.out / name).rglob('*') if path.is_file())
        print(f'{args.out / name}: {count} images')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
