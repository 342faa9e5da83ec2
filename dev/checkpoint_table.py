"""Write the tables of published checkpoints into docs/checkpoints.md.

python -m dev.checkpoint_table
"""

from pathlib import Path

from benchmarks.pages import fill
from mmspanet.checkpoints.published import MEANINGS, PUBLISHED, Published

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs/checkpoints.md'


def page(text: str) -> str:
    """The page with its tables as the code has them now."""
    rows = '| `spanetv2://` | model | config | file name |\n|---|---|---|---|\n'
    rows += ''.join(map(_row, PUBLISHED.values()))
    meanings = ''.join(f'- *{s.value}*: {meaning}.\n' for s, meaning in MEANINGS.items())
    return fill(fill(text, 'published', rows), 'meanings', meanings)


def _row(entry: Published) -> str:
    configs = [next(ROOT.glob(f'configs/*/{name}.py')) for name in entry.configs]
    links = ' or '.join(
        f'[{path.stem}](../{path.relative_to(ROOT).as_posix()})' for path in configs
    )
    return f'| `{entry.name}` | {entry.model} | {links} | {entry.status.value} |\n'


if __name__ == '__main__':
    PAGE.write_text(page(PAGE.read_text()))
