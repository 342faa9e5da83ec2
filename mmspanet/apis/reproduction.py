"""Whether a claimed result comes out: of which checkpoint, how it was picked, and how nearly.

The two tolerances of a metric answer two questions. The *published file* holds the weights that
the claim was printed of: all that may differ is the printed digit (0.05) and the image decoder and
the kernels (as much again). A *run* was trained anew, and another seed alone moves the result:

- top-1: a standard deviation of 0.1 between seeds on ImageNet (Picard, arXiv:2109.08203);
- box and mask AP: less than 0.3 on COCO (MMDetection's maintainers, mmdetection issue 3496);
- mIoU: 0.5 on ADE20K (DySample's authors, tiny-smart/dysample issue 19), and up to 1 to 2 in
  others' hands (SegNeXt issue 48).

They are others' estimates, not measured with SPANetV2; a few seeds of one's own say more.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmspanet.engine.record import read_rows
from mmspanet.errors import InputError

# Name of a claim: the metric of the library's evaluator, and the factor that makes it percent.
MEASURED = {
    'box AP': ('coco/bbox_mAP', 100),
    'mask AP': ('coco/segm_mAP', 100),
    'mIoU': ('mIoU', 1),
    'top-1': ('accuracy/top1', 1),
}

# Largest differences, in points of percent, that count as reproduced.
SAME_WEIGHTS = dict.fromkeys(MEASURED, 0.1)
NEW_RUN = {'box AP': 0.3, 'mask AP': 0.3, 'mIoU': 0.5, 'top-1': 0.2}

PICKS = ('best', 'last')


@dataclass(frozen=True)
class Candidate:
    """A checkpoint that a claim is compared with.

    Attributes:
        source: What ``checkpoints.sources.local_file`` takes: a path, a URL or a published name.
        picked: How it was picked, in words.
        tolerance: Largest difference by claimed metric, in points of percent.
    """

    source: str
    picked: str
    tolerance: dict[str, float]


def published(config: str) -> Candidate:
    """The file that the authors published for the config ``config`` (no path, no ending).

    Raises:
        InputError: If none is published.
    """
    from mmspanet.checkpoints.published import PUBLISHED
    from mmspanet.checkpoints.sources import SCHEME

    for entry in PUBLISHED.values():
        if config in entry.configs:
            picked = 'published file: best validation on the reporting set'
            return Candidate(SCHEME + entry.name, picked, SAME_WEIGHTS)
    raise InputError(
        f'No file is published for {config}: give the path of a checkpoint, or --pick best for '
        'that of a run.'
    )


def of_run(folder: Path, pick: str) -> Candidate:
    """The best or the last checkpoint of a run.

    Args:
        folder: The run's work dir.
        pick: One of :data:`PICKS`.

    Raises:
        InputError: If the folder has no such checkpoint, or several.
    """
    if pick == 'best':
        found = sorted(folder.glob('best_*.pth'))
        if len(found) > 1:
            names = ' and '.join(path.name for path in found)
            raise InputError(f'{folder} holds {names}: give the path of one of them.')
        picked = f'best of {_validations(folder) or "unknown"} validations on the reporting set'
    else:
        note = folder / 'last_checkpoint'
        # The folder may have been moved since the path was noted.
        found = [folder / Path(note.read_text().strip()).name] if note.is_file() else []
        picked = 'last'
    if not found or not found[0].is_file():
        raise InputError(
            f'The folder {folder} holds no {pick} checkpoint: give the work dir of a run of '
            'tools/train.py.'
        )
    return Candidate(str(found[0]), picked, NEW_RUN)


def _validations(run: Path) -> int:
    """How many validations the logs of a run hold, those that a resumed run repeated once."""
    keys = {key for key, _ in MEASURED.values()}
    steps: set[int] = set()
    for log in run.glob('*/vis_data/scalars.json'):
        steps |= {row['step'] for row in read_rows(log) if keys & row.keys()}
    return len(steps)


@dataclass(frozen=True)
class Comparison:
    """One claimed metric beside what was measured, in points of percent."""

    metric: str
    claimed: float
    measured: float
    tolerance: float

    @property
    def difference(self) -> float:
        """Measured minus claimed."""
        return round(self.measured - self.claimed, 2)

    @property
    def holds(self) -> bool:
        """Whether the two are within the tolerance."""
        return abs(self.difference) <= self.tolerance

    def __str__(self) -> str:
        """The comparison in one line."""
        return (
            f'{self.metric}: claimed {self.claimed}, measured {self.measured}, difference '
            f'{self.difference:+} (tolerance {self.tolerance}): '
            f'{"reproduced" if self.holds else "NOT reproduced"}'
        )


def compare(
    claimed: dict[str, float], measured: dict[str, float], tolerance: dict[str, float]
) -> list[Comparison]:
    """Compare every claimed metric with what a test measured.

    Args:
        claimed: In percent, by the name of the claim.
        measured: As the library's evaluator gives them.
        tolerance: In points of percent, by the name of the claim.

    Raises:
        InputError: If the test measured none of that name.
    """
    comparisons = []
    for name, claim in claimed.items():
        key, factor = MEASURED[name]
        if key not in measured:
            raise InputError(
                f'The test measured no {key}, which the claim of {name} {claim} needs.'
            )
        value = round(float(measured[key]) * factor, 2)
        comparisons.append(Comparison(name, claim, value, tolerance[name]))
    return comparisons


def find_record(records: Iterable[dict], config: str, checkpoint: str) -> dict | None:
    """The latest record of a config and a checkpoint's hash; None if there is none."""
    of_both = [r for r in records if (r['config'], r['checkpoint']) == (config, checkpoint)]
    return of_both[-1] if of_both else None
