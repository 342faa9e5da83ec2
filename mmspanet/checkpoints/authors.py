"""The authors' checkpoint layouts, translated into ours and back.

Two layouts exist: the released one (``filter_1..4``, ``local_conv_1..4``) and the
revision of 2025-11 (one ``filter``, ``local_convs.0..3``, ``scale.alpha``). They
hold different functions, see :class:`mmspanet.models.SPAM`. What belongs to
neither layout passes through unchanged, so files in our own layout do, too.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

StateDict = dict[str, Tensor]

_MIXER_KEY = re.compile(r'(stages\.\d+\.\d+\.token_mixer\.)(.+)')

# The authors' names in a SPAM mixer and ours, as prefixes; in both layouts ...
_SPAM_NAMES = (
    ('query.0.', 'query.'),
    ('ctx.', 'context.'),
    ('proj.1.', 'norm.'),
    ('proj.3.', 'reduce.'),
    ('proj_out.', 'proj.'),
)
# ... and in one of them. The released filters and convolutions are numbered from 1.
_RELEASED_NAMES = (('proj.0.', 'head_mix.'),)
_REVISION_NAMES = (
    ('proj.0.', 'channel_mix.'),
    ('local_convs.', 'convs.'),
    ('filter', 'srf.filter'),
    ('scale.alpha', 'srf.alpha'),
)

_CLASSIFIER_NAMES = (
    ('norm.', 'neck.norm.'),
    ('head.fc1.', 'neck.fc.'),
    ('head.norm.', 'neck.fc_norm.'),
    ('head.fc2.', 'head.fc.'),
    ('', 'backbone.'),
)


def backbone_from_authors(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Translate a backbone's state dict, its keys without a prefix, into our layout."""
    ours = _map_mixers(state_dict, _spam_from_authors)
    return {re.sub(r'(\.res_scale[12])\.scale$', r'\1', key): ours[key] for key in ours}


def backbone_to_authors(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Translate a backbone's state dict, its keys without a prefix, into the authors' layout.

    A backbone with interleaved heads comes out in the released layout, one
    without in that of the revision.
    """
    theirs = _map_mixers(state_dict, _spam_to_authors)
    return {re.sub(r'(\.res_scale[12])$', r'\1.scale', key): theirs[key] for key in theirs}


def model_from_authors(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Translate a whole file of the authors into our layout.

    A bare ImageNet file becomes one of mmpretrain's ImageClassifier, a file of a
    detector or segmentor keeps its keys but for those under ``backbone.``.
    """
    if any(key.startswith('backbone.') for key in state_dict):
        return _map_backbone(state_dict, backbone_from_authors)
    return _map_backbone(classifier_from_authors(state_dict), backbone_from_authors)


def model_to_authors(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Translate a whole file of ours into the authors' layout: :func:`model_from_authors` back."""
    theirs = _map_backbone(state_dict, backbone_to_authors)
    if 'neck.fc.weight' not in theirs:
        return theirs
    names = tuple((ours, authors) for authors, ours in _CLASSIFIER_NAMES)
    return {_renamed(key, names): value for key, value in theirs.items()}


def classifier_from_authors(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Sort a bare ImageNet file into the parts of mmpretrain's ImageClassifier.

    The keys come back under ``backbone.``, ``neck.`` and ``head.``; the backbone's
    keep the authors' layout.
    """
    return {_renamed(key, _CLASSIFIER_NAMES): value for key, value in state_dict.items()}


def _map_backbone(
    state_dict: Mapping[str, Tensor], translate: Callable[[StateDict], StateDict]
) -> StateDict:
    """Apply ``translate`` to the entries under ``backbone.``, whose keys come without it."""
    prefix = 'backbone.'
    inside = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
    outside = {k: v for k, v in state_dict.items() if not k.startswith(prefix)}
    return {prefix + key: value for key, value in translate(inside).items()} | outside


def _map_mixers(
    state_dict: Mapping[str, Tensor], translate: Callable[[StateDict], StateDict]
) -> StateDict:
    """Apply ``translate`` to the entries of each mixer, whose keys come without their prefix."""
    out: StateDict = {}
    mixers: dict[str, StateDict] = defaultdict(dict)
    for key, value in state_dict.items():
        match = _MIXER_KEY.fullmatch(key)
        if match is None:
            out[key] = value
        else:
            mixers[match[1]][match[2]] = value
    for prefix, mixer in mixers.items():
        out.update({prefix + name: value for name, value in translate(mixer).items()})
    return out


def _spam_from_authors(mixer: StateDict) -> StateDict:
    if 'ctx.weight' not in mixer:
        return mixer
    names = _SPAM_NAMES + (_REVISION_NAMES if 'filter' in mixer else _RELEASED_NAMES)
    ours: StateDict = {}
    filters: dict[int, Tensor] = {}
    for key, value in mixer.items():
        head = re.fullmatch(r'(filter|local_conv)_(\d+)(.*)', key)
        if head is None:
            ours[_renamed(key, names)] = value
        elif head[1] == 'filter':
            filters[int(head[2])] = value
        else:
            ours[f'convs.{int(head[2]) - 1}{head[3]}'] = value
    if filters:
        ours['srf.filter'] = torch.cat([filters[i] for i in sorted(filters)])
    # A 1x1 convolution there, a Linear layer here.
    if 'reduce.weight' in ours and ours['reduce.weight'].ndim == 4:
        ours['reduce.weight'] = ours['reduce.weight'].flatten(1)
    return ours


def _spam_to_authors(mixer: StateDict) -> StateDict:
    if 'context.weight' not in mixer:
        return mixer
    released = 'head_mix.weight' in mixer
    own_names = _RELEASED_NAMES if released else _REVISION_NAMES
    names = tuple((ours, theirs) for theirs, ours in own_names + _SPAM_NAMES)
    heads = len({key.split('.')[1] for key in mixer if key.startswith('convs.')})
    theirs: StateDict = {}
    for key, value in mixer.items():
        if key == 'reduce.weight':
            value = value[:, :, None, None]
        if released and key == 'srf.filter':
            theirs.update({f'filter_{i + 1}': part for i, part in enumerate(value.chunk(heads))})
        elif released and key.startswith('convs.'):
            _, head, name = key.split('.')
            theirs[f'local_conv_{int(head) + 1}.{name}'] = value
        else:
            theirs[_renamed(key, names)] = value
    return theirs


def _renamed(key: str, names: tuple[tuple[str, str], ...]) -> str:
    for old, new in names:
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key
