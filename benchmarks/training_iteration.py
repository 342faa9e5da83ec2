"""Where the time of a training iteration goes: the model and the optimizer, or what is around them.

    python -m benchmarks.training_iteration CONFIG [--iterations 6] [--cfg-options KEY=VALUE ...]

Trains a config's model on its data, as tools/train.py does, with all hooks, and times each
iteration from the end of the step before. The first iteration warms up and is left out.
"""

import argparse
import statistics
import tempfile
import time
from typing import Any

import torch
from mmengine.runner import Runner

from benchmarks.tables import training_iteration
from benchmarks.timing import report, two_or_more
from mmspanet import cli, surroundings
from mmspanet.engine import device, run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of a training run')
    parser.add_argument('--iterations', type=two_or_more, default=6, help='default: 6')
    cli.add_cfg_options(parser, 'such as train_dataloader.batch_size=2')
    parser.add_argument('--out', type=cli.output_file, help='JSON file of the record to write')
    return parser.parse_args()


class Clock:
    """Times the parts of each iteration of a Runner.

    Attributes:
        parts: Seconds of each iteration by part.
        inputs: Shape of the last batch of images.
    """

    def __init__(self, runner: Runner) -> None:
        self.parts: list[dict[str, float]] = []
        self.inputs: tuple[int, ...] = ()
        self._began = self._prepared = 0.0
        self._end = _now()
        runner.model.data_preprocessor.register_forward_pre_hook(self._before_preprocessor)
        runner.model.data_preprocessor.register_forward_hook(self._after_preprocessor)
        self._step, runner.model.train_step = runner.model.train_step, self._timed_step

    def _before_preprocessor(self, *_: Any) -> None:
        self._began = _now()

    def _after_preprocessor(self, _: Any, __: Any, data: dict[str, Any]) -> None:
        self.inputs = tuple(data['inputs'].shape)
        self._prepared = _now() - self._began

    def _timed_step(self, *args: Any, **kwargs: Any) -> Any:
        begin = _now()
        outputs = self._step(*args, **kwargs)
        end = _now()
        self.parts.append(
            {
                'data loader, hooks, loop': begin - self._end,
                'data preprocessor': self._prepared,
                'model and optimizer': end - begin - self._prepared,
            }
        )
        self._end = end
        return outputs


def _now() -> float:
    """The time when the GPU, if there is one, has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    args = parse_args()
    cfg = cli.load_config(args.config, args.cfg_options)
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=args.iterations + 1)
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
        device.adapt_to_cpu(cfg)
        runner = run.build(cfg)
        clock = Clock(runner)
        run.train(runner)
    measured = clock.parts[1:]
    medians = {name: statistics.median(parts[name] for parts in measured) for name in measured[0]}
    record = dict(
        **surroundings.record(),
        config=args.config,
        inputs=clock.inputs,
        iterations=measured,
        medians=medians,
    )
    report(record, training_iteration(record), args.out)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
