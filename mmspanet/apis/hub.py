"""Importing this module enters our classifiers into MMPretrain's model hub, by name.

MMPretrain's hub reads its own model index and has no look-up of other packages' ones, and
``import mmspanet`` leaves MMPretrain alone, so the registration is an import of its own::

    import mmspanet.apis.hub
    from mmpretrain import get_model, list_models

    list_models('spanetv2')
    model = get_model('spanetv2-s18-pure_4xb128-amp-310e_in1k', pretrained='spanetv2://s18-pure')

Detectors and segmentors stay out: the hub would build them in MMPretrain's scope.
"""

from mmpretrain.apis.model import ModelHub

from mmspanet.apis.config_files import ROOT

ModelHub.register_model_index(ROOT / 'configs/cls/metafile.yml', config_prefix=ROOT)
