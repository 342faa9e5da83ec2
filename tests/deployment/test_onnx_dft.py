"""The spectral filter as ONNX's DFT: the model's own is the oracle, in both runtimes."""

import copy

import pytest
import torch
from torch import nn

from tests.deployment.test_export import ALL_MIXERS, OnlyBackbone, pytestmark  # noqa: F401
from tests.helpers import assert_close, random_model

onnx = pytest.importorskip('onnx')

from mmspanet.deployment import export, parts  # noqa: E402
from mmspanet.deployment.onnx_dft import (  # noqa: E402
    DFTSpectralFilter,
    DynamicDFTSpectralFilter,
)
from mmspanet.models import ScaledSpectralRescalingFilter  # noqa: E402

SIZES = [(8, 8), (8, 9), (13, 6), (31, 50)]


def filters(size):
    """The filter of a model, and the two for graphs."""
    torch.manual_seed(0)
    srf = ScaledSpectralRescalingFilter(6, (8, 8))
    nn.init.normal_(srf.filter, std=2.0)  # so that the spectrum's two halves differ
    nn.init.constant_(srf.alpha, 1.7)
    return srf, DFTSpectralFilter(srf, size), DynamicDFTSpectralFilter(srf)


@pytest.mark.parametrize('size', [(1, 1), *SIZES])
@torch.no_grad()
def test_the_filter_is_the_same_function(size):
    srf, *forms = filters(size)
    maps = torch.randn(2, 6, *size)
    for form in forms:
        assert_close([form(maps)], [srf(maps)], 1e-5)


@pytest.mark.parametrize('to', ['onnx', 'openvino'])
@torch.no_grad()
def test_one_graph_for_all_sizes(to, tmp_path):
    if to == 'openvino':
        pytest.importorskip('openvino')
    kind = export.FORMATS[to]
    srf, _, dynamic = filters(SIZES[1])
    part = parts.Part('filter', dynamic, dict(images=torch.randn(2, 6, *SIZES[1])), ['maps'])
    path = tmp_path / f'any{kind.suffix}'
    kind.write(part, path, {}, frozenset({'batch', 'size'}))
    run = kind.open(path)
    for size in SIZES:
        maps = torch.randn(3, 6, *size)
        (found,) = run(dict(images=maps.numpy()))
        assert_close([torch.from_numpy(found)], [srf(maps)], 3e-5)


def test_a_backbone(tmp_path):
    """Odd sizes; the graph has the DFT, and nothing from another domain."""
    model = OnlyBackbone(random_model(ALL_MIXERS, out_indices=(0, 1)))
    prepared = copy.deepcopy(model)
    parts.prepare(prepared, (75, 101), 'dft')
    (part,) = parts.backbone_parts(prepared, (75, 101), 1)
    export.write_onnx(part, tmp_path / 'dft.onnx', {})
    run = export.open_in_runtime(tmp_path / 'dft.onnx')
    (reference,) = parts.backbone_parts(model, (75, 101), 1)
    assert export.largest_difference(run, reference) <= export.TOLERANCE
    nodes = onnx.load(tmp_path / 'dft.onnx').graph.node
    assert sum(node.op_type == 'DFT' for node in nodes) == 2 * 4  # two blocks, there and back
    assert not any(node.domain for node in nodes)
