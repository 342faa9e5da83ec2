"""The authors' published checkpoints: what ``spanetv2://NAME`` stands for.

One entry for each row that they print. Most of the files' names were not seen; the entry says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

PROJECT = 'https://github.com/DoranLyong/SPANetV2-official'


class Status(Enum):
    """How well the name of a published file is known."""

    PROVED = 'proved'
    SEEN = 'seen'
    INFERRED = 'inferred'
    UNKNOWN = 'unknown'


MEANINGS = {
    Status.PROVED: 'a file was seen under this address',
    Status.SEEN: "the authors' configs name the file; its address is inferred",
    Status.INFERRED: 'name and address are inferred from those of the others',
    Status.UNKNOWN: "the file's name is not known, only the page of its release",
}


@dataclass(frozen=True)
class Published:
    """A checkpoint that the authors print a result of.

    Attributes:
        name: What stands behind ``spanetv2://``.
        model: The model in words.
        configs: Our configs that it may be of, without ``.py``.
        tag: The tag of its release.
        status: How well the name of the file is known.
        file: The file's name; None where it is unknown.
        size: In bytes, where it is known.
    """

    name: str
    model: str
    configs: tuple[str, ...]
    tag: str
    status: Status
    file: str | None = None
    size: int | None = None

    @property
    def page(self) -> str:
        """The page of the release, where a browser finds the files."""
        return f'{PROJECT}/releases/tag/{self.tag}'

    @property
    def url(self) -> str | None:
        """The address of the file, where its name is known or inferred."""
        return self.file and f'{PROJECT}/releases/download/{self.tag}/{self.file}'


def _classifiers() -> Iterator[Published]:
    status = {
        's18-pure': Status.PROVED, 's18-hybrid': Status.SEEN, 's36-pure': Status.SEEN,
        's36-hybrid': Status.SEEN, 'b36-pure': Status.SEEN,
    }  # fmt: skip
    recipe = {
        's18-pure': '4xb128-amp', 's18-hybrid': '4xb64-amp', 's36-pure': '4xb64',
        's36-hybrid': '4xb64-amp', 'm36-pure': '4xb32-amp', 'm36-hybrid': '4xb32',
        'b36-pure': '4xb32-amp', 'b36-hybrid': '4xb32',
    }  # fmt: skip
    infix = dict(pure='pure', hybrid='hybrid_k7')
    for arch, batches in recipe.items():
        size, family = arch.split('-')
        yield Published(
            arch,
            'classifier',
            (f'spanetv2-{arch}_{batches}-310e_in1k',),
            'ImageNet-1K',
            status.get(arch, Status.INFERRED),
            f'spanetv2_{size}_{infix[family]}_res-scale_Full-ExSPAM.pth',
            116_857_189 if arch == 's18-pure' else None,
        )
    for arch in ('s18-pure', 's36-hybrid'):
        name = f'{arch}-scaled-sigmoid'
        config = f'spanetv2-{name}_{recipe[arch]}-310e_in1k'
        yield Published(
            name, 'classifier, scaled sigmoid', (config,), 'ImageNet-1K', Status.UNKNOWN
        )


def _detectors() -> Iterator[Published]:
    for method, title, batches, arches in (
        ('mask-rcnn', 'Mask R-CNN', '4xb2', ('s18-pure', 's18-hybrid')),
        (
            'cascade-mask-rcnn',
            'Cascade Mask R-CNN',
            '4xb1',
            ('s18-pure', 's18-hybrid', 's36-pure', 's36-hybrid'),
        ),
    ):
        for arch in arches:
            config = f'{method}_spanetv2-{arch}_fpn_{batches}-amp-ms-crop-3x_coco'
            yield Published(f'{method}_{arch}', title, (config,), 'COCO', Status.UNKNOWN)


def _segmentors() -> Iterator[Published]:
    for arch in ('s18-pure', 's18-hybrid', 's36-pure', 's36-hybrid'):
        config = f'fpn_spanetv2-{arch}_4xb8-amp-40k_ade20k-512x512'
        yield Published(f'fpn_{arch}', 'Semantic FPN', (config,), 'ADE20K', Status.UNKNOWN)
    for arch in ('s18-pure', 's18-hybrid', 's36-pure', 's36-hybrid'):
        # The released config has a head of 320 channels, the printed cost is that of 512.
        configs = tuple(
            f'upernet_spanetv2-{arch}_h{width}_4xb4-amp-160k_ade20k-512x512' for width in (512, 320)
        )
        yield Published(f'upernet_{arch}', 'UperNet', configs, 'ADE20K', Status.UNKNOWN)


PUBLISHED = {entry.name: entry for entry in (*_classifiers(), *_detectors(), *_segmentors())}
