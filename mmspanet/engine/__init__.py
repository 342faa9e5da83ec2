from .hooks import (
    CollectInWorkDirHook,
    DeployHook,
    DrawInRGBHook,
    EpochSeedHook,
    FiniteWeightsHook,
)
from .layer_decay import LayerDecayOptimWrapperConstructor

__all__ = [
    'CollectInWorkDirHook',
    'DeployHook',
    'DrawInRGBHook',
    'EpochSeedHook',
    'FiniteWeightsHook',
    'LayerDecayOptimWrapperConstructor',
]
