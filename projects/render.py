"""Write the tables of the projects, in their READMEs and in the first one, from their results."""

from pathlib import Path

from benchmarks.pages import fill
from mmspanet.analysis.tables import read_csv
from projects.shape_bias import shape_bias
from projects.shape_bias.shape_bias import CueRun
from projects.side_by_side import tables
from projects.side_by_side.photographs import tables as photographs

FOLDER = Path(__file__).parent


def pages() -> dict[Path, str]:
    """The text of every README that has a table, by its path."""
    runs = tables.read_runs(FOLDER / 'side_by_side/results/runs.csv')
    cues = read_csv(FOLDER / 'shape_bias/results/shape_bias.csv')
    records = FOLDER / 'side_by_side/photographs/results'
    contents = {
        'side_by_side': {'side_by_side': tables.markdown(runs)},
        'shape_bias': {'shape_bias': shape_bias.markdown([CueRun.from_row(row) for row in cues])},
        'side_by_side/photographs': {
            **{data: photographs.results(records, data) for data in photographs.DETAILS},
            'pretrained camvid': photographs.results(records, 'camvid', 'cifar10'),
            'pretraining': photographs.pretraining(records),
            **{f'kinds {d}': photographs.kinds(records, d) for d in ('nuclei', 'camvid')},
            'gains': photographs.gains(records),
            'rates': photographs.rates(records),
        },
    }
    texts = {}
    for folder, parts in contents.items():
        path = FOLDER / folder / 'README.md'
        texts[path] = path.read_text()
        for name, content in parts.items():
            texts[path] = fill(texts[path], name, content)
    path = FOLDER.parent / 'README.md'
    texts[path] = fill(path.read_text(), 'photographs', photographs.summary(records))
    return texts


def main() -> None:
    for path, text in pages().items():
        path.write_text(text)


if __name__ == '__main__':
    main()
