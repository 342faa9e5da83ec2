"""Write the tables of the projects' READMEs anew from their results."""

from pathlib import Path

from benchmarks.pages import fill
from mmspanet.analysis.tables import read_csv
from projects.shape_bias import shape_bias
from projects.shape_bias.shape_bias import CueRun
from projects.side_by_side import tables

FOLDER = Path(__file__).parent


def pages() -> dict[Path, str]:
    """The text of every README that has a table, by its path."""
    rows = {
        'side_by_side': tables.markdown(tables.read_runs(FOLDER / 'side_by_side/results/runs.csv')),
        'shape_bias': shape_bias.markdown(
            [CueRun.from_row(row) for row in read_csv(FOLDER / 'shape_bias/results/shape_bias.csv')]
        ),
    }
    paths = {name: FOLDER / name / 'README.md' for name in rows}
    return {path: fill(path.read_text(), name, rows[name]) for name, path in paths.items()}


def main() -> None:
    for path, text in pages().items():
        path.write_text(text)


if __name__ == '__main__':
    main()
