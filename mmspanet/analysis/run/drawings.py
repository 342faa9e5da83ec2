"""The figures of a run's page."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from numpy.typing import NDArray

from mmspanet.analysis import plotting
from mmspanet.analysis.plotting import BLUE, COLORS, GREEN, ORANGE, VERMILION, Drawing

from . import classification, detection, segmentation
from .logs import Log, metric_names

Floats = NDArray[np.float64]

MOST_LINES = len(COLORS)  # curves of single classes with a color of their own
MOST_CELLS = 30  # classes of a confusion matrix with numbers in its cells
STEPS = np.linspace(0, 1, 201)  # of scores
RECALLS = np.linspace(0, 1, 101)


def _figure(rows: int = 1, columns: int = 1, height: float = 3.0) -> tuple[Figure, NDArray]:
    figure = Figure(figsize=(plotting.PAGE_WIDTH, height * rows))
    return figure, figure.subplots(rows, columns, squeeze=False)


def curves(runs: Mapping[str, Log]) -> list[Drawing]:
    """Losses, learning rate and metrics against iterations, one run or several over each other.

    Args:
        runs: Logs by the names of the runs.
    """
    drawings = []
    losses = _losses(runs)
    rates = [('learning rate', ('lr',))]
    metrics = [(name, (name,)) for name in _shared_metrics(runs)]
    if losses:
        drawings.append(_lines('losses', 'Losses of the training', runs, losses, 'training'))
    if any(log.training for log in runs.values()):
        drawings.append(_lines('rate', 'Learning rate', runs, rates, 'training'))
    if metrics and any(len(log.validation) > 1 for log in runs.values()):  # one is no curve
        drawings.append(_lines('metrics', 'Metrics of the validation', runs, metrics, 'validation'))
    return drawings


def _losses(runs: Mapping[str, Log]) -> list[tuple[str, tuple[str, ...]]]:
    names = dict.fromkeys(
        name for log in runs.values() for row in log.training for name in row if 'loss' in name
    )
    if not names:
        return []
    parts = tuple(name for name in names if name != 'loss')
    if len(runs) > 1 or not parts:
        return [(name, (name,)) for name in names]
    return [('loss', ('loss',)), ('its parts', parts)]


def _shared_metrics(runs: Mapping[str, Log]) -> list[str]:
    return list(
        dict.fromkeys(name for log in runs.values() for name in metric_names(log.validation))
    )


def _lines(
    name: str,
    title: str,
    runs: Mapping[str, Log],
    panels: Sequence[tuple[str, Sequence[str]]],
    part: str,
) -> Drawing:
    """Panels of curves, each of the values of some names in all runs."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    table = []
    with plotting.style():
        figure, grid = _figure(rows, columns, 2.4 if rows > 1 else 3.0)
        for axes, (heading, names) in zip(grid.flat, panels, strict=False):
            lines = [(run, log, value) for run, log in runs.items() for value in names]
            for color, (run, log, value) in zip(_cycle(len(lines)), lines, strict=True):
                points = [(row['step'], row[value]) for row in getattr(log, part) if value in row]
                if not points:
                    continue
                label = run if len(runs) > 1 else value
                marker = 'o' if part == 'validation' or len(points) == 1 else None
                axes.plot(*zip(*points, strict=True), color=color, label=label, marker=marker)
                table += [dict(run=run, name=value, iteration=x, value=y) for x, y in points]
            if len(runs) == 1:
                _mark_restarts(axes, next(iter(runs.values())))
            axes.set(xlabel='iteration', title=heading)
            if heading.startswith(('loss', 'its')) or 'rate' in heading:
                axes.set_ylim(bottom=0)
            if len(lines) > 1:
                axes.legend(ncols=1 if len(lines) < 6 else 2)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
    shows = 'Against the iterations of the training.'
    if any(log.restarts for log in runs.values()) and len(runs) == 1:
        shows += ' Dashed: where the run was resumed.'
    return Drawing(name, title, figure, table, shows, '')


def _cycle(count: int) -> list[Any]:
    return list(COLORS[:count]) if count <= len(COLORS) else plotting.sequence_colors(count)


def _mark_restarts(axes: Axes, log: Log) -> None:
    for step in log.restarts:
        axes.axvline(step, color='#777777', linestyle='--', linewidth=1)


# Detection.


def precision_recall(evaluation: detection.Evaluation, classes: Sequence[str]) -> Drawing:
    """Precision against recall at IoU 0.5, of each class and the mean."""
    precision = evaluation.precision[0, :, :, 0]
    with plotting.style():
        figure, grid = _figure(height=3.6)
        axes = grid[0, 0]
        there = [k for k in range(len(classes)) if (precision[:, k] > -1).all()]
        for color, k in zip(_class_colors(len(there)), there, strict=True):
            label = classes[k] if len(there) <= MOST_LINES else None
            axes.plot(RECALLS, precision[:, k], color=color, label=label, linewidth=1)
        if there:
            mean = precision[:, there].mean(1)
            axes.plot(RECALLS, mean, color='black', linewidth=2.2, label='mean of the classes')
            axes.legend()
        axes.set(xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1.02))
    table = [
        {'class': classes[k], 'recall': float(r), 'precision': float(precision[i, k])}
        for k in there
        for i, r in enumerate(RECALLS)
    ] or [{'class': '', 'recall': '', 'precision': ''}]
    return Drawing(
        'precision_recall', 'Precision against recall', figure, table,
        "At box IoU 0.5, as COCO's evaluation has it: the area below a curve is the AP50.", '',
    )  # fmt: skip


def _class_colors(count: int) -> list[Any]:
    return list(COLORS[:count]) if count <= MOST_LINES else ['#bbbbbb'] * count


def f1(curves: Sequence[detection.ScoreCurve], classes: Sequence[str]) -> Drawing:
    """F1 against the score from which on detections count.

    Args:
        curves: Of all classes together, and of each.
        classes: Their names.
    """
    names = ['all classes', *classes]
    table = []
    with plotting.style():
        figure, grid = _figure(height=3.6)
        axes = grid[0, 0]
        colors = ['black', *_class_colors(len(classes))]
        for name, curve, color in reversed(list(zip(names, curves, colors, strict=True))):
            if not len(curve.scores):
                continue
            places = np.searchsorted(-curve.scores, -STEPS, side='right') - 1
            values = np.where(places >= 0, curve.f1[places], 0.0)
            bold = name == names[0]
            label = name if bold or len(classes) <= MOST_LINES else None
            axes.plot(STEPS, values, color=color, label=label, linewidth=2.2 if bold else 1)
            table += [
                {'class': name, 'score': float(s), 'f1': float(v)}
                for s, v in zip(STEPS, values, strict=True)
            ]
        if len(curves[0].scores):
            best = curves[0].best
            axes.plot(curves[0].scores[best], curves[0].f1[best], 'o', color='black')
        axes.set(xlabel='least score', ylabel='F1', xlim=(0, 1), ylim=(0, 1.02))
        axes.legend()
    return Drawing(
        'f1', 'F1 against the score', figure,
        table or [{'class': '', 'score': '', 'f1': ''}],
        'At box IoU 0.5. The dot is the best single threshold for all classes.', '',
    )  # fmt: skip


def errors(ap: float, losses: Mapping[str, float]) -> Drawing:
    """The AP that each kind of error takes."""
    with plotting.style():
        figure, grid = _figure(height=2.6)
        axes = grid[0, 0]
        names = list(losses)[::-1]
        bars = axes.barh(names, [100 * losses[name] for name in names], color=BLUE)
        axes.bar_label(bars, fmt='%.1f', padding=3)
        axes.set(xlabel=f'AP50 points lost, of 100 (AP50 is {100 * ap:.1f})')
        axes.margins(x=0.12)
        axes.grid(False, axis='y')
    table = [dict(error=name, ap50_lost=value) for name, value in losses.items()]
    kinds = '; '.join(f'{name}: {text}' for name, text in detection.KINDS.items())
    return Drawing(
        'errors', 'What errors cost', figure, table,
        'The kinds of TIDE (Bolya et al., ECCV 2020) for boxes; a bar is how much AP50 rises if '
        f'the errors of that kind alone are mended, so that bars do not add up. {kinds}.', '',
    )  # fmt: skip


def boxes(
    objects: detection.Objects, found: detection.Objects, sizes: NDArray[np.float64]
) -> Drawing:
    """Sizes and places of boxes, true and found.

    Args:
        objects: The true ones.
        found: Those that count.
        sizes: Width and height of each image in pixels, of shape (images, 2).
    """
    table = []
    with plotting.style():
        figure, grid = _figure(1, 3, 2.6)
        sides = [np.sqrt(kind.boxes[:, 2] * kind.boxes[:, 3]) for kind in (objects, found)]
        largest = max(side.max(initial=1) for side in sides)
        edges = np.geomspace(max(1, min(side.min(initial=1e9) for side in sides)), largest + 1, 25)
        for side, label, color in zip(sides, ('true', 'found'), (BLUE, ORANGE), strict=True):
            counts, _ = np.histogram(side, edges)
            grid[0, 0].stairs(counts, edges, color=color, label=label, linewidth=1.5)
            table += [
                dict(boxes=label, side_from_px=float(a), side_to_px=float(b), count=int(n))
                for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)
            ]
        grid[0, 0].set_xscale('log', base=2)
        grid[0, 0].xaxis.set_major_formatter(ScalarFormatter())
        grid[0, 0].set(xlabel='square root of the area (px)', title='sizes')
        grid[0, 0].legend()
        for axes, kind, label in zip(grid[0, 1:], (objects, found), ('true', 'found'), strict=True):
            centers = (kind.boxes[:, :2] + kind.boxes[:, 2:] / 2) / sizes[kind.images]
            density, _, _ = np.histogram2d(
                centers[:, 1], centers[:, 0], bins=16, range=((0, 1), (0, 1))
            )
            axes.imshow(density, extent=(0, 1, 1, 0), cmap='viridis')
            axes.set(title=f'centers, {label}', xticks=(), yticks=())
            axes.grid(False)
    return Drawing(
        'boxes', 'Sizes and places of boxes', figure, table,
        'Of true boxes, and of those found with at least the best score. '
        'Centers are shares of the image, bright where there are many.', '',
    )  # fmt: skip


# Confusions, of all tasks.


def confusion_matrix(
    counts: NDArray[np.int64], rows: Sequence[str], columns: Sequence[str], what: str, note: str
) -> Drawing:
    """Counts with the truth in rows, colored by their share of the row.

    Args:
        counts: Of shape (rows, columns).
        rows: Names.
        columns: Names.
        what: What is counted, such as 'pixels'.
        note: How.
    """
    with np.errstate(invalid='ignore'):
        shares = np.nan_to_num(counts / counts.sum(1, keepdims=True))
    few = len(rows) <= MOST_CELLS
    side = min(plotting.PAGE_WIDTH, 2.2 + 0.42 * len(columns)) if few else plotting.PAGE_WIDTH
    with plotting.style():
        figure = Figure(figsize=(side + 0.6, side))
        axes = figure.subplots()
        image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
        axes.grid(False)
        axes.set(xlabel='found', ylabel='true')
        if few:
            size = 8 if len(columns) <= 12 else 5
            axes.set_xticks(range(len(columns)), columns, rotation=60, ha='right', fontsize=size)
            axes.set_yticks(range(len(rows)), rows, fontsize=size)
            for i, j in np.argwhere(counts > 0):
                ink = 'white' if shares[i, j] > 0.6 else 'black'
                text = f'{shares[i, j]:.2f}' if what == 'pixels' else str(counts[i, j])
                axes.text(j, i, text, ha='center', va='center', color=ink, fontsize=size - 1)
        figure.colorbar(image, ax=axes, label="share of the row's " + what, shrink=0.7)
    table = [
        dict(true=rows[i], found=columns[j], count=int(counts[i, j]), share=float(shares[i, j]))
        for i, j in np.argwhere(counts > 0)
    ] or [dict(true='', found='', count=0, share=0.0)]
    return Drawing('confusion', 'Confusion matrix', figure, table, note, '')


# Segmentation.


def class_bars(
    names: Sequence[str],
    columns: Mapping[str, Sequence[float]],
    title: str,
    least: str = 'worst',
) -> Drawing:
    """Bars of each class, the least by the first column on top.

    Args:
        names: Of the classes.
        columns: Values from 0 to 1 by name.
        title: Of the drawing.
        least: What the least are, such as 'worst'.
    """
    first = np.nan_to_num(np.array(next(iter(columns.values())), float), nan=2.0)
    order = np.argsort(first)[:MOST_CELLS][::-1]
    height = 0.8 / len(columns)
    with plotting.style():
        figure, grid = _figure(height=1.0 + 0.28 * len(order))
        axes = grid[0, 0]
        for i, ((label, values), color) in enumerate(zip(columns.items(), COLORS, strict=False)):
            places = np.arange(len(order)) - i * height + 0.4 - height / 2
            axes.barh(places, np.array(values, float)[order], height, color=color, label=label)
        axes.set_yticks(range(len(order)), [names[k] for k in order])
        axes.set(xlim=(0, 1))
        axes.grid(False, axis='y')
        axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.08), ncols=len(columns))
    table = [
        {'class': name, **{key: float(values[k]) for key, values in columns.items()}}
        for k, name in enumerate(names)
    ]
    note = f'The {least} on top.'
    if len(names) > MOST_CELLS:
        note = f'The {MOST_CELLS} {least} classes.'
    return Drawing('classes', title, figure, table, note, '')


def boundary_errors(counts: segmentation.Counts) -> Drawing:
    """Share of wrong pixels against their distance to another class."""
    edges = (0, *segmentation.EDGES)
    labels = [f'{a}' if b == a + 1 else f'{a} to {b - 1}' for a, b in pairwise(edges[1:])] + [
        f'{edges[-1]} and more'
    ]
    pixels, wrong = counts.pixels[1:], counts.wrong[1:]
    with np.errstate(invalid='ignore'):
        shares = wrong / pixels
    with plotting.style():
        figure, grid = _figure(height=2.8)
        axes = grid[0, 0]
        bars = axes.bar(labels, np.nan_to_num(shares), color=VERMILION)
        axes.bar_label(bars, fmt='%.3f', padding=2, fontsize=8)
        axes.set(xlabel='distance to the nearest pixel of another class (px)', ylabel='wrong share')
        axes.margins(y=0.15)
        axes.grid(False, axis='x')
    table = [
        dict(distance_px=label, pixels=int(n), wrong=int(w))
        for label, n, w in zip(labels, pixels, wrong, strict=True)
    ]
    return Drawing(
        'boundary', 'Errors at boundaries and inside', figure, table,
        'Share of the pixels taken for another class, by their Euclidean distance to a boundary '
        'in the true map.', '',
    )  # fmt: skip


# Classification.


def reliability(calibration: classification.Calibration) -> Drawing:
    """Accuracy against confidence, and how many images have which."""
    bins = len(calibration.counts)
    edges = np.linspace(0, 1, bins + 1)
    with plotting.style():
        figure, grid = _figure(1, 2, 3.0)
        axes, below = grid[0]
        axes.plot([0, 1], [0, 1], '--', color='#777777', linewidth=1, label='calibrated')
        axes.bar(
            (edges[:-1] + edges[1:]) / 2, np.nan_to_num(calibration.accuracy), 1 / bins * 0.92,
            color=BLUE, label='accuracy',
        )  # fmt: skip
        axes.plot(calibration.confidence, calibration.accuracy, 'o', color=ORANGE, label='bins')
        axes.set(xlabel='confidence', ylabel='accuracy', xlim=(0, 1), ylim=(0, 1.02))
        axes.set_title(f'calibration error (ECE) {calibration.error:.4f}')
        axes.legend()
        below.stairs(calibration.counts, edges, fill=True, color=GREEN)
        below.set(xlabel='confidence', title='images', xlim=(0, 1))
    table = [
        dict(confidence_from=float(a), confidence_to=float(b), images=int(n),
             mean_confidence=float(c), accuracy=float(r))
        for a, b, n, c, r in zip(
            edges[:-1], edges[1:], calibration.counts, calibration.confidence,
            calibration.accuracy, strict=True,
        )
    ]  # fmt: skip
    return Drawing(
        'reliability', 'Calibration', figure, table,
        'How often the classifier is right against how sure it is. Bars below the dashed line: '
        f'too sure. ECE is the mean distance over {bins} bins, weighted by their images.', '',
    )  # fmt: skip
