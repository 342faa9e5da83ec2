"""The page of a config's data sets."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from mmengine.config import ConfigDict
from numpy.typing import NDArray

import mmspanet
from mmspanet.analysis import page, plotting
from mmspanet.analysis.page import Gallery, Picture, Section, Table
from mmspanet.analysis.plotting import COLORS, Drawing
from mmspanet.analysis.run import classifier, detector, drawings, pictures
from mmspanet.analysis.run.predictions import read_predictions
from mmspanet.datasets.check import FAULTS, NOTES, Finding, Sample, opened
from mmspanet.datasets.meta import image_folder
from mmspanet.files import write_text

from . import mistakes
from .duplicates import near_groups
from .looks import Look, Part

TEMPLATE = Path(page.__file__).with_name('sections.html')
MOST_CLASSES = 24  # mosaics
TILES, TILE = 12, 112  # of a mosaic, and their side in pixels
SHOWN = 12  # groups of duplicates, likely mistakes
MOST_ROWS = 500


def write(
    out: Path,
    config: str,
    parts: Sequence[Part],
    looks: Mapping[Sample, Look],
    findings: Iterable[Finding],
    mistaken: Sequence[Section] = (),
) -> None:
    """Write the page, and its figures, tables and pictures beside it.

    Args:
        out: The page.
        config: Path of the config.
        parts: Its data sets.
        looks: At each of their samples.
        findings: What is wrong with them.
        mistaken: See :func:`mistakes_of`.

    Raises:
        WriteError: If a file can not be written.
    """
    sections = [
        _found(findings),
        _classes(parts, looks),
        _sizes(parts, looks),
        _objects(parts),
        _duplicates(parts, looks),
        *mistaken,
        _mosaics(parts, looks),
    ]
    sections = [section for section in sections if section.parts or section.texts]
    images = ', '.join(f'{part.name} {len(part.samples)}' for part in parts)
    made = f'{datetime.date.today()} by mmspanet {mmspanet.__version__}'
    facts = [('Config', config), ('Images', images), ('Page made', made)]
    text = page.fill(TEMPLATE.read_text(), f'Data of {Path(config).stem}', facts, sections)
    write_text(out, text)
    page.save(sections, out.parent)


def _found(findings: Iterable[Finding]) -> Section:
    listed = list(findings)
    if not listed:
        return Section('faults', 'Faults', ['Nothing that stops a run or spoils its result.'])
    kinds = FAULTS | NOTES
    counted = [
        dict(
            kind=kind,
            weight='fault' if kind in FAULTS else 'note',
            count=sum(finding.kind == kind for finding in listed),
            meaning=meaning,
        )
        for kind, meaning in kinds.items()
        if any(finding.kind == kind for finding in listed)
    ]
    rows = [dict(kind=f.kind, file=str(f.file), detail=f.detail) for f in listed[:MOST_ROWS]]
    return Section('faults', 'Faults', [],
                   [Table('kinds', 'By kind', counted), Table('files', 'Files', rows)])  # fmt: skip


def _class_counts(part: Part, looks: Mapping[Sample, Look]) -> tuple[NDArray, NDArray, str]:
    """Objects (or pixels) and images of each class, and what the first are."""
    number = len(part.classes)
    if not len(part.labels) and part.samples and part.samples[0].label_map is not None:
        pixels, images = np.zeros((2, number), np.int64)
        for sample in part.samples:
            found = looks[sample].pixels
            for label, value in enumerate(part.values):
                pixels[label] += found.get(value, 0)
                images[label] += value in found
        return pixels, images, 'pixels'
    objects = np.bincount(part.labels, minlength=number)[:number]
    pairs = np.unique(np.stack([part.images, part.labels], 1), axis=0)
    return objects, np.bincount(pairs[:, 1], minlength=number)[:number], 'objects'


def _classes(parts: Sequence[Part], looks: Mapping[Sample, Look]) -> Section:
    classes = parts[0].classes
    rows: list[dict[str, Any]] = [{'class': name} for name in classes]
    shares = {}
    for part in parts:
        if part.classes != classes:
            continue
        objects, images, what = _class_counts(part, looks)
        shares[part.name] = (objects / max(objects.sum(), 1)).tolist()
        for row, count, among in zip(rows, objects, images, strict=True):
            row[f'{what}, {part.name}'] = int(count)
            row[f'images, {part.name}'] = int(among)
    if not rows:
        return Section('classes', 'Classes')
    bars = drawings.class_bars(classes, shares, 'Share of each class', 'rarest')
    top = max(max(values) for values in shares.values())
    bars.figure.axes[0].set_xlim(0, 1.05 * top or 1)
    return Section('classes', 'Classes', [],
                   [Table('class_counts', 'Counts', rows), bars])  # fmt: skip


def _sizes(parts: Sequence[Part], looks: Mapping[Sample, Look]) -> Section:
    rows = []
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 3.2))
        axes = figure.subplots()
        for part, color in zip(parts, COLORS, strict=False):
            sizes = [size for s in part.samples if (size := looks[s].size) is not None]
            unique, counts = np.unique(np.array(sizes or [(0, 0)]), axis=0, return_counts=True)
            area = 8 + 150 * counts / counts.max()
            axes.scatter(
                unique[:, 0], unique[:, 1], s=area, color=color, alpha=0.5, label=part.name
            )
            rows += [
                dict(part=part.name, width=int(w), height=int(h), images=int(n))
                for (w, h), n in zip(unique, counts, strict=True)
            ]
        axes.set(xlabel='width (px)', ylabel='height (px)')
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.legend()
    drawing = Drawing('image_sizes', 'Sizes of images', figure, rows,
                      'The larger a dot, the more images have that size.', '')  # fmt: skip
    return Section('sizes', 'Images', [], [drawing])


def _objects(parts: Sequence[Part]) -> Section:
    known = [part for part in parts if len(part.boxes)]
    if not known:
        return Section('objects', 'Objects')
    rows, table = [], []
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 2.8))
        axes = figure.subplots(1, 1 + len(known), squeeze=False)[0]
        sides = [np.sqrt(np.maximum(p.boxes[:, 2] * p.boxes[:, 3], 1)) for p in known]
        largest = max(side.max() for side in sides)
        edges = np.geomspace(min(side.min() for side in sides), largest + 1, 30)
        for part, side, color in zip(known, sides, COLORS, strict=False):
            shares = np.histogram(side, edges)[0] / len(side)
            axes[0].stairs(shares, edges, color=color, label=part.name)
            rows += [
                dict(part=part.name, side_from_px=float(a), side_to_px=float(b), share=float(n))
                for a, b, n in zip(edges[:-1], edges[1:], shares, strict=True)
            ]
        axes[0].set_xscale('log', base=2)
        axes[0].xaxis.set_major_formatter(ScalarFormatter())
        axes[0].set(xlabel='square root of the area (px)', title='sizes, share of boxes')
        axes[0].legend()
        for part, place in zip(known, axes[1:], strict=True):
            sizes = np.array([sample.size or (1, 1) for sample in part.samples], float)
            centers = (part.boxes[:, :2] + part.boxes[:, 2:] / 2) / sizes[part.images]
            density = np.histogram2d(centers[:, 1], centers[:, 0], bins=16, range=((0, 1), (0, 1)))[
                0
            ]
            place.imshow(density, extent=(0, 1, 1, 0), cmap='viridis')
            place.set(title=f'centers, {part.name}', xticks=(), yticks=())
            place.grid(False)
    for part, side in zip(known, sides, strict=True):
        for label, name in enumerate(part.classes):
            own = side[part.labels == label]
            if len(own):
                table.append({
                    'class': name, 'part': part.name, 'boxes': len(own),
                    'smallest side': float(own.min()), 'median side': float(np.median(own)),
                    'largest side': float(own.max()),
                    'share under 32 px': float((own < 32).mean()),
                })  # fmt: skip
    drawing = Drawing('boxes', 'Sizes and places of boxes', figure, rows,
                      'Centers are shares of the image, bright where many are.', '')  # fmt: skip
    note = 'A side is the square root of the area of a box, in pixels.'
    return Section('objects', 'Objects', [],
                   [drawing, Table('box_sizes', 'By class', table, note)])  # fmt: skip


def _duplicates(parts: Sequence[Part], looks: Mapping[Sample, Look]) -> Section:
    places: dict[
        Path, tuple[Sample, list[str]]
    ] = {}  # one entry for an image that several parts have
    for part in parts:
        for sample in part.samples:
            if looks[sample].size is not None:
                places.setdefault(sample.image.resolve(), (sample, []))[1].append(part.name)
    shared = [(path, names) for path, (_, names) in places.items() if len(set(names)) > 1]
    samples = [sample for sample, _ in places.values()]
    names = [sorted(set(names)) for _, names in places.values()]
    groups = near_groups([looks[sample].hash for sample in samples]) if samples else []
    across = [g for g in groups if len({part for k in g for part in names[k]}) > 1]
    within = [g for g in groups if g not in across]
    rows = [
        dict(group=number, parts='across' if group in across else 'within',
             part='+'.join(names[k]), image=str(samples[k].image))
        for number, group in enumerate([*across, *within], 1)
        for k in group
    ][:MOST_ROWS]  # fmt: skip
    texts = [
        f'{len(groups)} groups of images look alike, {len(across)} of them across parts, where '
        'training tells the answers of a test. By perceptual hash (64 bits, at most 4 differ), '
        'which sees through other sizes, compression and brightness, not through crops and mirrors.'
    ]
    if shared:
        texts.append(f'{len(shared)} files are in several parts, such as {shared[0][0]}.')
    drawn = []
    for group in [*across, *within][:SHOWN]:
        images = [pictures.read_rgb(str(samples[k].image)) for k in group[:2]]
        if all(image is not None for image in images):
            tiles = [_square(image, 2 * TILE) for image in images if image is not None]
            caption = ', '.join(f'{"+".join(names[k])}: {samples[k].image.name}' for k in group[:2])
            drawn.append(Picture(pictures.beside(*tiles), f'{caption} ({len(group)} alike)'))
    shown: list[Any] = [Table('duplicates', 'Groups', rows)] if rows else []
    if drawn:
        shown.append(Gallery('alike', 'Two of each group', drawn))
    return Section('duplicates', 'Near duplicates', texts, shown)


def _square(image: pictures.Pixels, side: int) -> pictures.Pixels:
    """The image within a square of that side, on gray."""
    scale = side / max(image.shape[:2])
    size = tuple(max(1, round(length * scale)) for length in image.shape[1::-1])
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    canvas = np.full((side, side, 3), 128, np.uint8)
    top, left = ((side - length) // 2 for length in small.shape[:2])
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def _mosaics(parts: Sequence[Part], looks: Mapping[Sample, Look]) -> Section:
    """A few examples of each class, from equal distances in the first part."""
    part = parts[0]
    drawn = []
    for label, name in enumerate(part.classes[:MOST_CLASSES]):
        tiles = _examples(part, looks, label)
        if tiles:
            blank = np.full((TILE, TILE, 3), 255, np.uint8)
            tiles += [blank] * (TILES - len(tiles))
            rows = [np.hstack(tiles[k : k + 6]) for k in range(0, TILES, 6)]
            drawn.append(Picture(np.vstack(rows), name))
    if not drawn:
        return Section('mosaics', 'Examples')
    note = f'Of {part.name}, from equal distances in its order.'
    if len(part.classes) > MOST_CLASSES:
        note += f' The first {MOST_CLASSES} of {len(part.classes)} classes.'
    return Section('mosaics', 'Examples', [], [Gallery('examples', 'By class', drawn, note)])


def _examples(part: Part, looks: Mapping[Sample, Look], label: int) -> list[pictures.Pixels]:
    is_segmented = bool(part.samples) and part.samples[0].label_map is not None
    if is_segmented:
        value = part.values[label]
        own = np.array([k for k, s in enumerate(part.samples) if value in looks[s].pixels], int)
    else:
        own = np.flatnonzero(part.labels == label)
    if not len(own):
        return []
    tiles = []
    for k in own[np.linspace(0, len(own) - 1, min(TILES, len(own))).astype(int)]:
        sample = part.samples[int(k if is_segmented else part.images[k])]
        image = pictures.read_rgb(str(sample.image))
        if image is None:
            continue
        if is_segmented and sample.label_map is not None:
            with opened(sample.label_map) as labels:  # a palette's numbers, not its colors
                inside = np.asarray(labels) == part.values[label]
            box = cv2.boundingRect(inside.astype(np.uint8))
        elif len(part.boxes):
            box = tuple(part.boxes[k])
        else:
            box = (0, 0, image.shape[1], image.shape[0])
        tiles.append(_square(_crop(image, box), TILE))
    return tiles


def _crop(image: pictures.Pixels, box: Sequence[float]) -> pictures.Pixels:
    """The box with a tenth around it."""
    x, y, width, height = box
    left, top = int(max(0, x - width / 10)), int(max(0, y - height / 10))
    right, bottom = int(x + 1.1 * width) + 1, int(y + 1.1 * height) + 1
    cut = image[top:bottom, left:right]
    return cut if cut.size else image


def mistakes_of(name: str, dataset: ConfigDict, scope: str, predictions: Path) -> Section:
    """Labels that a model contradicts.

    Args:
        name: Of the part.
        dataset: Its data set's part of the config.
        scope: ``default_scope`` of the config: mmdet or mmpretrain.
        predictions: Of the part's images, as tools/test.py writes them.
    """
    read = read_predictions(predictions)
    if scope == 'mmdet':
        rows, drawn = _box_mistakes(dataset, read)
        what = 'Labels on the left, what the model finds on the right.'
    else:
        rows, drawn = _class_mistakes(dataset, read)
        what = ''
    texts = [
        f'{len(rows)} of {len(read)} images of {name}, the likeliest first, by cleanlab: labels '
        'that the model contradicts. Look at them; not all are mistakes.'
    ]
    if name == 'train':
        texts.append('The model has learned from these labels, so that it contradicts too few.')
    parts: list[Any] = []
    if rows:
        parts.append(Table(f'mistakes_{name}', 'Images', rows[:MOST_ROWS]))
    if drawn:
        parts.append(Gallery(f'mistaken_{name}', 'The likeliest', drawn, what))
    return Section(f'mistakes_{name}', f'Likely label mistakes, {name}', texts, parts)


def _box_mistakes(
    dataset: ConfigDict, predictions: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[Picture]]:
    results = detector.read_results(dataset, predictions)
    ranked, scores = mistakes.of_boxes(results)
    images = results.truth['images']
    rows = [dict(image=images[k]['file_name'], label_quality=float(scores[k])) for k in ranked]
    drawn = []
    for k in ranked[:SHOWN]:
        pixels = pictures.read_rgb(str(image_folder(dataset) / images[k]['file_name']))
        if pixels is None:
            continue
        true = [results.objects.items[i] for i in results.objects.of_image(int(k))]
        found = [results.detections.items[i] for i in results.detections.of_image(int(k))
                 if results.detections.scores[i] >= 0.5]  # fmt: skip
        panels = [pictures.draw_objects(pixels, i, results.classes) for i in (true, found)]
        caption = f'{images[k]["file_name"]}: label quality {scores[k]:.2f}'
        drawn.append(Picture(pictures.beside(*panels), caption))
    return rows, drawn


def _class_mistakes(
    dataset: ConfigDict, predictions: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[Picture]]:
    answers = classifier.read_answers(dataset, predictions)
    rows = [
        dict(image=answers.images[k], label=answers.classes[answers.truth[k]],
             found=answers.classes[answers.found[k]],
             score_of_label=float(answers.scores[k, answers.truth[k]]))
        for k in mistakes.of_classes(answers)
    ]  # fmt: skip
    drawn = []
    for row in rows[:SHOWN]:
        pixels = pictures.read_rgb(row['image'])
        if pixels is not None:
            caption = f'labeled {row["label"]}, found {row["found"]}'
            drawn.append(Picture(pictures.fit(pixels)[0], caption))
    return rows, drawn
