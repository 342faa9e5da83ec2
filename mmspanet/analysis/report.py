"""The report on a model: its drawings, and what was measured on what."""

import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import mmspanet
from mmspanet import surroundings
from mmspanet.checkpoints.publish import file_hash

from .inside import studies
from .inside.spam_response import depthwise_kernels
from .plotting import Drawing
from .subject import Subject
from .theory import figures
from .theory.sweeps import random_sweeps

TORUS = 28  # positions a side, as stage 2 has at 224 pixels
WINDOWS = (3, 5, 7, 9, 13)

Facts = list[tuple[str, str]]


def take_studies(
    subjects: Sequence[Subject], show: int, field_images: int, batch_size: int, seed: int
) -> tuple[list[Drawing], Facts]:
    """Take all studies of a report.

    Args:
        subjects: The SPANetV2, and then its peers.
        show: Number of images with modulators and Grad-CAM.
        field_images: Number of images per receptive field.
        batch_size: Images at a time.
        seed: Of random operators and noise.

    Returns:
        The drawings, and which study is left out and why.
    """
    subject = subjects[0]
    sweeps = random_sweeps(TORUS, WINDOWS, 200, 5, np.random.default_rng(seed))
    kernels = depthwise_kernels(subject.model.backbone)
    drawings = [
        figures.draw_windows(sweeps),
        figures.draw_signs(sweeps, kernels, subject.model.title),
        *studies.mixers(subject, seed),
        studies.blocks_spectra(subjects, batch_size),
        studies.filter_gains(subject),
        studies.modulators_over_images(subject, show),
        studies.receptive_fields(subjects, field_images),
    ]
    reason = studies.why_no_grad_cam(subject)
    if reason is None:
        return [*drawings, studies.class_activations(subject, show)], []
    return drawings, [('Left out', f'Grad-CAM: {reason}')]


def facts(config: str, subjects: Sequence[Subject], images: str) -> Facts:
    """List what was measured on what: pairs of a name and a value, in plain text.

    Args:
        config: Path of the first model's config.
        subjects: The models with their images.
        images: Where the images are from.
    """
    model, pictures = subjects[0].model, subjects[0].pictures
    weights = model.weights
    if Path(weights).is_file():
        weights = f'{weights} (sha256 {file_hash(Path(weights))}...)'
    libraries = surroundings.versions('numpy', 'matplotlib')
    height, width = pictures[0].pixels.shape[1:]
    return [
        ('Model', config),
        ('Weights', weights),
        *((f'Beside it: {s.model.name}', s.model.weights) for s in subjects[1:]),
        ('Images', f'{len(pictures)} of {images}, {height} x {width} pixels'),
        ('Made', f'{datetime.date.today()} by mmspanet {mmspanet.__version__}'),
        ('Libraries', ', '.join(f'{name} {version}' for name, version in libraries.items())),
        ('Machine', surroundings.machine()),
    ]
