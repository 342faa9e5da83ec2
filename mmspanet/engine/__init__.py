from .hooks import DeployHook, EpochSeedHook, FiniteWeightsHook
from .layer_decay import LayerDecayOptimWrapperConstructor

__all__ = [
    'DeployHook',
    'EpochSeedHook',
    'FiniteWeightsHook',
    'LayerDecayOptimWrapperConstructor',
]
