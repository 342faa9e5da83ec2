"""Measure and draw: each study looks at models with their images and returns a drawing."""

from collections.abc import Sequence

from rich.progress import track

from mmspanet.analysis.models import RANDOM
from mmspanet.analysis.plotting import Drawing
from mmspanet.analysis.subject import Subject
from mmspanet.errors import InputError

from . import feature_spectrum, grad_cam, mixer_figures, modulators, receptive_field, srf_gain
from .blocks import find_blocks
from .findings import findings, why_none
from .spam_response import head_responses, local_response, mixer_inputs


def blocks_spectra(
    subjects: Sequence[Subject],
    batch_size: int = 8,
    profile: str = 'radial',
    pattern: str | None = None,
) -> Drawing:
    """Draw the relative log amplitude of every block of some models.

    Args:
        subjects: Models with their images.
        batch_size: Images at a time.
        profile: Key of :data:`.feature_spectrum.PROFILES`.
        pattern: Of the blocks' paths, see :func:`.blocks.find_blocks`.
    """
    measured = {
        subject.model.title: feature_spectrum.feature_spectrum(
            subject.model.backbone,
            find_blocks(subject.model.backbone, pattern),
            subject.batches(batch_size, 'feature spectra'),
            feature_spectrum.PROFILES[profile],
        )
        for subject in subjects
    }
    return feature_spectrum.draw_models(measured)


def filter_gains(subject: Subject) -> Drawing:
    """Draw the mean gain of the re-scaling filters by stage and head."""
    return srf_gain.draw_gains(srf_gain.head_gains(subject.model.backbone))


def modulators_over_images(subject: Subject, count: int) -> Drawing:
    """Draw the modulators of every stage over ``count`` of the images."""
    pictures, maps = [], []
    for picture, x in subject.some(count, 'modulators'):
        pictures.append(picture)
        maps.append(modulators.modulator_maps(subject.model.backbone, x))
    return modulators.draw_modulators(pictures, maps)


def receptive_fields(subjects: Sequence[Subject], count: int) -> Drawing:
    """Draw the effective receptive field of the end of every stage, over ``count`` images."""
    measured = {
        subject.model.title: receptive_field.receptive_fields(
            subject.model.backbone,
            subject.stage_ends,
            (x for _, x in subject.some(count, 'receptive fields')),
        )
        for subject in subjects
    }
    return receptive_field.draw_fields(measured)


def why_no_grad_cam(subject: Subject) -> str | None:
    """Say why a model has no Grad-CAM; None if it has."""
    if subject.model.weights == RANDOM:
        return 'the weights are random'
    return why_none(subject.model)


def class_activations(
    subject: Subject,
    count: int,
    layer: str | None = None,
    method: str | None = None,
    per_image: int = 1,
) -> Drawing:
    """Draw Grad-CAM or its kin over ``count`` of the images.

    Args:
        subject: A classifier, segmentor, or detector with a RoI head, with its images.
        count: Number of images.
        layer: Path of a module in the backbone; by default the end of every stage.
        method: See :func:`.grad_cam.grad_cam`.
        per_image: At most so many boxes, regions or classes of each image.

    Raises:
        InputError: If the backbone has no such module, or nothing is found in the images.
    """
    modules = dict(subject.model.backbone.named_modules())
    if layer and layer not in modules:
        raise InputError(f'The backbone has no module {layer}: give a path such as stages.3.0.')
    layers = {layer: modules[layer]} if layer else subject.stage_ends
    rows = [
        grad_cam.Explained(
            picture,
            [grad_cam.grad_cam(finding, module, x, method) for module in layers.values()],
        )
        for picture, x in subject.some(count, 'Grad-CAM')
        for finding in findings(subject.model, x, per_image)
    ]
    if not rows:
        raise InputError('Grad-CAM has nothing to explain: no object was detected in the images.')
    return grad_cam.draw_cams(list(layers), rows)


def mixers(subject: Subject, seed: int) -> list[Drawing]:
    """Draw the responses of SPAM and, in a hybrid, of attention, at the first image.

    Args:
        subject: A SPANetV2, or a model with one as its backbone.
        seed: Of the noise that the local responses are taken with.
    """
    picture = subject.pictures[0]
    backbone = subject.model.backbone
    heads = head_responses(backbone, (picture.pixels.shape[1], picture.pixels.shape[2]))
    inputs = mixer_inputs(backbone, subject.input_of(picture))
    local = {
        (item.stage, item.block): local_response(item.mixer, item.x, seed=seed)
        for item in track(inputs, 'mixers at an image')
    }
    drawings = [mixer_figures.draw_spam(heads, local, picture.name)]
    attention = mixer_figures.draw_attention(inputs, picture.name)
    return [*drawings, attention] if attention else drawings
