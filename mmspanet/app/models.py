"""The models that the page offers: runs of a folder, each built when someone first wants it."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mmspanet import cli
from mmspanet.analysis.models import Model, normalization
from mmspanet.apis.inference import Predictor, build_predictor
from mmspanet.checkpoints import best_checkpoint, newest_whole_checkpoint
from mmspanet.config_check import input_size
from mmspanet.errors import InputError

MOST_BUILT = 3  # models in memory at a time


@dataclass(frozen=True)
class Run:
    """A config with weights.

    Attributes:
        name: What the page calls it.
        config: Path of the config.
        checkpoint: Path or URL; None takes the best of the config's folder, or else its newest.
    """

    name: str
    config: str
    checkpoint: str | None = None

    def find_checkpoint(self) -> str:
        """The checkpoint's path or URL.

        Raises:
            InputError: If the folder holds none.
            CheckpointError: If it holds damaged ones only.
        """
        if self.checkpoint is not None:
            return self.checkpoint
        folder = Path(self.config).parent
        found = best_checkpoint(folder) or newest_whole_checkpoint(folder)
        if found is None:
            raise InputError(f'{folder} holds no checkpoint any more: choose another run.')
        return found


def find_runs(root: Path) -> list[Run]:
    """The folders below ``root`` that hold a config and checkpoints, as runs leave them."""
    folders = sorted({path.parent for path in root.rglob('*.pth')})
    runs = []
    for folder in folders:
        configs = sorted(folder.glob('*.py'), key=lambda path: path.stat().st_mtime)
        if configs:
            name = folder.relative_to(root).as_posix()
            runs.append(Run(configs[-1].stem if name == '.' else name, str(configs[-1])))
    return runs


@dataclass(frozen=True)
class Shown:
    """A model that is built.

    Attributes:
        cfg: Its config.
        predictor: Whose ``inferencer`` holds it.
        inside: The same network, as mmspanet.analysis takes it.
    """

    cfg: Config
    predictor: Predictor
    inside: Model

    @property
    def classes(self) -> list[str]:
        """Their names."""
        return list(self.inside.classes)

    @property
    def is_classifier(self) -> bool:
        """Whether it gives an image one class."""
        return self.inside.is_classifier


class Models:
    """The runs, and those of their models that were wanted last.

    Args:
        runs: At least one, with different names.
        device: Such as ``cuda:0``; None takes the accelerator if there is one.

    Attributes:
        lock: Held by whoever uses a model: drawing and looking inside change parts of it for a
            while, and the page's queue does not hold back those who call the server directly.
    """

    def __init__(self, runs: Sequence[Run], device: str | None = None) -> None:
        self.runs = {run.name: run for run in runs}
        self.device = device
        self.lock = threading.RLock()
        self._built: OrderedDict[str, Shown] = OrderedDict()

    def get(self, name: str) -> Shown:
        """The model of a run, built if need be.

        Raises:
            InputError: If there is no such run, or its config does not work.
            CheckpointError: If its checkpoint is damaged or of another model.
        """
        with self.lock:
            if name not in self.runs:
                raise InputError('There is no such run: choose one of the list.')
            if name not in self._built:
                self._built[name] = self._build(self.runs[name])
                if len(self._built) > MOST_BUILT:
                    self._built.popitem(last=False)
            self._built.move_to_end(name)
            return self._built[name]

    def _build(self, run: Run) -> Shown:
        cfg = cli.load_model_config(run.config)
        checkpoint = run.find_checkpoint()
        normalize = normalization(cfg)
        predictor = build_predictor(cfg, checkpoint, self.device)
        network = predictor.inferencer.model.eval().requires_grad_(False)
        is_classifier = cfg.default_scope == 'mmpretrain'
        inside = Model(
            name=run.name,
            network=network,
            backbone=network.backbone,
            weights=checkpoint,
            normalize=normalize,
            is_classifier=is_classifier,
            classes=tuple(predictor.class_names),
            input_size=max(input_size(cfg.model.backbone)),
        )
        return Shown(cfg, predictor, inside)
