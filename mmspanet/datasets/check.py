"""What is wrong with a data set, found before a training does."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from mmspanet.config_check import building_errors
from mmspanet.errors import InputError

from .coco import find_faults
from .meta import annotation_file, image_folder, metainfo

IGNORE_LABEL = 255  # of segmentation maps: MMSegmentation's ignore_index

EXIF_ORIENTATION = 0x0112
MOST_PIXELS = 2**30  # of an image, as OpenCV has it


@dataclass(frozen=True)
class Finding:
    """One thing found in a data set.

    Attributes:
        kind: What it is, one of :data:`FAULTS` or :data:`NOTES`.
        file: The file that holds it.
        detail: What distinguishes it, such as an annotation's id.
    """

    kind: str
    file: Path
    detail: str = ''


# What stops a run or spoils its result.
FAULTS = {
    'missing': 'there is no such file',
    'broken image': 'empty, cut short or no image: the run stops when it comes to it',
    'malformed annotations': 'not JSON, or without its lists of images, annotations, categories, '
    'or these without what they need',
    'wrong classes': "the config's classes are not the file's categories in the file's order",
    'wrong size': 'the image, turned by its EXIF mark, differs from its annotation or its map',
    'unknown image': 'an annotation of an image that the file does not list',
    'unknown category': 'an annotation of a category that the file does not list: it is dropped',
    'duplicate id': 'loading stops, or the last one replaces the others',
    'incomplete annotation': 'no id, bbox, area or category, or not in numbers: loading stops',
    'not finite': 'NaN or infinity in a box, an area or a polygon: the process may crash',
    'missing segmentation': 'none, or an empty one, where the config loads masks: the run stops',
    'wrong segmentation': 'neither polygons nor a run-length code: the run stops',
    'wrong RLE': 'a run-length code that is invalid or not of the size of its image',
    'degenerate polygon': 'fewer than three points, or not pairs of numbers',
    'empty box': 'under one pixel wide or high, or wholly outside the image: it is dropped',
    'label out of range': 'a label beyond the classes: an index error, or a wrong loss',
    'not a label map': 'a segmentation map with several channels',
    'no annotations': 'nothing to learn or to measure',
    'no images': 'the data set is empty',
}

# What is read well enough, and worth knowing.
NOTES = {
    '16-bit image': 'read with 8 bits',
    'transparent image': 'read without its transparency',
    'turned by EXIF': 'read turned: annotations have to fit the turned image',
    'without instances': 'no annotated object: skipped in training where filter_empty_gt is set',
    'box over the edge': 'partly outside the image: the loader keeps it as it is',
}


@dataclass(frozen=True)
class Sample:
    """One image of a data set, with what its annotation says about it.

    Attributes:
        image: Its file.
        size: Width and height in pixels that the annotation states; None if it states none.
        label_map: Its segmentation map; None where there is none.
        labels: Values that the map may hold beside ``IGNORE_LABEL``.
    """

    image: Path
    size: tuple[int, int] | None = None
    label_map: Path | None = None
    labels: range = range(0)


def read_samples(
    dataset: ConfigDict, scope: str, annotated: bool = True
) -> tuple[list[Sample], list[Finding]]:
    """The images of a data set, and what is wrong with its annotations.

    Args:
        dataset: The data set's part of a config, without wrappers such as RepeatDataset.
        scope: ``default_scope`` of the config: mmdet (COCO's format), mmseg or mmpretrain.
        annotated: Whether a file in COCO's format has to have annotations.

    Raises:
        InputError: If the config's part is of no data set that its library has.
    """
    init_default_scope(scope)
    if scope == 'mmdet':
        _check_format(dataset)
        return read_coco(dataset, annotated)
    try:
        built = DATASETS.build(ConfigDict(dataset, pipeline=[], lazy_init=False))
    except (AssertionError, OSError, RuntimeError, ValueError) as error:
        place = annotation_file(dataset)
        kind = 'missing' if isinstance(error, FileNotFoundError) else 'malformed annotations'
        return [], [Finding(kind, place, str(error))]
    except (AttributeError, KeyError, TypeError):
        with building_errors(f'The data set {dataset.get("type")} can not be built'):
            raise
    infos = [built.get_data_info(i) for i in range(len(built))]
    classes = len(built.metainfo.get('classes') or ())
    if scope == 'mmseg':
        labels = range(len(built.label_map or range(classes)) + built.reduce_zero_label)
        return [
            Sample(Path(info['img_path']), None, _path(info.get('seg_map_path')), labels)
            for info in infos
        ], []
    samples = [Sample(Path(info['img_path'])) for info in infos]
    outside = [
        Finding('label out of range', Path(info['img_path']), str(info['gt_label']))
        for info in infos
        if not all(0 <= label < classes for label in labels_of(info))
    ]
    return samples, outside


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def map_values(built: Any) -> list[int]:
    """What segmentation maps hold for each class of a data set of MMSegmentation.

    Where a config names some of the type's classes, the maps keep the numbers of all.
    """
    first = int(built.reduce_zero_label)
    classes = range(len(built.metainfo.get('classes') or ()))
    numbers = {new: old for old, new in (built.label_map or {}).items()}
    return [first + numbers.get(label, label) for label in classes]


def labels_of(info: dict[str, Any]) -> list[int]:
    """The labels of an image of MMPretrain: one, several, or none."""
    found = info.get('gt_label', [])
    return list(found) if isinstance(found, Sequence | np.ndarray) else [int(found)]


def _check_format(dataset: ConfigDict) -> None:
    with DATASETS.switch_scope_and_registry('mmdet') as registry:
        kind = registry.get(dataset.get('type', ''))
        coco = registry.get('CocoDataset')
    if kind is not None and coco is not None and not issubclass(kind, coco):
        raise InputError(
            "Only annotations in COCO's format are read for detection, and "
            f'{kind.__name__} has another: convert them.'
        )


def read_coco(dataset: ConfigDict, annotated: bool = True) -> tuple[list[Sample], list[Finding]]:
    """The images of a data set in COCO's format, and what is wrong with its annotations."""
    path = annotation_file(dataset)
    if not path.is_file():
        return [], [Finding('missing', path)]
    try:
        content = json.loads(path.read_text(encoding='utf-8'))  # as pycocotools reads it
    except (ValueError, RecursionError) as error:
        return [], [Finding('malformed annotations', path, str(error))]
    classes = metainfo(dataset, 'mmdet').get('classes', ())
    findings = [
        Finding(kind, path, detail)
        for kind, detail in find_faults(content, classes, loads_masks(dataset), annotated)
    ]
    if any(finding.kind == 'malformed annotations' for finding in findings):
        return [], findings
    folder = image_folder(dataset)
    samples = [
        Sample(folder / entry['file_name'], (entry['width'], entry['height']))
        for entry in content['images']
    ]
    return samples, findings


def loads_masks(dataset: ConfigDict) -> bool:
    """Whether a data set's pipeline loads masks."""
    steps = pipeline_steps(dataset.get('pipeline') or [])
    return any(kind == 'LoadAnnotations' and step.get('with_mask') for kind, step in steps)


def pipeline_steps(pipeline: Sequence[Any]) -> Iterator[tuple[str, ConfigDict]]:
    """The steps of a pipeline with their types, those inside TestTimeAug and its like, too."""
    for step in pipeline:
        if isinstance(step, Sequence):
            yield from pipeline_steps(step)
        else:
            yield str(step['type']).rpartition('.')[2], step
            yield from pipeline_steps(step.get('transforms') or [])


def check_sample(sample: Sample) -> list[Finding]:
    """Findings about an image and its segmentation map, both read whole."""
    findings, size = check_image(sample.image)
    if sample.size is not None and size is not None and size != sample.size:
        detail = f'{size[0]} x {size[1]} instead of {sample.size[0]} x {sample.size[1]}'
        findings.append(Finding('wrong size', sample.image, detail))
    if sample.label_map is not None:
        findings += check_label_map(sample.label_map, size, sample.labels)
    return findings


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image of any size: the loaders read with OpenCV, which has not Pillow's limit."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(
                    f'{image.width} x {image.height} pixels are more than OpenCV reads'
                )
            yield image
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def check_image(path: Path) -> tuple[list[Finding], tuple[int, int] | None]:
    """Findings about an image file, and its width and height as the loaders turn it."""
    if not path.is_file():
        return [Finding('missing', path)], None
    try:
        with opened(path) as image:
            image.load()  # to the last byte
            turned = image.getexif().get(EXIF_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError) as error:
        return [Finding('broken image', path, str(error))], None
    findings = []
    if image.mode.startswith('I'):
        findings.append(Finding('16-bit image', path))
    if image.mode in ('RGBA', 'LA', 'PA'):
        findings.append(Finding('transparent image', path))
    if turned != 1:
        findings.append(Finding('turned by EXIF', path))
    width, height = image.size
    return findings, (height, width) if turned > 4 else (width, height)


def check_label_map(path: Path, size: tuple[int, int] | None, labels: range) -> list[Finding]:
    """Findings about a segmentation map that belongs to an image of ``size``."""
    if not path.is_file():
        return [Finding('missing', path)]
    try:
        with opened(path) as image:
            values = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        return [Finding('broken image', path, str(error))]
    if values.ndim != 2:
        return [Finding('not a label map', path, f'{values.shape[2]} channels')]
    findings = []
    if size is not None and values.shape[::-1] != size:
        detail = f'{values.shape[1]} x {values.shape[0]} instead of {size[0]} x {size[1]}'
        findings.append(Finding('wrong size', path, detail))
    outside = set(np.unique(values).tolist()) - {IGNORE_LABEL, *labels}
    if outside:
        findings.append(Finding('label out of range', path, f'{sorted(outside)[:5]}'))
    return findings
