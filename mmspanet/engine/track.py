"""Trackers beside the log: curves and validation pictures in TensorBoard, W&B or MLflow."""

import json
import os
import re
import uuid
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from mmengine.visualization.vis_backend import (
    MLflowVisBackend,
    WandbVisBackend,
    force_init_env,
)

from mmspanet.errors import InputError
from mmspanet.files import write_text
from mmspanet.processes import is_first_process
from mmspanet.registry import HOOKS, VISBACKENDS

PICTURES = 8  # of each validation, about
NAMES = 'tracked.json'  # in the work dir: what each tracker calls the run


def track(cfg: Config, tracker: str) -> None:
    """Have a run tell a tracker its metrics and some validation pictures.

    All is written below the work dir: to the folder that is called as the tracker is. A resumed
    run goes on with what the tracker has of it.

    Args:
        cfg: The config of a training, its ``work_dir`` and ``resume`` set.
        tracker: A key of :data:`TRACKERS`.

    Raises:
        InputError: If the tracker's package is not installed.
    """
    if find_spec(tracker) is None:
        raise InputError(f'--track {tracker} needs its package: pip install {tracker}.')
    folder = Path(cfg.work_dir) / tracker
    is_first = is_first_process(cfg.get('launcher', 'none'))  # before MMEngine knows of a group
    name = _name(Path(cfg.work_dir), tracker, is_new=not cfg.get('resume'), keep=is_first)
    # Another would list the three that LocalVisBackend, whose file --resume reads, is among.
    cfg.setdefault('visualizer', dict(type='Visualizer'))
    own = cfg.visualizer.get('vis_backends') or cfg.get('vis_backends')
    backends = [*(own or [dict(type='LocalVisBackend')]), TRACKERS[tracker](folder, name)]
    cfg.visualizer.vis_backends = cfg.vis_backends = backends
    pictures = cfg.default_hooks.get('visualization')
    if pictures is not None:
        is_classifier = cfg.get('default_scope') == 'mmpretrain'
        pictures['enable' if is_classifier else 'draw'] = True
        hooks = [dict(type='mmspanet.ValidationPicturesHook')]
        if is_classifier:
            hooks.append(dict(type='mmspanet.DrawInRGBHook'))
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), *hooks]


def _name(work_dir: Path, tracker: str, is_new: bool, keep: bool) -> str:
    """What the tracker calls the run; kept in the work dir until another begins there."""
    path = work_dir / NAMES
    names: dict[str, str] = json.loads(path.read_text()) if path.is_file() else {}
    if is_new or tracker not in names:
        names[tracker] = uuid.uuid4().hex
        if keep:
            write_text(path, json.dumps(names))
    return names[tracker]


def _tensorboard(folder: Path, name: str) -> dict[str, Any]:
    # One folder is one run, of however many files.
    return dict(type='TensorboardVisBackend', save_dir=str(folder / name[:8]))


def _wandb(folder: Path, name: str) -> dict[str, Any]:
    os.environ.setdefault('WANDB_MODE', 'offline')  # `wandb sync` sends it, if it shall go
    settings = dict(id=name[:8], name=folder.parent.name, resume='allow', allow_val_change=True)
    return dict(type='mmspanet.WandbBackend', save_dir=str(folder), init_kwargs=settings)


def _mlflow(folder: Path, name: str) -> dict[str, Any]:
    return dict(
        type='mmspanet.MLflowBackend', save_dir=str(folder), exp_name=folder.parent.name, tag=name
    )


TRACKERS = dict(tensorboard=_tensorboard, wandb=_wandb, mlflow=_mlflow)


@VISBACKENDS.register_module()
class WandbBackend(WandbVisBackend):
    """MMEngine's backend for Weights & Biases, with the iteration as the step.

    MMEngine counts W&B's steps from 0 in each process, so that a resumed run would be written
    over what was there, and it copies every Python file below the current folder.
    """

    @force_init_env
    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Record the config."""
        self._wandb.config.update(config.to_dict(), allow_val_change=True)

    @force_init_env
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Record a value at the current iteration."""
        self._wandb.log({name: value}, step=_iteration())

    @force_init_env
    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: Any = None, **kwargs: Any
    ) -> None:
        """Record values at the current iteration."""
        self._wandb.log(dict(scalar_dict), step=_iteration())

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Record an RGB image at the current iteration."""
        now = _iteration()
        # MMDetection calls all pictures alike; which of the validation it is, the step says.
        place = max(step - now, 0)
        self._wandb.log({f'{name}/{place}': self._wandb.Image(image)}, step=now)


@VISBACKENDS.register_module()
class MLflowBackend(MLflowVisBackend):
    """MMEngine's backend for MLflow, in a local database, with a run that can go on.

    MMEngine starts a new run in each process, writes to a folder of files, which MLflow is about
    to give up, and names images without an ending, which MLflow refuses.

    Args:
        save_dir: Folder of the database and of the images.
        exp_name: Name of the experiment.
        tag: By which the run is found again.
        kwargs: As of MMEngine's.
    """

    def __init__(self, save_dir: str, exp_name: str, tag: str, **kwargs: Any) -> None:
        folder = Path(save_dir).absolute()
        super().__init__(
            save_dir,
            exp_name=exp_name,
            tracking_uri=f'sqlite:///{folder / "mlflow.db"}',
            artifact_location=(folder / 'artifacts').as_uri(),
            tracked_config_keys=[],  # as text: of a resumed run some differ, which MLflow refuses
            **kwargs,
        )
        self._tag = tag

    def _init_env(self) -> None:
        super()._init_env()
        found = self._mlflow.search_runs(
            filter_string=f"tags.mmspanet = '{self._tag}'", output_format='list'
        )
        if found:
            self._mlflow.start_run(run_id=found[0].info.run_id)
        else:
            self._mlflow.start_run(run_name=self._exp_name, tags=dict(mmspanet=self._tag))

    @force_init_env
    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: Any = None, **kwargs: Any
    ) -> None:
        """Record the values that are numbers, at the current iteration."""
        numbers = {
            re.sub(r'[^\w/. -]', '_', key): float(value)
            for key, value in scalar_dict.items()
            if np.ndim(value) == 0 and not isinstance(value, str)
        }
        super().add_scalars(numbers, _iteration())

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Record an RGB image as a PNG file."""
        stem = re.sub(r'[^\w.-]', '_', name)
        super().add_image(f'pictures/{stem}_{step}.png', image, step)


def _iteration() -> int:
    """How many iterations the training has done."""
    return int(MessageHub.get_current_instance().get_info('iter', 0))


@HOOKS.register_module()
class ValidationPicturesHook(Hook):
    """Have the library's hook draw a few pictures of each validation, whatever the data's size."""

    def before_val_epoch(self, runner: Runner) -> None:
        """Set the hook's interval: images in MMPretrain, batches in the others."""
        for hook in runner.hooks:
            if type(hook).__name__ == 'VisualizationHook':
                count = len(runner.val_dataloader.dataset)
            elif type(hook).__name__.endswith('VisualizationHook'):
                count = len(runner.val_dataloader)
            else:
                continue
            hook.interval = max(count // PICTURES, 1)
