"""Saved figures: three files, and a table that reads back as what was drawn."""

import csv
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from mmspanet.analysis import plotting


@pytest.fixture
def drawn():
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 3))
        figure.subplots().plot([0, 1], [0.25, 0.5])
    return figure, [dict(frequency=0, gain=0.25), dict(frequency=1, gain=0.5)]


def test_save_figure_writes_three_readable_files(drawn, tmp_path):
    # A name with a dot: with_suffix would cut it.
    paths = plotting.save_figure(*drawn, tmp_path / 'new' / 'k3.5')
    assert [p.name for p in paths] == ['k3.5.png', 'k3.5.svg', 'k3.5.csv']
    assert imread(paths[0]).shape[:2] == (600, 1440)
    assert ElementTree.parse(paths[1]).getroot().tag.endswith('svg')
    with open(paths[2], newline='') as file:
        assert list(csv.DictReader(file)) == [
            dict(frequency='0', gain='0.25'),
            dict(frequency='1', gain='0.5'),
        ]


def test_the_same_figure_gives_the_same_svg(drawn, tmp_path):
    files = [plotting.save_figure(*drawn, tmp_path / name)[1].read_bytes() for name in 'ab']
    assert files[0] == files[1]


def test_rows_of_other_keys_are_refused(drawn, tmp_path):
    figure, rows = drawn
    with pytest.raises(ValueError, match='head'):
        plotting.save_figure(figure, [*rows, dict(frequency=2, head=1)], tmp_path / 'a')


def test_sequence_colors_grow_lighter():
    luminance = [
        to_rgb(c) @ np.array([0.2126, 0.7152, 0.0722]) for c in plotting.sequence_colors(12)
    ]
    assert luminance == sorted(luminance)
    assert luminance[-1] < 0.8  # still seen on white
    assert len(plotting.sequence_colors(1)) == 1


def test_svg_for_a_page_keeps_its_text(drawn):
    figure, _ = drawn
    figure.axes[0].set_title('a title')
    assert '>a title<' in plotting.inline_svg(figure, 'z')


def test_a_drawing_is_saved_under_its_name(drawn, tmp_path):
    drawing = plotting.Drawing('gains', 'Gains', *drawn, shows='', shows_not='')
    assert [path.name for path in drawing.save(tmp_path)] == ['gains.png', 'gains.svg', 'gains.csv']
