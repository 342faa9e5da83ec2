"""Score models on each kind of held-out image: microscopy that is dark, bright or stained; drives.

The counts of intervals.py are read, so no model is run. Rows go to OUT_DIR/kinds.csv, in place of
those that are there.
"""

import argparse
from pathlib import Path

import numpy as np

from mmspanet import cli

HERE = Path(__file__).parent
COLORFUL = 8  # mean difference of the strongest and the weakest channel, of 255
BRIGHT = 110  # mean of the pixels, of 255


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_out_dir_option(parser, str(HERE / 'results'))
    return parser.parse_args()


def kind_of(image: np.ndarray) -> str:
    """The kind of a uint8 image, (H, W, 3): stained tissue has colors, bright field a light ground.

    Args:
        image: Of nuclei, in any order of channels.
    """
    if np.mean(image.max(2) - image.min(2)) > COLORFUL:
        return 'stained'
    return 'bright' if image.mean() > BRIGHT else 'dark'


def main() -> None:
    args = parse_args()
    import cv2

    from mmspanet.analysis.tables import write_csv
    from mmspanet.datasets.meta import annotation_file, image_folder
    from projects.side_by_side.photographs import intervals, training
    from projects.side_by_side.photographs.parts import image_names, label_maps

    rows = []
    runs = intervals.count_all(args.out_dir / 'runs.csv')
    for run in sorted(runs, key=lambda run: run.name):
        dataset = training.read_config(run).val_dataloader.dataset
        if run.data == 'camvid':
            kinds = [path.name.split('_')[0] for path in label_maps(dataset)]
        else:
            images = [image_folder(dataset) / n for n in image_names(annotation_file(dataset))]
            kinds = [kind_of(cv2.imread(str(path))) for path in images]
        for kind in sorted(set(kinds)):
            times = (np.array(kinds) == kind).astype(int)
            row = dict(data=run.data, model=run.model, init=run.init, seed=run.seed)
            score = round(runs[run].metric.percent(times), 1)
            rows.append(row | dict(kind=kind, images=times.sum(), percent=score))
    write_csv(args.out_dir / 'kinds.csv', rows)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
