from .hooks import DeployHook, DrawInRGBHook, EpochSeedHook
from .layer_decay import LayerDecayOptimWrapperConstructor

__all__ = ['DeployHook', 'DrawInRGBHook', 'EpochSeedHook', 'LayerDecayOptimWrapperConstructor']
