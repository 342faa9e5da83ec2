"""The images that models are shown: found, chosen, read and cut to one size."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from mmspanet.datasets.paths import check_data
from mmspanet.datasets.subset import subsample
from mmspanet.errors import InputError

Policy = Callable[[Image.Image, int], Image.Image]


@dataclass(frozen=True)
class Picture:
    """One image.

    Attributes:
        name: Its folder and file, as figures call it.
        pixels: (3, H, W) uint8 RGB.
    """

    name: str
    pixels: Tensor


def find_images(folder: Path) -> list[Path]:
    """Find all image files under ``folder``, in order of their names.

    Raises:
        InputError: If there is none.
    """
    found = sorted(p for p in folder.rglob('*') if p.suffix.lower() in IMG_EXTENSIONS)
    if not found:
        raise InputError(
            f'There are no images in {folder}: name a folder with images, such as '
            'data/shapes/imagenet/val, which python tools/make_shapes.py imagenet writes.'
        )
    return found


def dataset_images(cfg: Config) -> list[Path]:
    """List the image files of a config's test data set, in its order."""
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    return [Path(dataset.get_data_info(i)['img_path']) for i in range(len(dataset))]


def choose_images(folder: Path | None, cfg: Config | None, count: int) -> list[Path]:
    """Choose ``count`` images of a folder, or else of a config's test data set.

    Raises:
        InputError: If there is none, or neither a folder nor a config with a test data set.
    """
    if folder is not None:
        return subsample(find_images(folder), count)
    if cfg is None or cfg.get('test_dataloader') is None:
        raise InputError('Name a folder of images with --images DIR.')
    check_data(cfg, ('test',))
    return subsample(dataset_images(cfg), count)


def crop(image: Image.Image, size: int) -> Image.Image:
    """Resize the short side to ``size`` (bicubic, antialiased) and cut the center square."""
    return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)


def stretch(image: Image.Image, size: int) -> Image.Image:
    """Resize to ``size`` x ``size`` (bicubic, antialiased), whatever the aspect ratio was."""
    return image.resize((size, size), Image.Resampling.BICUBIC)


def keep(image: Image.Image, size: int) -> Image.Image:
    """Keep the image's pixels, cut around the center to sides that are multiples of 32."""
    width, height = (max(side // 32, 1) * 32 for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


# mmspanet.cli.POLICY_HELP describes them to users.
SIZE_POLICIES: dict[str, Policy] = dict(crop=crop, stretch=stretch, keep=keep)


def read_image(path: Path, policy: Policy, size: int) -> Picture:
    """Read one image, upright by its EXIF entry, and size it by ``policy``.

    Raises:
        InputError: If the file is not a whole image.
    """
    try:
        with Image.open(path) as file:
            image = policy(ImageOps.exif_transpose(file).convert('RGB'), size)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise InputError(f'The image {path} can not be read: {error}') from error
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return Picture(f'{path.parent.name}/{path.name}', pixels)


def batches(pictures: Sequence[Picture], batch_size: int) -> Iterator[Tensor]:
    """Stack consecutive images of one shape, at most ``batch_size``: (B, 3, H, W) uint8 RGB."""
    held: list[Tensor] = []
    for picture in pictures:
        if held and (len(held) == batch_size or held[0].shape != picture.pixels.shape):
            yield torch.stack(held)
            held = []
        held.append(picture.pixels)
    if held:
        yield torch.stack(held)
