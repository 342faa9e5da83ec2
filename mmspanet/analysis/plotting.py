"""What our figures share: colors, a style, and saving with a CSV of exactly what is drawn."""

import csv
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# Okabe and Ito's colors but black and the pale yellow: color-blind readers tell them apart.
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE = (
    '#0072B2',
    '#E69F00',
    '#009E73',
    '#D55E00',
    '#56B4E9',
    '#CC79A7',
)
COLORS = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE)

PAGE_WIDTH = 7.2  # inches; at 200 dots per inch a PNG is 1440 pixels wide

STYLE: Any = {
    'figure.dpi': 100,
    'savefig.dpi': 200,
    'figure.constrained_layout.use': True,
    'font.size': 9,
    'axes.titlesize': 9,
    'axes.labelsize': 9,
    'xtick.labelsize': 8,
    'ytick.labelsize': 8,
    'legend.fontsize': 8,
    'legend.frameon': False,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.color': '#e5e5e5',
    'grid.linewidth': 0.6,
    'lines.linewidth': 1.5,
    'lines.markersize': 4,
    'svg.hashsalt': 'mmspanet',  # the same figure gives the same file
}


def style() -> AbstractContextManager[None]:
    """The style of our figures; make and draw a figure inside ``with figures.style():``."""
    return mpl.rc_context(STYLE)


def sequence_colors(n: int) -> list[tuple[float, float, float, float]]:
    """``n`` RGBA colors from dark to light, for curves in an order such as depth or size."""
    # viridis keeps its order for color-blind readers; its lightest part vanishes on white.
    return [mpl.colormaps['viridis'](0.88 * i / max(n - 1, 1)) for i in range(n)]


def save_figure(figure: Figure, rows: Sequence[Mapping[str, Any]], stem: Path) -> list[Path]:
    """Write a figure as PNG and SVG, and a CSV of what it shows.

    Args:
        figure: A figure made inside :func:`style`. ``matplotlib.figure.Figure(figsize=...)``
            needs no pyplot and no display.
        rows: One mapping per drawn point, bar or cell, all with the keys of the first, which
            head the columns. Name the unit in the key where there is one.
        stem: Path without suffix; missing folders are made.

    Returns:
        The paths of the PNG, the SVG and the CSV.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    png, svg, table = (stem.with_name(f'{stem.name}.{kind}') for kind in ('png', 'svg', 'csv'))
    with style():
        figure.savefig(png)
        figure.savefig(svg, metadata={'Date': None})
    with open(table, 'w', newline='') as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    return [png, svg, table]
