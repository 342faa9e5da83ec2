"""Look inside the trained models: feature spectra, receptive fields, gains of the filters.

The models are those of OUT_DIR/runs.csv from scratch with one seed, by their checkpoints in
work_dirs/photographs; they are shown held-out images. Writes a picture and a table of each study to
OUT_DIR/inside.
"""

import argparse
import tempfile
from pathlib import Path

from mmspanet import cli
from mmspanet.errors import InputError

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


def main() -> None:
    args = parse_args()
    from mmspanet.analysis.inside import studies
    from mmspanet.analysis.subject import make_subjects
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
        with tempfile.TemporaryDirectory() as folder:
            models = []
            for run, row in wanted.values():
                cfg = training.read_config(run)
                path = f'{folder}/{run.model}.py'  # figures call a model as its config
                cfg.dump(path)
                models.append((path, str(training.checkpoint_of(run, row))))
            subjects = make_subjects(models, Path(IMAGES[data]), args.images, 'crop', 256, 0, 'cpu')
        drawings = [
            studies.blocks_spectra(subjects),
            studies.receptive_fields(subjects, args.images),
        ]
        if 'spanetv2-pure' in wanted:
            drawings.append(studies.filter_gains(subjects[list(wanted).index('spanetv2-pure')]))
        for drawing in drawings:
            drawing.save(args.out_dir / 'inside' / data)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
