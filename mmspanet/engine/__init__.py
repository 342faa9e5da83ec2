from .hooks import DeployHook, EpochSeedHook
from .layer_decay import LayerDecayOptimWrapperConstructor

__all__ = ['DeployHook', 'EpochSeedHook', 'LayerDecayOptimWrapperConstructor']
