"""Shape bias: the cue-conflict images, the counts, and the command on a training of two steps."""

import csv
import math
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from torch import nn

from mmspanet import cli
from mmspanet.datasets.shapes import CLASSES, draw
from projects.shape_bias import cue_images, shape_bias, training
from projects.shape_bias.shape_bias import CueResult, CueRun, Decision
from projects.shape_bias.variants import VARIANTS
from tests.helpers import ROOT, run

CONFIG = ROOT / 'projects/shape_bias/configs/spanetv2_cues.py'


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Twenty images of each test set: every pair of cues once in the conflict set."""
    root = tmp_path_factory.mktemp('cues')
    for name in cue_images.CUE_SETS:
        cue_images.write_cues(root, name, 20)
    return root


def cues_of(root: Path, name: str) -> list[tuple[str, str, str]]:
    """Class by label, outline and texture of a set's images, as its list says."""
    lines = [line.split() for line in (root / f'meta/{name}.txt').read_text().splitlines()]
    assert all((root / name / file).is_file() for file, _ in lines)
    return [
        (CLASSES[int(label)], Path(file).parent.name, Path(file).stem.split('-')[1])
        for file, label in lines
    ]


def test_conflict_set_has_every_pair_of_different_classes(images):
    found = Counter((outline, texture) for _, outline, texture in cues_of(images, 'conflict'))
    assert found == {(a, b): 1 for a in CLASSES for b in CLASSES if a != b}
    assert all(label == outline for label, outline, _ in cues_of(images, 'conflict'))


def test_both_cues_tell_the_class_in_training(images):
    for name in ('train', 'val'):
        assert all(label == a == b for label, a, b in cues_of(images, name))
    assert len(set(cue_images.CUE_TEXTURES.values())) == len(CLASSES)


@pytest.mark.parametrize('outline', range(5))
def test_texture_fills_the_outline_and_nothing_else(outline):
    """Two images of one seed with different textures differ inside the outline alone."""
    stripes, checks = (
        cue_images.make_cue_portrait(np.random.default_rng(7), 'val', outline, texture).astype(
            float
        )
        for texture in (2, 4)
    )
    rng = np.random.default_rng(7)
    draw.draw_background(rng, 'val')
    mask = draw.draw_outline(
        outline, rng.uniform(38, 90, 2), rng.uniform(45, 75), rng.uniform(0, 2 * np.pi)
    )
    difference = np.abs(stripes - checks).mean(axis=2)
    away = ~cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    assert difference[mask].mean() > 20
    assert difference[away].mean() < 6  # two draws of noise of deviation 4 differ by 4.5


@pytest.mark.parametrize('texture', range(5))
def test_textures_are_dark_and_bright(texture):
    """No texture is plain, so that none is known by the object's brightness."""
    means = []
    for seed in range(40):
        rng = np.random.default_rng([seed, texture])
        pattern = cue_images.CUE_TEXTURES[CLASSES[texture]](rng)
        assert set(np.unique(pattern)) == {0, 1}
        means.append(pattern.mean())
    assert 0.2 < np.mean(means) < 0.8


def test_counts():
    conflict = [
        Decision('star', 'bolt', 'star'),
        Decision('star', 'ring', 'ring'),
        Decision('ring', 'star', 'star'),
        Decision('ring', 'star', 'bolt'),
        Decision('ring', 'star', 'ring'),
        Decision('bolt', 'ring', 'bolt'),
    ]
    matched = [Decision('star', 'star', p) for p in ('star', 'star', 'star', 'ring')]
    result = shape_bias.summarize(conflict, matched)
    assert result == CueResult(shape=3, texture=2, other=1, accuracy=0.75)
    assert result.shape_bias == pytest.approx(3 / 5)
    assert result.shape_share == pytest.approx(3 / 6)
    assert result.texture_share == pytest.approx(2 / 6)


def test_no_decision_for_either_cue_has_no_bias():
    assert math.isnan(CueResult(shape=0, texture=0, other=4, accuracy=1.0).shape_bias)


class Reader(nn.Module):
    """A classifier that reads one cue in the file's path."""

    def __init__(self, cue: str) -> None:
        super().__init__()
        self.cue = cue

    def test_step(self, batch: dict) -> list:
        for sample in batch['data_samples']:
            path = Path(sample.img_path)
            name = path.parent.name if self.cue == 'outline' else path.stem.split('-')[1]
            sample.set_pred_label(CLASSES.index(name))
        return batch['data_samples']


@pytest.mark.parametrize(
    ('cue', 'expected'),
    [('outline', CueResult(20, 0, 0, 1.0)), ('texture', CueResult(0, 20, 0, 1.0))],
)
def test_classifiers_of_one_cue(images, cue, expected):
    """Who sees the outline alone has a bias of 1, who sees the texture alone one of 0."""
    pytest.importorskip('mmpretrain')
    cfg = cli.load_config(str(CONFIG), None)
    cfg.test_dataloader.dataset.data_root = str(images)
    assert shape_bias.measure_cues(Reader(cue), cfg) == expected


def test_missing_images_are_named(tmp_path):
    pytest.importorskip('mmpretrain')
    cfg = cli.load_config(str(CONFIG), None)
    cfg.test_dataloader.dataset.data_root = str(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'conflict\.txt'):
        shape_bias.decide(Reader('outline'), cfg, 'conflict')


def test_examples_are_a_table_of_outlines_and_textures(images):
    examples = shape_bias.example_images(images)
    pairs = [(example['outline'], example['texture']) for example in examples]
    assert pairs == [(a, b) for a in CLASSES for b in CLASSES]
    figure = shape_bias.draw_examples(images, examples)
    shown = figure.axes[5 * 1 + 4].images[0].get_array()  # second row, last column
    path = next((images / 'conflict/cross').glob('*-bolt.jpg'))
    assert (shown == cv2.imread(str(path))[..., ::-1]).all()


@pytest.mark.parametrize(
    ('variant', 'sizes'),
    [
        ('3x3', {3}),
        ('9x9', {9}),
        ('mixed', {3, 5, 7, 9}),
        ('attention', set()),
    ],
)
def test_variants_differ_in_their_kernels(variant, sizes, tmp_path):
    from mmspanet.models import SPANetV2

    cfg = cli.load_config(str(CONFIG), None)
    before = cfg.pretty_text
    made = training.variant_config(cfg, variant, 3, tmp_path / 'images', tmp_path / 'run')
    assert cfg.pretty_text == before
    assert made.randomness.seed == 3
    backbone = SPANetV2(arch=made.model.backbone.arch, input_size=64)
    depthwise = [
        m for m in backbone.stages.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] > 1
    ]
    assert {conv.kernel_size[0] for conv in depthwise} == sizes
    assert backbone.channels == tuple(cfg.model.backbone.arch.channels)


def test_rows_of_the_table_are_read_back():
    run = CueRun('mixed', 2, CueResult(30, 20, 7, 0.985))
    row = {key: str(value) for key, value in run.row().items()}
    assert (row['shape_bias'], row['texture_share']) == ('0.6', str(round(20 / 57, 4)))
    assert CueRun.from_row(row) == run


def test_figure_shows_every_run_and_the_means():
    results = {0.2: CueResult(2, 8, 0, 1), 0.4: CueResult(4, 6, 0, 1)}
    runs = [CueRun(v, s, r) for v in VARIANTS for s, r in enumerate(results.values())]
    left = shape_bias.draw(runs).axes[0]
    dots = [line.get_ydata() for line in left.lines if line.get_marker() == 'o']
    assert [list(values) for values in dots] == [pytest.approx([20, 40])] * len(VARIANTS)
    mean = next(line for line in left.lines if line.get_label() == 'shape bias')
    assert mean.get_ydata() == pytest.approx([30] * 4)


def run_command(out_dir: Path, *options: str, status: int = 0) -> str:
    command = ['-m', 'projects.shape_bias.run', '--out-dir', out_dir]
    counts = [f'cues.{name}=20' for name in cue_images.CUE_SETS]
    command += ['--variants', '3x3', 'attention', '--cfg-options', *counts, *options]
    return run(command, status=status)


@pytest.mark.slow
def test_command_trains_once_and_goes_on(tmp_path):
    pytest.importorskip('mmpretrain')
    short = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.batch_size=10']
    run_command(tmp_path, *short, '--seeds', '0')
    second = run_command(tmp_path, *short, '--seeds', '0', '1')
    assert '3x3, seed 1' in second
    assert '3x3, seed 0' not in second
    with open(tmp_path / 'shape_bias.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['variant'], row['seed']) for row in rows] == [
        (variant, seed) for seed in '01' for variant in ('3x3', 'attention')
    ]
    assert all(int(r['shape']) + int(r['texture']) + int(r['other']) == 20 for r in rows)
    written = {path.name for path in tmp_path.iterdir()}
    assert {'shape_bias.png', 'shape_bias.svg', 'runs.csv', 'surroundings.json'} <= written

    other = run_command(tmp_path, 'train_cfg.max_epochs=2', status=1)
    assert 'give another --out-dir' in other
    assert 'Traceback' not in other
