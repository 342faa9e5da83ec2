"""Render the leaderboard as Markdown and as a self-contained page, in leaderboard.

Its sources are the metafiles of configs/, leaderboard/peers.yml with what
leaderboard/count_peers.py counted, and what tools/reproduce.py appended to
leaderboard/reproduced.yml.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment

from benchmarks.pages import fill
from leaderboard import config_pages
from leaderboard.findings import findings
from leaderboard.markdown import markdown
from leaderboard.rows import SCHEDULES, TABLES, Row, read_rows, unsourced
from mmspanet import cli
from mmspanet.errors import InputError

ROOT = Path(__file__).parents[1]
TEMPLATE = Path(__file__).parent / 'template.html'
INTRO = """# Leaderboard

Written by `python -m leaderboard.render` from `configs/*/metafile.yml`, `peers.yml`,
`peer_costs.json` and `reproduced.yml`. Do not edit. [index.html](index.html) holds the same rows,
sorts and filters them, and draws results against costs.

## What the tables say

{findings}

## Reading the tables

**Status**

- *paper*: published by the authors of SPANetV2; single numbers, not measured here.
- *peer*: published in the README of the peer.
- *ours*: a config of this project. It has results only where we measured them.
- *reproduced*: measured by `tools/reproduce.py` with the checkpoint that the row names.

**Picked**

- *best*: the best of all validations, on the set that the result is reported on. Each result of
  SPANetV2's authors is such a pick.
- *last*: the checkpoint at the end of the training.
- *not stated*: the source, or the record, does not say.

**Family**: *spectral* models mix tokens by frequency, with Fourier or wavelet transforms, heat
conduction, or a split into high and low frequencies.

**Head width** (UperNet): the authors print one mIoU per backbone. The head of their released config
has 320 channels, and the MACs that they print fit one of 512. Which of the two reached the mIoU is
not known, so it stands in both rows.

**MACs**

- *printed*: as the source prints them.
- *recounted*: by the rule that fits the authors' tables, which is products of weights and LayerNorm
  (5 per element). ImageNet and Semantic FPN include the two quadratic products of attention. Where
  the last printed digit differs, a note says so.
- *counted*: all operations, with FFTs, norms and elementwise steps, counted by
  `tools/analysis_tools/get_flops.py`, and of the peers that MMPretrain or timm can build by
  `python -m leaderboard.count_peers`, with the neck and head of our models.

Parameters of peers are the printed ones. Those of our rows are counted and leave out the unused
ImageNet classifier of the authors' downstream models.

## Limitations

- Published results have no error bars, and training recipes differ between peers.
- The authors' checkpoints and the full data sets were not available to us, so no published row is
  reproduced here yet.
- The results of Shapes are those of one checkpoint each, which `tools/reproduce.py` tested again.
  They do not tell how far other trainings get: one of each config (`benchmarks/results`) has 52.0
  box AP, 63.2 mIoU and 99.5 top-1.

## Tables

"""


def readme_of(rows: list[Row]) -> str:
    """The leaderboard's own page in Markdown."""
    numbered = (f'{number}. {text}' for number, text in enumerate(findings(rows), start=1))
    return INTRO.format(findings='\n'.join(numbered)) + markdown(rows)


def published(rows: Sequence[Row]) -> str:
    """The authors' rows of each data set beside the two peers nearest to the S18-hybrid.

    Nearest is the smallest difference in the first metric of the table, to a decimal; of equal ones
    the cheaper is shown.
    """
    shown = ('mask-rcnn', 'cascade-mask-rcnn', 'upernet', 'imagenet')
    parts = []
    for table in shown:
        own = [row for row in rows if row.table == table and row.status == 'paper']
        own = [row for row in own if 'head width 320' not in row.name]  # the same published result
        metric = next(iter(own[0].metrics))
        target = next(row for row in own if 's18-hybrid' in row.name).metrics[metric]
        peers = [row for row in rows if row.table == table and row.status == 'peer']
        peers.sort(
            key=lambda row: (
                round(abs(row.metrics[metric] - target), 1),
                row.printed or math.inf,
            )
        )
        both = sorted([*own, *peers[:2]], key=lambda row: -row.metrics[metric])
        title, size = TABLES[table]
        heads = [title, *own[0].metrics, 'params M', f'MACs G, printed, at {size}']
        lines = ['| ' + ' | '.join(heads) + ' |', '|---' * len(heads) + '|']
        for row in both:
            numbers = (f'{value:g}' if value else '-' for value in (row.params, row.printed))
            schedule = row.schedule if row.schedule != own[0].schedule else None
            apart = ', '.join(filter(None, (schedule, row.recipe)))
            other = f' ({apart})' if apart else ''
            cells = [row.name + other, *(f'{value:.1f}' for value in row.metrics.values())]
            lines.append('| ' + ' | '.join([*cells, *numbers]) + ' |')
        parts.append('\n'.join(lines) + '\n')
    return '\n'.join(parts)


def readme(text: str, rows: Sequence[Row]) -> str:
    """The README's text with its table of published results written anew."""
    return fill(text, 'published', published(rows))


def page(rows: list[Row]) -> str:
    """The HTML page, with the rows and the tables' titles inside."""
    data = dict(
        tables={
            key: dict(title=title, size=size, schedules=_own_schedules(key, rows))
            for key, (title, size) in TABLES.items()
        },
        rows=[asdict(row) for row in rows],
        findings=findings(rows),
    )
    environment = Environment(autoescape=True, keep_trailing_newline=True)
    environment.policies['json.dumps_kwargs'] = dict(separators=(',', ':'))  # in our order
    return environment.from_string(TEMPLATE.read_text()).render(data=data)


def _own_schedules(table: str, rows: Sequence[Row]) -> list[str]:
    """The schedules that a table's results are comparable in: its peers' usual one, and ours."""
    ours = {row.schedule for row in rows if row.table == table and row.status == 'paper'}
    return sorted(ours | ({SCHEDULES[table]} if table in SCHEDULES else set()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--root', type=Path, default=ROOT, help='the checkout to read and write')
    root = parser.parse_args().root
    rows = read_rows(root)
    missing = unsourced(rows)
    if missing:
        raise InputError(f'No source or record is named of {"; ".join(missing)}.')
    folder = root / 'leaderboard'
    (folder / 'README.md').write_text(readme_of(rows))
    (folder / 'index.html').write_text(page(rows))
    path = root / 'README.md'
    path.write_text(readme(path.read_text(), rows))
    for name in config_pages.TITLES:
        (root / f'configs/{name}/README.md').write_text(config_pages.page(root / 'configs' / name))
    print(f'{len(rows)} rows in {folder}/README.md and index.html, the published ones in {path}')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
