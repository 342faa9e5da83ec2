"""Test a detector, a segmentor or a classifier: its metrics and, if asked for, its pictures."""

import argparse
from pathlib import Path

from mmengine.config import Config, ConfigDict

from mmspanet import cli
from mmspanet.errors import InputError
from mmspanet.files import make_folder

REPORT = Path(__file__).with_name('analysis_tools') / 'run_report.py'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_run_options(parser)
    cli.add_report_option(parser)
    parser.add_argument('checkpoint', help='path or URL of the checkpoint')
    parser.add_argument(
        '--out',
        type=Path,
        help='where predictions go: a .pkl file (detection, classification) '
        'or a folder of PNG maps (segmentation)',
    )
    parser.add_argument(
        '--show-dir', type=cli.output_folder, help='folder for pictures of the predictions'
    )
    cli.add_deploy_options(parser)
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    return parser.parse_args()


def draw_pictures(cfg: Config, folder: str) -> None:
    """Have the library's visualization hook draw every prediction into ``folder``.

    Raises:
        InputError: If the config has none.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise InputError(
            '--show-dir needs a hook that draws: add default_hooks.visualization to the config, '
            "such as dict(type='DetVisualizationHook')."
        )
    hook.interval = 1
    if hook.type.endswith('DetVisualizationHook'):
        hook.draw = True
        hook.test_out_dir = folder
    elif hook.type.endswith('SegVisualizationHook'):
        hook.draw = True
        cfg.setdefault('visualizer', dict(type='SegLocalVisualizer')).save_dir = folder
    else:
        hook.enable = True
        hook.out_dir = folder
        hook.resize = 256  # so that the text on small images can be read
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='mmspanet.DrawInRGBHook')]


def augment(cfg: Config) -> None:
    """Put the config's ``tta_model`` and ``tta_pipeline`` around the model and its data."""
    from mmspanet.datasets.paths import evaluators

    if 'tta_model' not in cfg or 'tta_pipeline' not in cfg:
        raise InputError('--tta needs tta_model and tta_pipeline in the config.')
    if cfg.model.get('roi_head', {}).get('mask_head') is not None:
        print("test-time augmentation merges boxes only (MMDetection's DetTTAModel): no mask AP.")
        cfg.model.roi_head.mask_head = None
        cfg.model.roi_head.mask_roi_extractor = None
        for evaluator in evaluators(cfg, 'test'):
            if 'metric' in evaluator:
                evaluator.metric = 'bbox'
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


def check_output(path: Path, segments: bool) -> None:
    """Check that predictions can be written to a place.

    Raises:
        InputError: If it is no place for a .pkl file or, of a segmentor, no folder.
        WriteError: If its folder can't be made.
    """
    if not segments and path.suffix not in ('.pkl', '.pickle'):
        raise InputError(f'--out {path} must end in .pkl.')
    try:
        (cli.output_folder if segments else cli.output_file)(str(path))
    except argparse.ArgumentTypeError as error:
        raise InputError(f'--out {error}.') from error
    make_folder(path if segments else path.parent)


def test(args: argparse.Namespace) -> str:
    """Test a checkpoint, as the options say, and return the work dir."""
    from mmengine.registry import METRICS

    from mmspanet import checkpoints
    from mmspanet.checkpoints.safe import guard_process
    from mmspanet.checkpoints.sources import local_file
    from mmspanet.datasets.paths import check_data, evaluators
    from mmspanet.engine import device, run
    from mmspanet.engine.record import RecordRunHook

    guard_process()
    dtype = cli.half_type(args)
    cfg = cli.run_config(args)
    file = local_file(args.checkpoint)
    segments = cfg.get('default_scope') == 'mmseg'
    if args.out:
        check_output(args.out, segments)
    if args.out and segments:
        for evaluator in evaluators(cfg, 'test'):
            if evaluator.type.endswith('IoUMetric'):
                evaluator.update(output_dir=str(args.out), keep_results=True)
    if args.show_dir:
        make_folder(args.show_dir)
        # Absolute, since mmdet's hook puts a relative one below the work dir.
        draw_pictures(cfg, str(args.show_dir.absolute()))
    if args.deploy:
        hook = dict(type='mmspanet.DeployHook', dtype=dtype)
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), hook]
    if args.tta:
        augment(cfg)
    cfg.load_from = None  # the weights are loaded below, whole
    check_data(cfg, ('test',))
    device.adapt_to_cpu(cfg)
    device.join_cpu_processes(cfg)
    runner = run.build(cfg)
    checkpoints.load(runner.model, file)
    if args.out and not segments:
        # MMDetection's own dump keeps masks run-length coded.
        dump = 'DumpDetResults' if cfg.get('default_scope') == 'mmdet' else 'DumpResults'
        runner.test_evaluator.metrics.append(
            METRICS.build(dict(type=dump, out_file_path=str(args.out)))
        )
    keeps = not args.no_report and not args.out
    out = str(args.out) if args.out else None
    runner.register_hook(RecordRunHook(args.config, keeps, out, source=str(file)))
    run.test(runner)
    return cfg.work_dir


def main() -> None:
    args = parse_args()
    from mmspanet.engine.device import destroy_process_group

    work_dir = test(args)
    destroy_process_group()
    if not args.no_report:
        cli.make_run_report(REPORT, work_dir, args.launcher)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
