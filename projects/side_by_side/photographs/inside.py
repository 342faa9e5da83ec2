"""Look inside the trained models: feature spectra, receptive fields, gains of the filters.

The models are those of OUT_DIR/runs.csv from scratch with one seed, by their checkpoints in
work_dirs/photographs; they are shown held-out images. Writes a picture and a table of each study to
OUT_DIR/inside, and the range of each filter's gains to gains.csv there.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmspanet import cli
from mmspanet.errors import InputError

if TYPE_CHECKING:
    from mmspanet.analysis.inside.srf_gain import HeadGain

HERE = Path(__file__).parent
IMAGES = dict(
    nuclei='data/nuclei/val', camvid='data/camvid/images/test', facades='data/facades/test'
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('data', nargs='+', choices=IMAGES, help='data sets')
    parser.add_argument(
        '--models',
        nargs='+',
        default=['spanetv2-pure', 'convformer', 'hornet-gf', 'resnet'],
        help='of runs.csv (default: spanetv2-pure convformer hornet-gf resnet)',
    )
    parser.add_argument('--images', type=cli.positive_int, default=6, help='default: 6')
    parser.add_argument('--seed', type=int, default=0, help='of the runs (default: 0)')
    cli.add_out_dir_option(parser, str(HERE / 'results'))
    return parser.parse_args()


def gain_ranges(gains: 'Sequence[HeadGain]') -> list[dict[str, Any]]:
    """The lowest and the highest mean gain of each head, and their frequencies.

    Args:
        gains: Of :func:`mmspanet.analysis.inside.srf_gain.head_gains`.

    Returns:
        A row per stage and head; frequencies are in cycles per position of its map.
    """
    rows = []
    for head in gains:
        height, width = head.gain.shape
        radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)).ravel()
        low, high = head.gain.argmin(), head.gain.argmax()
        rows.append(
            dict(
                stage=head.stage,
                head=head.head,
                kernel_size=head.kernel_size,
                lowest=round(float(head.gain.min()), 3),
                lowest_at=round(float(radius[low]), 3),
                highest=round(float(head.gain.max()), 3),
                highest_at=round(float(radius[high]), 3),
            )
        )
    return rows


def main() -> None:
    args = parse_args()
    from mmspanet.analysis.inside import srf_gain, studies
    from mmspanet.analysis.subject import make_subjects
    from mmspanet.analysis.tables import write_csv
    from projects.side_by_side.photographs import training

    for data in args.data:
        wanted = training.runs_with_seed(args.out_dir / 'runs.csv', data, args.models, args.seed)
        lacking = [
            model
            for model in args.models
            if model not in wanted or not training.checkpoint_of(*wanted[model]).is_file()
        ]
        if lacking:
            raise InputError(
                f'{training.WORK_DIRS} has no checkpoint of {", ".join(lacking)} on {data} with '
                f'seed {args.seed}: train with a new --out-dir of '
                'projects.side_by_side.photographs.run.'
            )
        with tempfile.TemporaryDirectory() as configs:
            models = []
            for run, row in wanted.values():
                cfg = training.read_config(run)
                path = f'{configs}/{run.model}.py'  # figures call a model as its config
                cfg.dump(path)
                models.append((path, str(training.checkpoint_of(run, row))))
            subjects = make_subjects(models, Path(IMAGES[data]), args.images, 'crop', 256, 0, 'cpu')
        folder = args.out_dir / 'inside' / data
        studies.blocks_spectra(subjects).save(folder)
        studies.receptive_fields(subjects, args.images).save(folder)
        if 'spanetv2-pure' in wanted:
            subject = subjects[list(wanted).index('spanetv2-pure')]
            gains = srf_gain.head_gains(subject.model.backbone)
            srf_gain.draw_gains(gains).save(folder)
            rows = [dict(seed=args.seed) | row for row in gain_ranges(gains)]
            write_csv(folder / 'gains.csv', rows)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
