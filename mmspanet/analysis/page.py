"""HTML pages that load nothing else: figures as inline SVG, tables and pictures as data."""

import base64
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from numpy.typing import NDArray

from mmspanet.files import write_bytes

from .plotting import Drawing, inline_svg, save_figure
from .tables import Row, csv_text, write_csv

Facts = Sequence[tuple[str, str]]

FOLDER = Path(__file__).parent
QUALITY = 85  # of JPEG


@dataclass(frozen=True)
class Table:
    """A table of a page.

    Attributes:
        name: Stem of its CSV file, and its anchor.
        title: A few words; also of no heading if empty.
        rows: All with the keys of the first, which head the columns.
        note: What it shows, in plain text.
    """

    name: str
    title: str
    rows: Sequence[Row]
    note: str = ''


@dataclass(frozen=True)
class Picture:
    """A picture with its caption.

    Attributes:
        pixels: RGB, uint8, of shape (H, W, 3).
        caption: Plain text.
    """

    pixels: NDArray[np.uint8]
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures of one kind.

    Attributes:
        name: Stem of the files, and its anchor.
        title: A few words.
        pictures: In their order.
        note: What they are, in plain text.
    """

    name: str
    title: str
    pictures: Sequence[Picture]
    note: str = ''


@dataclass(frozen=True)
class Hints:
    """A list of sentences, each with the setting that it is about.

    Attributes:
        rows: Sentence, and setting or command; that may be empty.
    """

    rows: Sequence[tuple[str, str]]


Part = Drawing | Table | Gallery | Hints


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading.

    Attributes:
        name: Its anchor.
        title: Its heading.
        texts: Paragraphs of plain text before the parts.
        parts: What is shown.
    """

    name: str
    title: str
    texts: Sequence[str] = ()
    parts: Sequence[Part] = ()


def fill(template: str, title: str, facts: Facts, parts: Sequence[Any]) -> str:
    """Fill a template that extends ``page.html``.

    Args:
        template: A Jinja template; it gets ``title``, ``facts`` and ``parts``, and the filters
            ``svg`` and ``data_link`` for a drawing's figure and a table, ``jpeg`` for pixels,
            ``number`` for a table's cell and ``kind`` for the name of a part's type.
        title: Heading of the page, in plain text.
        facts: Pairs of a name and a value, in plain text.
        parts: What has a ``name`` and a ``title``, in order: drawings or sections.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        svg=_svg, data_link=_data_link, jpeg=_jpeg, number=number, kind=lambda x: type(x).__name__
    )
    return environment.from_string(template).render(title=title, facts=facts, parts=parts)


def save(sections: Sequence[Section], folder: Path) -> None:
    """Write figures as PNG and SVG, tables as CSV and pictures as JPEG into a folder.

    Raises:
        WriteError: If a file can not be written.
    """
    for part in (part for section in sections for part in section.parts):
        if isinstance(part, Drawing):
            save_figure(part.figure, part.rows, folder / part.name)
        elif isinstance(part, Table):
            write_csv(folder / f'{part.name}.csv', part.rows)
        elif isinstance(part, Gallery):
            for index, picture in enumerate(part.pictures, 1):
                write_bytes(folder / f'{part.name}_{index}.jpg', encode(picture.pixels))


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """A picture as a JPEG file, given RGB of shape (H, W, 3)."""
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def number(value: Any) -> str:
    """A cell as text: floats with three decimals or four digits, nothing for NaN and None."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ''
    if isinstance(value, float):
        return f'{value:.3f}' if abs(value) < 100 else f'{value:.4g}'
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f'{value:,}'.replace(',', ' ')
    return str(value)


def _svg(drawing: Drawing) -> Markup:
    return Markup(inline_svg(drawing.figure, html.escape(drawing.name)))


def _data_link(part: Drawing | Table) -> str:
    text = base64.b64encode(csv_text(part.rows).encode()).decode()
    return f'data:text/csv;base64,{text}'


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    return f'data:image/jpeg;base64,{base64.b64encode(encode(pixels)).decode()}'
