"""The best checkpoint of a run, which a stop at any moment leaves in its place."""

from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmspanet.errors import InputError
from mmspanet.registry import HOOKS


@HOOKS.register_module()
class BestCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook, whose best checkpoint is the same in a run that was stopped.

    MMEngine removes the best file before it writes a better one, so that a kill between the two
    leaves none. And it saves an epoch's checkpoint before the epoch's validation: a run that is
    stopped in the validation goes on with the next epoch, and the result is never known. Here the
    better file is written first, and a resumed run begins with the validation that its checkpoint
    does not know of.

    Args:
        save_best: Name of the one metric that decides; None keeps no best checkpoint.
        kwargs: Other options of MMEngine's hook.

    Raises:
        InputError: If ``save_best`` is ``'auto'`` or a list, which MMEngine takes.
    """

    best_ckpt_path: str | None

    def __init__(self, save_best: str | None = None, **kwargs: Any) -> None:
        if save_best == 'auto' or not isinstance(save_best, str | None):
            raise InputError(
                f'default_hooks.checkpoint.save_best is {save_best!r}, and one metric has to '
                'decide: name it, such as coco/bbox_mAP, or set it to None.'
            )
        super().__init__(save_best=save_best, **kwargs)
        self.metric = save_best

    def before_train(self, runner: Runner) -> None:
        """Find the best checkpoint of a resumed run, and make up for a missed validation."""
        super().before_train(runner)
        if self.metric is not None and runner._resume:
            self._find_best(runner)
            if self._validation_is_due(runner):
                print_log('Validating the checkpoint that the run goes on from.', logger='current')
                runner.val_loop.run()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Save the model if it is the best so far, and only then remove the previous best.

        Raises:
            InputError: If the validation does not give the metric that decides.
        """
        if self.metric is None:
            return
        if self.metric not in metrics:
            raise InputError(
                f'The validation gives no {self.metric}, by which the best checkpoint is picked: '
                'set default_hooks.checkpoint.save_best to None or to one of '
                f'{", ".join(metrics)}.'
            )
        previous, self.best_ckpt_path = self.best_ckpt_path, None  # nothing to remove beforehand
        super()._save_best_checkpoint(runner, metrics)
        if self.best_ckpt_path is None:
            self.best_ckpt_path = previous
        elif previous not in (None, self.best_ckpt_path) and is_main_process():
            Path(previous).unlink(missing_ok=True)

    def _find_best(self, runner: Runner) -> None:
        """Take the best file from the work dir, which may have been moved, or forget its score."""
        if self.best_ckpt_path is None:
            return
        path = str(Path(self.out_dir) / Path(self.best_ckpt_path).name)
        found = [Path(path).is_file()]
        broadcast_object_list(found)  # the other processes may not see the folder
        if found[0]:
            self.best_ckpt_path = path
            runner.message_hub.update_info('best_ckpt', path)
            return
        print_log(f'The best checkpoint {path} is gone, and its score forgotten.', logger='current')
        self.best_ckpt_path = None
        for key in ('best_ckpt', 'best_score'):
            runner.message_hub.runtime_info.pop(key, None)

    def _validation_is_due(self, runner: Runner) -> bool:
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        step = loop.epoch if by_epoch else loop.iter
        last = loop.max_epochs if by_epoch else loop.max_iters
        if runner.val_loop is None or step < max(loop.val_begin, 1):
            return False
        if by_epoch and '_iter_' in Path(str(runner._load_from)).stem:
            return False  # --save-on-signal's, of an epoch that is not over
        name = f'best_{self.metric}_{self.filename_tmpl.format(step)}'.replace('/', '_')
        is_known = self.best_ckpt_path is not None and Path(self.best_ckpt_path).name == name
        return not is_known and (step % loop.val_interval == 0 or step == last)
