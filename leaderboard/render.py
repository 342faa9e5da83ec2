"""Render the leaderboard as Markdown and as a self-contained page, in leaderboard.

Its source are the metafiles of configs/, leaderboard/peers.yml and what tools/reproduce.py
appended to leaderboard/reproduced.yml.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from leaderboard.rows import TABLES, Row, markdown, markdown_table, read_rows
from mmspanet import cli

ROOT = Path(__file__).parents[1]
TEMPLATE = Path(__file__).parent / 'template.html'
MARKS = ('<!-- written by leaderboard/render.py -->', '<!-- end -->')
INTRO = """# Leaderboard

Written by `python leaderboard/render.py`; don't edit. Status *paper*: published by SPANetV2's
authors, single numbers without error bars, not measured here. *peer*: as the peer's README prints
it. *ours*: a config of ours, with figures only where we measured them. *reproduced*: measured by
`tools/reproduce.py` with the checkpoint that the row names.

*MACs printed* are the source's own. *Recounted* is what they should be by the rule that fits the
authors' tables: products of weights and LayerNorm (5 per element), for ImageNet and Semantic FPN
with attention's two quadratic products, for COCO and UperNet without; where the last printed digit
differs, a note says so. *Counted* is all there is, by `tools/analysis_tools/get_flops.py`: FFTs,
norms and elementwise operations, too. Parameters of our rows are counted without the ImageNet
classifier that the authors' downstream models carry along.

"""


def readme(text: str, rows: list[Row]) -> str:
    """The README's text with its table of Shapes written anew between its two marks."""
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    shapes = [row for row in rows if row.table == 'shapes' and row.status == 'ours']
    return f'{before}{MARKS[0]}\n{markdown_table(shapes, "")}{MARKS[1]}{after}'


def page(rows: list[Row]) -> str:
    """The HTML page, with the rows and the tables' titles inside."""
    data = dict(
        tables={key: dict(title=title, size=size) for key, (title, size) in TABLES.items()},
        rows=[asdict(row) for row in rows],
    )
    text = json.dumps(data, separators=(',', ':')).replace('</', '<\\/')
    return TEMPLATE.read_text().replace('{{data}}', text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--root', type=Path, default=ROOT, help='the checkout to read and write')
    root = parser.parse_args().root
    rows = read_rows(root)
    folder = root / 'leaderboard'
    (folder / 'README.md').write_text(INTRO + markdown(rows))
    (folder / 'index.html').write_text(page(rows))
    path = root / 'README.md'
    path.write_text(readme(path.read_text(), rows))
    print(f'{len(rows)} rows in {folder}/README.md and index.html, Shapes in {path}')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
