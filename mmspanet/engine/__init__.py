from .hooks import DeployHook, DrawInRGBHook, EpochSeedHook, FiniteWeightsHook
from .layer_decay import LayerDecayOptimWrapperConstructor

__all__ = [
    'DeployHook',
    'DrawInRGBHook',
    'EpochSeedHook',
    'FiniteWeightsHook',
    'LayerDecayOptimWrapperConstructor',
]
