"""The part of a run's page that is about a segmentor."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from numpy.typing import NDArray
from PIL import Image

from mmspanet.analysis.page import Gallery, Picture, Section, Table
from mmspanet.datasets.check import IGNORE_LABEL
from mmspanet.errors import InputError

from . import advice, drawings, pictures, segmentation
from .advice import Hint

Labels = NDArray[np.uint8]


class Maps:
    """The true maps of a data set with those that were found.

    Args:
        dataset: That was tested on, its part of the config.
        folder: The found maps, a PNG file by the stem of each image's name.

    Raises:
        InputError: If the folder has no map of an image of the data set, or two images one name.
    """

    def __init__(self, dataset: ConfigDict, folder: Path) -> None:
        init_default_scope('mmseg')
        built = DATASETS.build(ConfigDict(dataset, pipeline=[], lazy_init=False))
        infos = [built.get_data_info(index) for index in range(len(built))]
        self.infos = [i for i in infos if (folder / f'{Path(i["img_path"]).stem}.png').is_file()]
        if not self.infos:
            raise InputError(
                f'{folder} has no map of an image of {dataset.get("data_root", "the data set")}: '
                'name their data set by --part.'
            )
        stems = Counter(Path(info['img_path']).stem for info in self.infos)
        (stem, count), *_ = stems.most_common(1)
        if count > 1:
            raise InputError(
                f'{count} images of the data set are called {stem}, and maps are kept by the name: '
                'give the images different names to have figures of them.'
            )
        self.folder = folder
        self.classes = list(built.metainfo['classes'])
        self.colors = np.array(
            built.metainfo.get('palette') or pictures.palette(len(self.classes)), np.uint8
        )
        self._load = TRANSFORMS.build(dict(type='LoadAnnotations'))

    def __len__(self) -> int:
        return len(self.infos)

    def __getitem__(self, index: int) -> tuple[str, Labels, Labels]:
        """Path of an image, its true labels and the found ones, of shape (H, W)."""
        info = self.infos[index]
        path = self.folder / f'{Path(info["img_path"]).stem}.png'
        truth = self._load(dict(info, seg_fields=[]))['gt_seg_map']
        found = np.asarray(Image.open(path))
        if info.get('reduce_zero_label'):  # as IoUMetric writes them
            found = found - 1
        if found.shape != truth.shape or found.max(initial=0) >= len(self.classes):
            raise InputError(f'{path} is no map of the size and the classes of the true one.')
        if truth[truth != IGNORE_LABEL].max(initial=0) >= len(self.classes):
            raise InputError(
                f'The true map of {info["img_path"]} has labels beyond the {len(self.classes)} '
                'classes: python tools/check_data.py CONFIG lists them.'
            )
        return str(info['img_path']), truth, found

    def __iter__(self) -> Iterator[tuple[str, Labels, Labels]]:
        return (self[index] for index in range(len(self)))


def sections(dataset: ConfigDict, folder: Path, shown: int) -> tuple[list[Section], list[Hint]]:
    """Figures and pictures of a test of a segmentor, and what they suggest.

    Args:
        dataset: That was tested on, its part of the config.
        folder: The found maps, see :class:`Maps`.
        shown: Pictures of each kind.

    Raises:
        InputError: See :class:`Maps`.
    """
    maps = Maps(dataset, folder)
    counts = segmentation.count(maps.classes, maps)
    rows = segmentation.per_class(counts)
    columns = {'IoU': [row['iou'] for row in rows], 'accuracy': [row['accuracy'] for row in rows]}
    known = counts.confusion.sum()
    mean_iou = float(np.nanmean(segmentation.iou(counts.confusion)))
    found = Section(
        'segmentation', 'How well it segments',
        [
            f'{len(maps)} images; mean IoU {mean_iou:.4f}, '
            f'{counts.confusion.trace() / max(known, 1):.4f} of the pixels right. Boundary: pixels '
            f'at most {segmentation.BOUNDARY} px from another class.',
        ],
        [
            drawings.class_bars(maps.classes, columns, 'Classes by IoU'),
            Table('per_class', 'All classes', [_titled(row) for row in rows]),
            drawings.confusion_matrix(
                counts.confusion, maps.classes, maps.classes, 'pixels', 'Shares of pixels.'
            ),
            drawings.boundary_errors(counts),
        ],
    )  # fmt: skip
    looks = Section('images', 'Images', ['Truth on the left, prediction on the right.'],
                    galleries(maps, counts, shown))  # fmt: skip
    return [found, looks], advice.for_segmentor(rows)


def _titled(row: dict[str, Any]) -> dict[str, Any]:
    return {key.rstrip('_').replace('_', ' '): value for key, value in row.items()}


def galleries(maps: Maps, counts: segmentation.Counts, shown: int) -> list[Gallery]:
    """Worst and best images by their mean IoU."""
    known = np.flatnonzero(~np.isnan(counts.image_iou))
    ranked = known[np.argsort(counts.image_iou[known], kind='stable')]

    def picture(index: int) -> Picture | None:
        path, truth, found = maps[index]
        pixels = pictures.read_rgb(path)
        if pixels is None:
            return None
        panels = [pictures.draw_labels(pixels, labels, maps.colors) for labels in (truth, found)]
        return Picture(pictures.beside(*panels),
                       f'{Path(path).name}: IoU {counts.image_iou[index]:.2f}')  # fmt: skip

    chosen = dict(worst=('Worst by IoU', ranked), best=('Best by IoU', ranked[::-1]))
    drawn = [
        (name, title, [p for k in order[:shown] if (p := picture(int(k))) is not None])
        for name, (title, order) in chosen.items()
    ]
    return [Gallery(name, title, found) for name, title, found in drawn if found]
