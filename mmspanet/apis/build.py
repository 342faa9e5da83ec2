"""Build the model of a config without a Runner."""

import copy
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmspanet.config_check import building_errors
from mmspanet.engine.device import replace_sync_bn


def build_model(cfg: Config) -> Any:
    """Build the model of a config for use in one process on any device, without a Runner.

    A pretrained file that the config names for its backbone is not read, and SyncBN becomes BN.
    ``init_weights()`` of the model draws the library's own random initialization.

    Args:
        cfg: The config of a detector, segmentor or classifier.

    Returns:
        The model in training mode, its weights as the constructors leave them.

    Raises:
        InputError: If it can't be built.
    """
    init_default_scope(cfg.default_scope)
    settings = copy.deepcopy(cfg.model)
    if starts := settings.backbone.get('init_cfg'):
        starts = starts if isinstance(starts, list) else [starts]
        kept = [start for start in starts if start.type != 'Pretrained']
        settings.backbone.init_cfg = kept or None
    replace_sync_bn(settings)
    if 'data_preprocessor' in cfg:
        settings.setdefault('data_preprocessor', cfg.data_preprocessor)
    with building_errors('The model can not be built'):
        return MODELS.build(settings)
