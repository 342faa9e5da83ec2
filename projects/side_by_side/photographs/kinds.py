"""Score the detectors of nuclei on each kind of microscopy image: dark, bright, stained.

The counts of intervals.py are read, so no model is run. Rows go to OUT_DIR/kinds.csv, in place of
those that are there.
"""

import argparse
from pathlib import Path

import numpy as np

from mmspanet import cli

HERE = Path(__file__).parent
KINDS = ('dark', 'bright', 'stained')
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
    from projects.side_by_side.photographs.parts import image_names

    rows = []
    runs = intervals.count_all(args.out_dir / 'runs.csv')
    for run in sorted((run for run in runs if run.data == 'nuclei'), key=lambda run: run.name):
        dataset = training.read_config(run).val_dataloader.dataset
        folder = image_folder(dataset)
        names = image_names(annotation_file(dataset))
        kinds = np.array([kind_of(cv2.imread(str(folder / name))) for name in names])
        for kind in KINDS:
            times = (kinds == kind).astype(int)
            score = runs[run].metric.percent(times)
            rows.append(
                dict(
                    model=run.model,
                    seed=run.seed,
                    kind=kind,
                    images=times.sum(),
                    percent=round(score, 1),
                )
            )
    write_csv(args.out_dir / 'kinds.csv', rows)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
