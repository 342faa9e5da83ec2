"""Building a config's model without the files that it names."""

import pytest
from mmengine.config import ConfigDict

from mmspanet.apis.build import build_model
from mmspanet.cli import load_config
from tests.helpers import ROOT


@pytest.mark.parametrize('as_list', [False, True])
def test_a_config_starts_its_backbone_without_pretrained_files(as_list):
    pytest.importorskip('mmpretrain')
    cfg = load_config(str(ROOT / 'configs/cls/spanetv2_shapes.py'))
    filled = ConfigDict(type='Constant', layer='Conv2d', val=7.0)
    pretrained = ConfigDict(type='Pretrained', checkpoint='/nowhere.pth')
    cfg.model.backbone.pop('init_cfg')
    cfg.model.backbone.init_cfg = [pretrained, filled] if as_list else filled
    model = build_model(cfg)
    model.init_weights()
    assert (model.backbone.downsample_layers[0].conv.weight == 7).all()
