"""A model in each of the forms that it can be run in, from a decoded image to results in it.

Each lives in a process of its own, which imports what its form needs and nothing else, so that
the process's peak memory is the form's.
"""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmspanet.errors import InputError
from mmspanet.processes import die_with_parent
from mmspanet.runtime import masks, models
from mmspanet.runtime.notes import Notes
from mmspanet.runtime.results import Classes, Detections, LabelMap
from mmspanet.runtime.session import Port, Session, open_session

Answer = dict[str, Any]  # arrays and lists, for another process


@dataclass(frozen=True)
class Entry:
    """What a process runs.

    Attributes:
        name: Such as ``onnx-int8`` or ``pytorch``.
        file: The exported file; None stands for the checkpoint in PyTorch.
        config: Path of the config.
        checkpoint: Path or URL.
        device: Of PyTorch and the runtimes, such as ``cpu``.
        threads: That one image may use.
    """

    name: str
    file: Path | None
    config: str
    checkpoint: str
    device: str
    threads: int


class Contestant(ABC):
    """A model that is ready to run."""

    @abstractmethod
    def run(self, image: np.ndarray) -> Any:
        """All of the work for one image, uint8 BGR (H, W, 3), masks pasted: what is timed."""

    @abstractmethod
    def size(self) -> int:
        """Bytes of the weights, or of the file or the two that hold them and the graph."""

    @abstractmethod
    def answer(self, image: np.ndarray) -> Answer:
        """The results, in the form that all contestants share.

        Detections are ``bboxes``, ``scores``, ``labels`` and, if there are any, ``masks`` as
        COCO's run lengths; a label map is ``label_map``; classes are ``probabilities``.
        """


class Exported(Contestant):
    """A file in its runtime."""

    def __init__(self, entry: Entry):
        assert entry.file is not None
        if entry.file.suffix == '.pt2':
            if entry.device != 'cpu':
                raise InputError(f'{entry.file.name} is compiled for the CPU: give --device cpu.')
            session: Session = AotiSession(entry.file, entry.threads)
        else:
            session = open_session(entry.file, entry.device, entry.threads)
        self.file = entry.file
        notes = Notes.of(session.metadata, entry.file)
        self.model = models.MODELS[notes.task](session, notes)

    def run(self, image: np.ndarray) -> Any:
        """See :meth:`Contestant.run`."""
        found = self.model(image)
        return found, getattr(found, 'masks', None)

    def size(self) -> int:
        """See :meth:`Contestant.size`."""
        beside = [self.file.with_suffix('.bin')] if self.file.suffix == '.xml' else []
        return sum(path.stat().st_size for path in (self.file, *beside))

    def answer(self, image: np.ndarray) -> Answer:
        """See :meth:`Contestant.answer`."""
        found = self.model(image)
        if isinstance(found, Detections):
            record: Answer = dict(bboxes=found.boxes, scores=found.scores, labels=found.labels)
            if found.box_masks is not None:
                record['masks'] = [masks.encode(found.mask(i)) for i in range(len(found))]
            return record
        if isinstance(found, LabelMap):
            return dict(label_map=found.labels)
        assert isinstance(found, Classes)
        return dict(probabilities=found.probabilities)


class AotiSession(Session):
    """A ``.pt2`` file of AOTInductor, which needs PyTorch.

    Args:
        path: The file.
        threads: That it may use.
    """

    def __init__(self, path: Path, threads: int):
        import torch

        torch.set_num_threads(threads)
        self._model = torch._inductor.aoti_load_package(str(path))
        self.metadata = self._model.get_metadata()
        of_task = dict(
            detection=['boxes', 'scores', 'labels', 'masks'],
            segmentation=['labels', 'probabilities'],
            classification=['probabilities'],
        )
        self.outputs = {
            name: Port('', ()) for name in of_task.get(self.metadata.get('task', ''), [])
        }
        self.inputs = dict(images=Port('uint8', (None, None, None, 3)))

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See :meth:`mmspanet.runtime.session.Session.run`."""
        import torch

        with torch.no_grad():
            found = self._model(*map(torch.from_numpy, feeds.values()))
        found = (found,) if isinstance(found, torch.Tensor) else found
        return {name: value.numpy() for name, value in zip(self.outputs, found, strict=False)}


class InTorch(Contestant):
    """The checkpoint in PyTorch, with the library's own steps before and after the model."""

    def __init__(self, entry: Entry):
        import torch
        from mmengine.dataset import Compose

        from mmspanet import cli
        from mmspanet.apis.build import build_model
        from mmspanet.checkpoints import load
        from mmspanet.datasets.paths import part_datasets
        from mmspanet.models import find_spanetv2

        torch.set_num_threads(entry.threads)
        cfg = cli.load_model_config(entry.config)
        self.model = build_model(cfg).eval()
        load(self.model, entry.checkpoint)
        if entry.name == 'pytorch-deployed':
            for backbone in find_spanetv2(self.model).values():
                backbone.switch_to_deploy()
        self.model.to(entry.device)
        ((_, dataset), *_) = part_datasets(cfg, 'test')
        self.pipeline = Compose([step for step in dataset.pipeline if 'Load' not in step['type']])

    def run(self, image: np.ndarray) -> Any:
        """See :meth:`Contestant.run`."""
        import torch
        from mmengine.dataset import pseudo_collate

        shape = image.shape[:2]
        given = dict(img=image, img_path='', img_id=0, ori_shape=shape, img_shape=shape)
        with torch.no_grad():
            (sample,) = self.model.test_step(pseudo_collate([self.pipeline(given)]))
            return sample.cpu()

    def size(self) -> int:
        """See :meth:`Contestant.size`."""
        return sum(value.nbytes for value in (*self.model.parameters(), *self.model.buffers()))

    def answer(self, image: np.ndarray) -> Answer:
        """See :meth:`Contestant.answer`."""
        sample = self.run(image)
        if 'pred_instances' in sample:
            found = sample.pred_instances
            record = {name: found[name].numpy() for name in ('bboxes', 'scores', 'labels')}
            if 'masks' in found:
                record['masks'] = [masks.encode(mask) for mask in found.masks.numpy()]
            return record
        if 'pred_sem_seg' in sample:
            return dict(label_map=sample.pred_sem_seg.data[0].numpy().astype(np.uint8))
        return dict(probabilities=sample.pred_score.numpy())


# What follows runs in a contestant's process: one for each process.
_contestant: Contestant | None = None


def enter(entry: Entry) -> None:
    """Make the process's contestant, and have the process end with the one that started it."""
    global _contestant
    die_with_parent()
    _contestant = InTorch(entry) if entry.file is None else Exported(entry)


def answer(path: str) -> Answer:
    """The contestant's results for an image file."""
    assert _contestant is not None
    return _contestant.answer(_read(path))


def seconds(path: str) -> float:
    """How long the contestant takes for an image file, from the decoded image on."""
    assert _contestant is not None
    image = _read(path)
    start = time.perf_counter()
    _contestant.run(image)
    return time.perf_counter() - start


def _read(path: str) -> np.ndarray:
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f'{path} can not be read: tools/check_data.py CONFIG names such files.')
    return image


def size() -> int:
    """See :meth:`Contestant.size`."""
    assert _contestant is not None
    return _contestant.size()


def peak_memory() -> int:
    """The most memory that the process has had at once, in bytes.

    ``getrusage`` would count what the process that started this one had then.
    """
    (kibibytes,) = re.findall(r'^VmHWM:\s+(\d+)', Path('/proc/self/status').read_text(), re.M)
    return int(kibibytes) * 1024
