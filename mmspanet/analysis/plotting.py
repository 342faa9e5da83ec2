"""What our figures share: colors, a style, and saving with a CSV of exactly what is drawn."""

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mmspanet.analysis.tables import Row, write_csv
from mmspanet.files import open_for_replacement

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
    'axes.axisbelow': True,  # the grid behind the bars
    'grid.color': '#e5e5e5',
    'grid.linewidth': 0.6,
    'lines.linewidth': 1.5,
    'lines.markersize': 4,
    'svg.hashsalt': 'mmspanet',  # the same figure gives the same file
}


def style() -> AbstractContextManager[None]:
    """Set the style of our figures: make and draw a figure inside ``with plotting.style():``."""
    return mpl.rc_context(STYLE)


def sequence_colors(n: int) -> list[tuple[float, float, float, float]]:
    """Pick ``n`` RGBA colors from dark to light, for curves in an order such as depth or size."""
    # viridis keeps its order for color-blind readers; its lightest part vanishes on white.
    return [mpl.colormaps['viridis'](0.88 * i / max(n - 1, 1)) for i in range(n)]


def draw_pixels(axes: Axes, pixels: Tensor, title: str) -> None:
    """Draw an image of shape (3, H, W), uint8 RGB, without ticks."""
    axes.grid(False)
    axes.imshow(pixels.permute(1, 2, 0).numpy())
    axes.set_title(title, fontsize=7)
    axes.set_axis_off()


@dataclass(frozen=True)
class Drawing:
    """A figure with its caption and the table of what it shows.

    Attributes:
        name: Stem of its files, and its anchor on a page.
        title: A few words.
        figure: Made inside :func:`style`.
        rows: One mapping per drawn point, bar or cell, see :func:`save_figure`.
        shows: What the figure shows, in a few sentences of plain text.
        shows_not: What can not be concluded from it.
    """

    name: str
    title: str
    figure: Figure
    rows: Sequence[Row]
    shows: str
    shows_not: str

    def save(self, folder: Path) -> list[Path]:
        """Write PNG, SVG and CSV into a folder; returns their paths."""
        return save_figure(self.figure, self.rows, folder / self.name)


def save_figure(figure: Figure, rows: Sequence[Row], stem: Path) -> list[Path]:
    """Write a figure as PNG and SVG, and a CSV of what it shows.

    Args:
        figure: A figure made inside :func:`style`. ``matplotlib.figure.Figure(figsize=...)``
            needs no pyplot and no display.
        rows: One mapping per drawn point, bar or cell, all with the keys of the first, which
            head the columns. Name the unit in the key where there is one.
        stem: Path without suffix; missing folders are made.

    Returns:
        The paths of the PNG, the SVG and the CSV.

    Raises:
        WriteError: If a file can not be written.
    """
    png, svg, table = (stem.with_name(f'{stem.name}.{kind}') for kind in ('png', 'svg', 'csv'))
    with style():
        with open_for_replacement(png) as file:
            figure.savefig(file, format='png')
        with open_for_replacement(svg) as file:
            figure.savefig(file, format='svg', metadata={'Date': None})
    write_csv(table, rows)
    return [png, svg, table]


def inline_svg(figure: Figure, key: str) -> str:
    """Render a figure as an SVG element for an HTML page.

    Text stays text; the ids inside start with ``key``, so that several can share a page.
    """
    file = io.StringIO()
    with style(), mpl.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': key}):
        figure.savefig(
            file, format='svg', transparent=True, metadata={'Date': None, 'Creator': None}
        )
    svg = file.getvalue()
    svg = re.sub(r'<metadata>.*?</metadata>', '', svg[svg.index('<svg') :], flags=re.DOTALL)
    for attribute, before in (('id', '"'), ('href', '"#'), ('clip-path', '"url(#')):
        svg = svg.replace(f'{attribute}={before}', f'{attribute}={before}{key}-')
    return svg
