"""Importing this module enters our classifiers into MMPretrain's model hub, by name.

MMPretrain's hub reads its own model index and has no look-up of other packages' ones, and
``import mmspanet`` leaves MMPretrain alone, so the registration is an import of its own::

    import mmspanet.hub
    from mmpretrain import get_model, list_models

    list_models('spanetv2')
    model = get_model('spanetv2-s18-pure_8xb128-amp-300e_in1k', pretrained='spanetv2://s18-pure')

Detectors and segmentors stay out: the hub would build them in MMPretrain's scope.
"""

from pathlib import Path

from mmpretrain.apis.model import ModelHub

_PACKAGE = Path(__file__).parent
_IN_WHEEL = _PACKAGE / '.mim'
_ROOT = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent

ModelHub.register_model_index(_ROOT / 'configs/cls/metafile.yml', config_prefix=_ROOT)
