"""The graphs of a cascade, one for each of its heads, beside MMDetection's own predictions."""

import pytest
import torch
from torch import nn

from tests.deployment.test_export import exported, pytestmark, regions, run  # noqa: F401

pytest.importorskip('mmdet')

from mmdet.models.layers import multiclass_nms
from mmdet.structures import DetDataSample

from tests.deployment.test_end2end import cascade, spread_scores


@torch.no_grad()
def test_cascade_from_graphs_equals_mmdet(tmp_path):
    """Seven graphs, and between them what stays outside."""
    size = (96, 128)
    model = cascade()
    spread_scores(model)
    files = exported(model, size, tmp_path)
    images = torch.randn(1, 3, *size)
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), pad_shape=size)
    (expected,) = model.predict(images, [DetDataSample(metainfo=meta)], rescale=False)

    rois, levels = regions(files, model, images)
    logits = []
    for stage in (1, 2, 3):
        outputs = run(files[f'box_head{stage}'], rois=rois, **levels)
        scores, boxes = map(torch.from_numpy, outputs)
        logits.append(scores)
        best = scores[:, :-1].argmax(dim=1)
        rois = torch.cat([rois[:, :1], boxes[range(len(best)), best]], dim=1)
    cfg = model.test_cfg.rcnn
    found, labels = multiclass_nms(
        boxes.flatten(1),
        torch.stack(logits).mean(dim=0).softmax(dim=1),
        cfg.score_thr,
        cfg.nms,
        cfg.max_per_img,
    )
    assert len(found) == len(expected.pred_instances) > 5
    torch.testing.assert_close(found[:, :4], expected.pred_instances.bboxes, atol=1e-2, rtol=1e-4)
    torch.testing.assert_close(found[:, 4], expected.pred_instances.scores, atol=1e-4, rtol=0)
    assert labels.tolist() == expected.pred_instances.labels.tolist()

    rois = nn.functional.pad(found[:, :4], (1, 0))
    masks = [run(files[f'mask_head{stage}'], rois=rois, **levels)[0] for stage in (1, 2, 3)]
    mean = torch.from_numpy(sum(masks) / 3)
    features = model.extract_feat(images)
    logits = [model.roi_head._mask_forward(i, features, rois)['mask_preds'] for i in range(3)]
    reference = torch.stack(logits).sigmoid().mean(dim=0)
    torch.testing.assert_close(mean, reference, atol=1e-4, rtol=0)
