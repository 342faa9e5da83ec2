"""What a checkpoint means to a SPANetV2: translated into our layout, or refused with the remedy.

The model's load hooks come here, so ``torch.load`` with ``load_state_dict``, MMEngine's loader and
``init_cfg`` all go the same way.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mmspanet.errors import CheckpointError

from .authors import backbone_from_authors, classifier_from_authors


def translate_backbone(backbone: Any, state_dict: dict[str, Any], prefix: str) -> None:
    """Bring the entries of a backbone into our layout and leave out what it has no use for.

    Left out are the classifier and the stages and norms that the backbone does not build. Output
    norms that are missing keep their values, since no ImageNet file has them.

    Args:
        backbone: The SPANetV2 to load into.
        state_dict: The whole state dict; changed in place.
        prefix: Prefix of the backbone's keys.

    Raises:
        CheckpointError: If the file is of another mixer, input size or architecture.
    """
    given = {k.removeprefix(prefix): state_dict[k] for k in state_dict if k.startswith(prefix)}
    ours = {k: v for k, v in backbone_from_authors(given).items() if not _is_unused(backbone, k)}
    params = dict(backbone.named_parameters())
    _refuse_other_mixer(params, ours)
    _refuse_other_input_size(params, ours)
    if not any(key in params and value.shape == params[key].shape for key, value in ours.items()):
        raise CheckpointError(_mismatch_message(prefix, state_dict))
    for key, param in params.items():
        if key.startswith('norm'):
            ours.setdefault(key, param.detach())
    for key in given:
        del state_dict[prefix + key]
    state_dict.update({prefix + key: value for key, value in ours.items()})


def translate_classifier(state_dict: dict[str, Any], prefix: str) -> None:
    """Sort a bare ImageNet file of the authors into an ImageClassifier's parts, in place.

    State dicts that are none, which the names of the stages tell, are left as they are.

    Args:
        state_dict: The whole state dict.
        prefix: Prefix of the classifier's keys.
    """
    bare = {k.removeprefix(prefix): state_dict[k] for k in state_dict if k.startswith(prefix)}
    if any(key.startswith('stages.') for key in bare):
        for key in bare:
            del state_dict[prefix + key]
        translated = classifier_from_authors(bare)
        state_dict.update({prefix + key: value for key, value in translated.items()})


def _is_unused(backbone: Any, key: str) -> bool:
    """Whether ``key`` is of the classifier, or of a stage or norm that is not built."""
    part = key.partition('.')[0]
    if part in ('norm', 'head'):
        return True
    stage = re.match(r'(?:downsample_layers|stages)\.([0-3])\.', key)
    if stage:
        return len(backbone.stages) <= int(stage[1])
    return part in ('norm0', 'norm1', 'norm2', 'norm3') and not hasattr(backbone, part)


def _refuse_other_mixer(params: Mapping[str, nn.Parameter], ours: Mapping[str, Any]) -> None:
    here, there = _spectral_mixer(params), _spectral_mixer(ours)
    if here and there and here != there:
        raise CheckpointError(
            f'The checkpoint is of the mixer {there}, this SPANetV2 has {here}, another function: '
            f'put {there} in the place of {here} in the mixers of its arch.'
        )


def _spectral_mixer(keys: Mapping[str, Any]) -> str | None:
    """Which mixer with a spectral filter the keys are of; None if there is none."""
    if any('.channel_mix.' in key for key in keys):
        return 'SPAMRevision'
    if not any('.head_mix.' in key for key in keys):
        return None
    scaled = any(key.endswith('.srf.alpha') for key in keys)
    return 'SPAM with a scaled sigmoid' if scaled else 'SPAM'


def _refuse_other_input_size(params: Mapping[str, Tensor], ours: Mapping[str, Any]) -> None:
    for key, value in ours.items():
        if not key.endswith('srf.filter') or key not in params or value.ndim != 3:
            continue
        channels, *size = params[key].shape
        if value.shape[0] == channels and list(value.shape[1:]) != size:
            stride = 4 * 2 ** int(key.split('.')[1])
            raise CheckpointError(
                f'The spectral filters of the checkpoint are stored for another input_size ({key}: '
                f'{tuple(value.shape)}, here {tuple(params[key].shape)}): build SPANetV2 with the '
                f'input_size that it was trained with, about {value.shape[1] * stride} pixels '
                f'high and {(value.shape[2] - 1) * 2 * stride} wide.'
            )


def _mismatch_message(prefix: str, state_dict: Mapping[str, Any]) -> str:
    found = ', '.join(list(state_dict)[:3]) or 'no keys'
    return (
        f'The checkpoint fills nothing of this SPANetV2: under {prefix!r} no key has the name and '
        f'shape of a parameter (it has {found}, ...): give one of the same arch, or, to take '
        "the backbone out of a whole model's file, give init_cfg prefix='backbone.'."
    )
