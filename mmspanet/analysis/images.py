"""Images as a stream of equal-sized batches, read one batch at a time."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from mmspanet.datasets.paths import check_data
from mmspanet.errors import InputError

SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm'}


def find_images(folder: Path) -> list[Path]:
    """All image files under ``folder``, in order of their names.

    Raises:
        InputError: If there is none.
    """
    found = sorted(p for p in folder.rglob('*') if p.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(
            f'There are no images in {folder}: name a folder with images, such as '
            'data/shapes/imagenet/val, which python tools/make_shapes.py imagenet writes.'
        )
    return found


def dataset_images(cfg: Config) -> list[Path]:
    """The image files of a config's test data set, in its order."""
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    return [Path(dataset.get_data_info(i)['img_path']) for i in range(len(dataset))]


def evenly(paths: Sequence[Path], count: int) -> list[Path]:
    """``count`` of the paths at equal distances, so that every class of a folder is met."""
    if len(paths) <= count:
        return list(paths)
    return [paths[i * len(paths) // count] for i in range(count)]


def at_least_one(text: str) -> int:
    """A number of the command line, from 1 up: a ``type`` for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{number} must be at least 1')
    return number


def add_image_options(
    parser: argparse.ArgumentParser, count: int, policies: Sequence[str] = ('crop', 'stretch')
) -> None:
    """Add --images, --count, --size, --policy: what :func:`chosen_images` and ``batches`` take.

    Args:
        parser: The command's.
        count: The default number of images.
        policies: Names in :data:`SIZE_POLICIES` that the command can do with.
    """
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder that is searched for images (default: the test data set of the config)',
    )
    parser.add_argument(
        '--count',
        type=at_least_one,
        default=count,
        help=f'number of images, taken at equal distances in order of their names ({count})',
    )
    parser.add_argument(
        '--size',
        type=at_least_one,
        help='side of the images in pixels (default: the size that the first model was made for)',
    )
    parser.add_argument(
        '--policy',
        choices=policies,
        default='crop',
        help='; '.join(f'{name}: {_SAID[name]}' for name in policies),
    )


def chosen_images(args: argparse.Namespace, cfg: Config | None) -> list[Path]:
    """The images that the options of :func:`add_image_options` ask for.

    Raises:
        InputError: If there is none, or no folder and no config with a test data set.
    """
    if args.images is not None:
        return evenly(find_images(args.images), args.count)
    if cfg is None or cfg.get('test_dataloader') is None:
        raise InputError('Name a folder of images with --images DIR.')
    check_data(cfg, ('test',))
    return evenly(dataset_images(cfg), args.count)


def crop(image: Image.Image, size: int) -> Image.Image:
    """Resize the short side to ``size`` (bicubic, antialiased) and cut the center square."""
    return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)


def stretch(image: Image.Image, size: int) -> Image.Image:
    """Resize to ``size`` x ``size`` (bicubic, antialiased), whatever the aspect ratio was."""
    return image.resize((size, size), Image.Resampling.BICUBIC)


def keep(image: Image.Image, size: int) -> Image.Image:
    """The image's own pixels: cut around the center to sides that are multiples of 32."""
    width, height = (max(side // 32, 1) * 32 for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


_SAID = dict(
    crop='short side to --size, then the center square (the default)',
    stretch='both sides to --size',
    keep='the own pixels, cut to multiples of 32',
)
SIZE_POLICIES: dict[str, Callable[[Image.Image, int], Image.Image]] = dict(
    crop=crop, stretch=stretch, keep=keep
)


def read_image(path: Path, policy: Callable[[Image.Image, int], Image.Image], size: int) -> Tensor:
    """One image as (3, H, W) uint8 RGB, upright by its EXIF entry, sized by ``policy``.

    Raises:
        InputError: If the file is not a whole image.
    """
    try:
        with Image.open(path) as file:
            image = policy(ImageOps.exif_transpose(file).convert('RGB'), size)
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f'The image {path} can not be read: {error}') from error
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def batches(
    paths: Sequence[Path],
    size: int,
    batch_size: int,
    policy: Callable[[Image.Image, int], Image.Image] = crop,
) -> Iterator[Tensor]:
    """Batches of at most ``batch_size`` consecutive images of one shape, (B, 3, H, W) uint8 RGB."""
    held: list[Tensor] = []
    for path in paths:
        image = read_image(path, policy, size)
        if held and (len(held) == batch_size or held[0].shape != image.shape):
            yield torch.stack(held)
            held = []
        held.append(image)
    if held:
        yield torch.stack(held)
