"""The registries of mmspanet: children of MMEngine's, imported on first use.

MMEngine imports ``mmspanet.registry`` when it meets ``type='mmspanet.X'``, and
the modules named in ``locations`` when it looks ``X`` up. A config therefore
needs no ``custom_imports``.
"""

from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import Registry

from mmspanet.checkpoints.safe import allow_training_checkpoints
from mmspanet.engine import atomic_backend as atomic_backend  # registers the backend 'atomic'

allow_training_checkpoints()

MODELS = Registry('model', parent=MMENGINE_MODELS, scope='mmspanet', locations=['mmspanet.models'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope='mmspanet',
    locations=['mmspanet.engine.layer_decay'],
)
OPTIMIZERS = Registry(
    'optimizer',
    parent=MMENGINE_OPTIMIZERS,
    scope='mmspanet',
    locations=['mmspanet.engine.lamb'],
)
HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope='mmspanet',
    locations=[
        'mmspanet.engine.hooks',
        'mmspanet.engine.resume',
        'mmspanet.engine.best_checkpoint',
        'mmspanet.engine.track',
    ],
)
VISBACKENDS = Registry(
    'vis_backend',
    parent=MMENGINE_VISBACKENDS,
    scope='mmspanet',
    locations=['mmspanet.engine.track'],
)
