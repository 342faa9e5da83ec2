"""Shape or texture: which of the two a classifier follows when they tell different classes.

The measure is that of Geirhos et al. 2019 (arXiv 1811.12231): images with the outline of one
class and the texture of another, and the share of shape decisions among all decisions for
either. The images, the small models and the comparison over kernel sizes are ours, a test of
what the SPANetV2 paper's abstract says of larger kernels and shape bias, not a repetition of
anything in it.

In training, outline and texture both tell the class (``cue_images.CUE_SETS``), so what a model does
with images where they disagree is its own preference.
"""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from tabulate import tabulate

from mmspanet.analysis import plotting
from mmspanet.datasets.shapes import CLASSES

from .variants import VARIANTS


@dataclass(frozen=True)
class Decision:
    """The classes of the outline and of the texture in an image, and the predicted class."""

    outline: str
    texture: str
    predicted: str


@dataclass(frozen=True)
class CueResult:
    """What a classifier chose where the cues disagree, and its accuracy where they agree.

    With the five classes of Shapes, guessing gives a shape bias of 0.5, 20 % shape, 20 % texture
    and 60 % other decisions, and an accuracy of 0.2.

    Attributes:
        shape: Number of decisions for the outline's class where the texture's is another.
        texture: Number of decisions there for the texture's class.
        other: Number of decisions there for a third class.
        accuracy: Accuracy on new images whose cues agree, as in training, 0 to 1.
    """

    shape: int
    texture: int
    other: int
    accuracy: float

    @property
    def shape_bias(self) -> float:
        """Shape decisions / (shape + texture decisions), 0 to 1; NaN if there are none."""
        decided = self.shape + self.texture
        return self.shape / decided if decided else math.nan

    @property
    def shape_share(self) -> float:
        """Shape decisions / all decisions, 0 to 1."""
        return self.shape / (self.shape + self.texture + self.other)

    @property
    def texture_share(self) -> float:
        """Texture decisions / all decisions, 0 to 1."""
        return self.texture / (self.shape + self.texture + self.other)


@dataclass(frozen=True)
class CueRun:
    """The result of one training: of a key of ``VARIANTS``, with a seed."""

    variant: str
    seed: int
    result: CueResult

    def row(self) -> dict[str, Any]:
        """One line of a table: shares of 0 to 1 and numbers of decisions."""
        result = self.result
        return dict(
            variant=self.variant,
            seed=self.seed,
            shape_bias=round(result.shape_bias, 4),
            shape_share=round(result.shape_share, 4),
            texture_share=round(result.texture_share, 4),
            **asdict(result),
        )

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> 'CueRun':
        """The inverse of :meth:`row`, from the strings of a CSV."""
        result = CueResult(
            shape=int(row['shape']),
            texture=int(row['texture']),
            other=int(row['other']),
            accuracy=float(row['accuracy']),
        )
        return cls(row['variant'], int(row['seed']), result)


def markdown(runs: Sequence[CueRun]) -> str:
    """The table of the README: a line per variant, its seeds in the order of ``runs``."""
    rows = []
    for variant in dict.fromkeys(run.variant for run in runs):
        results = [run.result for run in runs if run.variant == variant]
        shares = [(r.shape_share, r.texture_share) for r in results]
        decisions = [(s, t, 1 - s - t) for s, t in shares]
        rows.append(
            {
                'mixer': variant,
                'shape bias %': ', '.join(f'{100 * r.shape_bias:.1f}' for r in results),
                'shape / texture / other decisions %': '; '.join(
                    ' / '.join(f'{100 * share:.0f}' for share in three) for three in decisions
                ),
                'accuracy, cues agree %': ', '.join(f'{100 * r.accuracy:.1f}' for r in results),
            }
        )
    return tabulate(rows, headers='keys', tablefmt='github', disable_numparse=True) + '\n'


def decide(model: BaseModel, cfg: Config, name: str) -> list[Decision]:
    """Classify one of ``cue_images.CUE_SETS`` with a classifier of mmpretrain.

    Args:
        model: The classifier; its classes are those of Shapes, in their order.
        cfg: Its config: ``test_dataloader`` has the pipeline and the folder of the images.
        name: Name of the set, written there by ``cue_images.write_cues``.

    Raises:
        FileNotFoundError: If the images are not there.
    """
    init_default_scope(cfg.default_scope)
    loader = deepcopy(cfg.test_dataloader)
    loader.dataset = dict(
        type='CustomDataset',
        data_root=loader.dataset.data_root,
        data_prefix=name,
        ann_file=f'meta/{name}.txt',
        metainfo=dict(classes=CLASSES),
        pipeline=loader.dataset.pipeline,
    )
    model.eval()
    found = []
    with torch.no_grad():
        for batch in Runner.build_dataloader(loader):
            for sample in model.test_step(batch):
                path = Path(sample.img_path)
                texture = path.stem.split('-')[1]
                predicted = CLASSES[int(sample.pred_label)]
                found.append(Decision(path.parent.name, texture, predicted))
    return found


def summarize(conflict: Sequence[Decision], matched: Sequence[Decision]) -> CueResult:
    """Count the decisions on images whose cues disagree, and on images whose cues agree."""
    shape = sum(d.predicted == d.outline for d in conflict)
    texture = sum(d.predicted == d.texture for d in conflict)
    correct = sum(d.predicted == d.outline for d in matched)
    return CueResult(shape, texture, len(conflict) - shape - texture, correct / len(matched))


def measure_cues(model: BaseModel, cfg: Config) -> CueResult:
    """Classify both test sets and count; for arguments and errors see :func:`decide`."""
    return summarize(decide(model, cfg, 'conflict'), decide(model, cfg, 'val'))


def draw(runs: Sequence[CueRun]) -> Figure:
    """Shape bias and all decisions of the variants, a dot per run and a line through the means.

    A line joins the models with one kernel size; the mixed one and attention stand beside it.
    """
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 3.5))
        bias, shares = figure.subplots(1, 2)
        _draw_measure(bias, runs, 'shape_bias', plotting.BLUE, 'shape bias')
        bias.axhline(50, color='0.4', linestyle=':', label='no preference')
        bias.set_ylabel('shape / (shape + texture decisions), %')
        for measure, color, label in (
            ('accuracy', plotting.SKY, 'cues agree: correct'),
            ('shape_share', plotting.BLUE, 'conflict: shape'),
            ('texture_share', plotting.VERMILION, 'conflict: texture'),
        ):
            _draw_measure(shares, runs, measure, color, label)
        shares.axhline(100 / len(CLASSES), color='0.4', linestyle=':', label='chance')
        shares.set_ylabel('share of decisions, %')
        for axes in (bias, shares):
            axes.set_xticks(range(len(VARIANTS)), list(VARIANTS))
            axes.set_xlabel('kernels of SPAM, or attention in its place')
            axes.set_ylim(-3, 103)
            axes.legend(loc='lower center', bbox_to_anchor=(0.5, 1), ncols=2, columnspacing=1)
    return figure


def example_images(root: Path) -> list[dict[str, str]]:
    """The first image of every outline with every texture, of the sets ``conflict`` and ``val``.

    Args:
        root: Folder that ``cue_images.write_cues`` has written both sets to.

    Returns:
        The keys ``outline`` and ``texture``, names of classes, and ``image``, a path under
        ``root``; the textures of one outline after the other.
    """
    found = []
    for outline in CLASSES:
        for texture in CLASSES:
            name = 'val' if outline == texture else 'conflict'
            first = min((root / name / outline).glob(f'*-{texture}.jpg'))
            path = first.relative_to(root).as_posix()
            found.append(dict(outline=outline, texture=texture, image=path))
    return found


def draw_examples(root: Path, examples: Sequence[Mapping[str, str]]) -> Figure:
    """The images of :func:`example_images`, a row per outline and a column per texture."""
    side = len(CLASSES)
    with plotting.style():
        figure = Figure(figsize=(0.6 * plotting.PAGE_WIDTH, 0.6 * plotting.PAGE_WIDTH))
        grid = figure.subplots(side, side)
        for axes, example in zip(grid.flat, examples, strict=True):
            axes.imshow(mmcv.imread(root / example['image'], channel_order='rgb'))
            axes.set(xticks=[], yticks=[], frame_on=False)
        for axes, name in zip(grid[0], CLASSES, strict=True):
            axes.set_title(name)
        for axes, name in zip(grid[:, 0], CLASSES, strict=True):
            axes.set_ylabel(name)
        figure.suptitle('texture of', fontsize='medium')
        figure.supylabel('outline of', fontsize='medium')
    return figure


def _draw_measure(axes: Axes, runs: Sequence[CueRun], measure: str, color: str, label: str) -> None:
    """Draw one measure of all runs, in percent."""
    means = []
    for position, variant in enumerate(VARIANTS):
        values = [100 * getattr(r.result, measure) for r in runs if r.variant == variant]
        axes.plot([position] * len(values), values, 'o', color=color, alpha=0.45, markeredgewidth=0)
        means.append(float(np.mean(values)) if values else math.nan)
    positions = np.arange(len(VARIANTS))
    axes.plot(positions[:4], means[:4], color=color, label=label)
    axes.plot(positions[4:], means[4:], '_', color=color, markersize=14, markeredgewidth=1.5)
