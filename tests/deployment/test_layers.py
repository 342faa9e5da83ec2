"""Layers in the form for graphs: the layers themselves are the oracle, also in OpenVINO."""

import copy

import pytest
import torch
from torch import nn

from mmspanet.deployment.filters import replace_filters
from mmspanet.deployment.layers import ChannelNorm, WholeNorm, joined_groups, rewrite_layers
from mmspanet.models.layers import LayerNorm2d
from mmspanet.runtime.session import openvino_core
from tests.helpers import TINY_HYBRID, assert_close, random_model


@pytest.mark.parametrize('affine', [False, True])
def test_layer_norm(affine):
    norm = LayerNorm2d(24, affine=affine)
    if affine:
        nn.init.normal_(norm.weight)
    x = 3 * torch.randn(2, 24, 5, 7) + torch.randn(2, 1, 5, 7)
    assert_close([ChannelNorm(norm)(x)], [norm(x)], 1e-5)


def test_group_norm():
    norm = nn.GroupNorm(1, 12)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 12, 5, 7) * torch.tensor([1.0, 9.0])[:, None, None, None] + 2
    assert_close([WholeNorm(norm)(x)], [norm(x)], 1e-5)


@pytest.mark.parametrize(('together', 'groups'), [(1, 6), (2, 3), (4, 3), (6, 1)])
def test_joined_groups(together, groups):
    conv = nn.Conv2d(18, 12, 1, groups=6, bias=False)
    joined = joined_groups(conv, together)
    assert joined.groups == groups
    x = torch.randn(2, 18, 3, 4)
    assert_close([joined(x)], [conv(x)], 1e-6)


def exported(model: nn.Module, images: torch.Tensor, path) -> None:
    pytest.importorskip('onnxscript')
    model.eval()
    torch.onnx.export(model, (images,), path, dynamo=True, opset_version=18, verbose=False)


def in_openvino(path, images: torch.Tensor, **config) -> list[torch.Tensor]:
    pytest.importorskip('openvino')
    config = dict(INFERENCE_PRECISION_HINT='f32') | config
    model = openvino_core().compile_model(path, 'CPU', config)
    return [torch.from_numpy(value) for value in model(images.numpy()).to_tuple()]


@pytest.mark.slow
@torch.no_grad()
def test_openvino_norms_large_maps(tmp_path):
    """One sum over such a map is off by some 1e-4 there."""
    norm = nn.GroupNorm(1, 64)
    x = torch.randn(1, 64, 200, 304) + 0.5
    exported(WholeNorm(norm), x, tmp_path / 'norm.onnx')
    assert_close(in_openvino(tmp_path / 'norm.onnx', x), [norm(x)], 2e-5)


@pytest.mark.slow
@torch.no_grad()
def test_openvino_runs_a_backbone(tmp_path):
    """Both precisions; stage by stage the maps of the training form."""
    model, size = random_model(TINY_HYBRID), (160, 136)
    images = torch.randn(2, 3, *size)
    graph = copy.deepcopy(model)
    graph.switch_to_deploy()
    replace_filters(graph, size)
    rewrite_layers(graph)
    exported(graph, images, tmp_path / 'backbone.onnx')
    for precision, tolerance in (('f32', 1e-4), ('bf16', 5e-2)):
        config = dict(INFERENCE_PRECISION_HINT=precision)
        assert_close(
            in_openvino(tmp_path / 'backbone.onnx', images, **config), model(images), tolerance
        )
