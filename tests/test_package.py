"""Installing and importing: what the package needs, and what it leaves alone."""

import subprocess
import sys

import pytest


def python(code: str) -> str:
    return subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    ).stdout


def test_the_core_needs_torch_and_mmengine_only():
    """In a process where the other libraries can't be imported at all."""
    code = """
import sys
for name in ('mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'torchvision', 'timm'):
    sys.modules[name] = None
import mmspanet.registry, mmspanet.engine, mmspanet.checkpoints
from mmengine.registry import MODELS
import torch
model = MODELS.build(dict(type='mmspanet.SPANetV2', arch=dict(depths=(1,) * 4, channels=(32,) * 4)))
print(len(model(torch.zeros(1, 3, 64, 64))))
"""
    assert python(code).strip().endswith('4')


@pytest.mark.slow
@pytest.mark.parametrize('library', ['mmdet', 'mmseg', 'mmpretrain'])
def test_the_backbone_builds_in_each_scope(library):
    """With no custom_imports and no import of mmspanet by the caller."""
    pytest.importorskip(library)
    code = f"""
from mmengine.registry import init_default_scope
init_default_scope('{library}')
from {library}.registry import MODELS
model = MODELS.build(dict(type='mmspanet.SPANetV2'))
from mmengine.optim import build_optim_wrapper
build_optim_wrapper(model, dict(
    constructor='mmspanet.LayerDecayOptimWrapperConstructor', paramwise_cfg=dict(decay_rate=0.9),
    optimizer=dict(type='SGD', lr=1.0)))
print(type(model).__module__)
"""
    assert python(code).strip().endswith('mmspanet.models.spanetv2')
