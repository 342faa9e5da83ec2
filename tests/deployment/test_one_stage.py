"""One-stage detectors of other heads as one graph's steps: MMDetection's own predictions."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

mmdet = pytest.importorskip('mmdet')

from mmspanet.deployment import check  # noqa: E402
from mmspanet.deployment.end2end import OneStageDetector  # noqa: E402
from tests.deployment.test_dynamic_dft import Strided  # noqa: E402
from tests.deployment.test_end2end import detections, predictions  # noqa: E402

CHANNELS = (8, 16, 16, 16)
HEAD = dict(in_channels=32, feat_channels=32)
FPN = dict(
    bbox_head=dict(stacked_convs=1, **HEAD), neck=dict(in_channels=list(CHANNELS), out_channels=32)
)
CSP = dict(bbox_head=dict(HEAD), neck=dict(in_channels=[16] * 3, out_channels=32, num_csp_blocks=1))
CONFIGS = {
    'ATSS': ('atss/atss_r50_fpn_1x_coco.py', FPN, 'atss_cls'),
    'FCOS': ('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', FPN, 'conv_cls'),
    'GFL': ('gfl/gfl_r50_fpn_1x_coco.py', FPN, 'gfl_cls'),
    'RTMDet': ('rtmdet/rtmdet_l_8xb32-300e_coco.py', CSP, 'rtm_cls'),
}


class LastThree(Strided):
    def forward(self, images):
        return super().forward(images)[1:]


@pytest.mark.parametrize('name', CONFIGS)
def test_the_boxes_are_those_of_mmdetection(name):
    path, changes, classifier = CONFIGS[name]
    cfg = Config.fromfile(f'{mmdet.__path__[0]}/.mim/configs/{path}')
    cfg.model.backbone = dict(type='ResNet', depth=18)  # replaced
    cfg.merge_from_dict(dict(model=changes))
    cfg.model.test_cfg.score_thr = 0.3
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    model.backbone = (LastThree if name == 'RTMDet' else Strided)(CHANNELS)
    for module_name, module in model.bbox_head.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.1)
        if module_name.partition('.')[0] == classifier and isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.3)
            nn.init.zeros_(module.bias)
    images = torch.randint(256, (2, 128, 160, 3), dtype=torch.uint8)
    sizes = torch.tensor([[128, 160], [128, 160]])
    with torch.no_grad():
        found = [each.numpy() for each in OneStageDetector(model)(images, sizes)]
    for i, expected in enumerate(predictions(model, images, sizes)):
        mine = detections(found, i)
        assert len(mine) == len(expected) > 5
        assert check.unmatched(expected, mine) + check.unmatched(mine, expected) == 0
