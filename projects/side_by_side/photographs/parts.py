"""Held-out images and their truth: lists of files, and parts of them."""

import json
from collections.abc import Container
from pathlib import Path
from typing import Any


def image_ids(annotations: Path) -> list[int]:
    """The images of an annotation file, in its order."""
    return [image['id'] for image in json.loads(annotations.read_text())['images']]


def image_names(annotations: Path) -> list[str]:
    """The files of these images, in the same order."""
    return [image['file_name'] for image in json.loads(annotations.read_text())['images']]


def label_maps(dataset: Any) -> list[Path]:
    """The label maps of a segmentor's data set, given its config, in the order of their images."""
    return sorted(Path(dataset.data_root, dataset.data_prefix.seg_map_path).glob('*.png'))


def write_part(annotations: Path, kept: Container[int], path: Path) -> None:
    """Write an annotation file of some of the images.

    Args:
        annotations: The file of all.
        kept: Images to keep, by their ids.
        path: The new file; its folder is made.
    """
    content = json.loads(annotations.read_text())
    content['images'] = [i for i in content['images'] if i['id'] in kept]
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] in kept]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
