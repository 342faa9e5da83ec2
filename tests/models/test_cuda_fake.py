"""The models on device cuda without a GPU: shapes, dtypes and devices of every operator.

FakeTensorMode computes no values, and the layout and dtype rules of CUDA are those of PyTorch's
CUDA build. Backward passes need a real device.
"""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmspanet.checkpoints.authors import backbone_to_authors
from mmspanet.models import SPANetV2, lean
from tests.helpers import ROOT, TINY, TINY_HYBRID, TINY_REVISION, cuda_autocast
from tests.oracle import Oracle

pytestmark = pytest.mark.skipif(
    not torch.backends.cuda.is_built(), reason='PyTorch is the build without CUDA'
)
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
aten = torch.ops.aten
# Their kernels read (B, C, H, W) memory; under autograd PyTorch lays it out for them.
DENSE = (aten.native_group_norm.default, aten.native_group_norm_backward.default)


class Watch(TorchDispatchMode):
    """Fails at an operator that leaves the GPU, waits for it, computes in float64 or misreads."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, out)):
            if isinstance(value, torch.Tensor):
                assert value.device.type == 'cuda', f'{func} has a tensor on {value.device}'
                assert value.dtype not in (torch.float64, torch.complex128), f'{func} is double'
        if func in DENSE:
            maps = [value for value in args if isinstance(value, torch.Tensor)]
            assert all(value.is_contiguous() for value in maps), f'{func} has maps of other memory'
        assert func is not torch.ops.aten._local_scalar_dense.default, 'a scalar is awaited'
        return out


@contextmanager
def fake_cuda(dtype=torch.float32):
    """Tensors are made on a GPU that is not there, under autocast unless dtype is float32."""
    casts = nullcontext() if dtype == torch.float32 else cuda_autocast(dtype)
    with FakeTensorMode(), torch.device('cuda'), casts, torch.no_grad():
        yield


def check_forward(arch, dtype, size, form):
    with fake_cuda(dtype):
        model = SPANetV2(arch, input_size=64)
        if form != 'training':
            model.eval()
        if form == 'deployed':
            model.switch_to_deploy()
        with Watch():
            maps = model(torch.rand(2, 3, *size))
        for i, out in enumerate(maps):
            height, width = size
            assert out.shape[:2] == (2, model.channels[i])
            assert out.device.type == 'cuda'
            stride = 4 * 2**i
            assert abs(out.shape[2] - height / stride) <= 1
            assert abs(out.shape[3] - width / stride) <= 1
        return maps


@pytest.mark.parametrize('form', ['training', 'testing', 'deployed'])
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('arch', [TINY, TINY_HYBRID, TINY_REVISION])
def test_no_operator_leaves_the_gpu(arch, dtype, form):
    check_forward(arch, dtype, (97, 65), form)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('arch', [TINY, TINY_HYBRID, TINY_REVISION])
def test_nor_does_one_in_the_forward_pass_of_a_training(arch, dtype, monkeypatch):
    """The lean steps apply under autograd alone, which is off here."""
    monkeypatch.setattr(lean, 'applies', lambda module, *others: module.training)
    check_forward(arch, dtype, (97, 65), 'training')


def inputs_of(step, dtype):
    """What a step gets under autocast: maps of a product's type, weights in float32."""

    def maps(channels):
        values = torch.rand(2, channels, 6, 5, dtype=dtype)
        return values.to(memory_format=torch.channels_last)

    return {
        lean.StarReLULinear: lambda: (maps(16), torch.rand(1), torch.rand(1), torch.rand(4, 16)),
        lean.GatedLinear: lambda: (maps(8), maps(8), torch.rand(4, 8)),
        lean.NormGELULinear: lambda: (
            maps(8),
            torch.rand(8),
            torch.rand(8),
            1e-5,
            torch.rand(4, 8),
        ),
        lean.Rescale: lambda: (maps(3), torch.rand(3, 6, 3)),
    }[step]()


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize(
    'step', [lean.StarReLULinear, lean.GatedLinear, lean.NormGELULinear, lean.Rescale]
)
def test_backward_passes_of_the_steps(step, dtype):
    """Called by hand: autograd itself asks for a real device."""
    with fake_cuda():
        inputs = inputs_of(step, dtype)
        given = [value for value in inputs if isinstance(value, torch.Tensor)]
        with Watch():
            out = step.forward(*inputs)
            gradients = step.backward(
                SimpleNamespace(saved_tensors=given, eps=1e-5), torch.rand_like(out)
            )
        assert out.dtype == dtype
        for value, gradient in zip(
            given, [gradient for gradient in gradients if gradient is not None], strict=True
        ):
            assert gradient.shape == value.shape
            assert gradient.dtype == value.dtype


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_a_model_of_a_half_type_is_trained_in_it(dtype, monkeypatch):
    """As PyTorch's FSDP makes one."""
    monkeypatch.setattr(lean, 'applies', lambda module, *others: module.training)
    with fake_cuda():
        torch.set_default_dtype(dtype)
        try:
            model = SPANetV2(TINY_HYBRID, input_size=64)
            with Watch():
                maps = model(torch.rand(2, 3, 97, 65))
        finally:
            torch.set_default_dtype(torch.float32)
        assert all(out.dtype == dtype for out in maps)


@pytest.mark.slow
@pytest.mark.parametrize('form', ['training', 'deployed'])
@pytest.mark.parametrize('arch', sorted(SPANetV2.arch_settings))
def test_the_eight_variants(arch, form):
    for dtype in DTYPES:
        check_forward(arch, dtype, (225, 191), form)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('arch', [TINY, TINY_HYBRID])
def test_the_dtypes_are_those_of_the_formulas(arch, dtype):
    with fake_cuda(dtype):
        model = SPANetV2(arch, input_size=64).eval()
        oracle = Oracle(backbone_to_authors(model.state_dict()))
        image = torch.rand(1, 3, 64, 64)
        maps = model(image)
        if dtype == torch.bfloat16:  # the formulas, taken literally, have no FFT of it
            with pytest.raises(RuntimeError, match='Unsupported dtype BFloat16'):
                oracle.features(image)
            assert all(out.dtype == torch.float32 for out in maps)
            return
        expected = oracle.features(image)
        assert [(m.dtype, m.shape) for m in maps] == [(m.dtype, m.shape) for m in expected]


@pytest.mark.parametrize('dtype', DTYPES)
def test_convolutions_are_cast(dtype):
    with fake_cuda(dtype):
        out = F.conv2d(torch.rand(1, 3, 4, 4), torch.rand(3, 3, 1, 1))
        assert out.dtype == dtype


def test_the_watch_sees_what_leaves_the_gpu():
    with fake_cuda():
        x = torch.rand(2)
        with Watch(), pytest.raises(AssertionError, match='on cpu'):
            x * torch.ones((), device='cpu')
        with Watch(), pytest.raises(AssertionError, match='double'):
            x.double()
        with Watch(), pytest.raises(AssertionError, match='on cpu'):
            x.cpu()
        maps = torch.rand(2, 4, 3, 2).to(memory_format=torch.channels_last)
        with Watch(), pytest.raises(AssertionError, match='other memory'):
            torch.native_group_norm(maps, None, None, 2, 4, 6, 1, 1e-5)
        with Watch():
            F.group_norm(maps, 1)


def build(file, library):
    registry = pytest.importorskip(f'{library}.registry')
    cfg = Config.fromfile(ROOT / 'configs' / file)
    init_default_scope(library)
    cfg.model.backbone.pop('init_cfg', None)
    return registry.MODELS.build(cfg.model)


@pytest.mark.slow
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_the_classifiers_logits_and_loss(dtype):
    """MMPretrain looks at the largest label on the CPU: the loss itself is PyTorch's here."""
    with fake_cuda(dtype):
        model = build('cls/spanetv2_shapes.py', 'mmpretrain').train()
        with Watch():
            logits = model.head(model.extract_feat(torch.rand(2, 3, 65, 64)))
        assert logits.dtype == dtype
        loss = F.cross_entropy(logits, torch.zeros(2, dtype=torch.long))
        assert loss.dtype == torch.float32


@pytest.mark.slow
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_the_segmentors_logits_and_loss(dtype):
    """MMSegmentation counts the ignored pixels on the CPU: the loss itself is PyTorch's here."""
    with fake_cuda(dtype):
        model = build('seg/upernet_spanetv2_shapes.py', 'mmseg').train()
        with Watch():
            maps = model.extract_feat(torch.rand(2, 3, 97, 64))
            logits = [model.decode_head(maps), model.auxiliary_head(maps)]
        labels = torch.zeros(2, 97, 64, dtype=torch.long)
        for one in logits:
            assert one.dtype == dtype
            large = F.interpolate(one, labels.shape[1:], mode='bilinear')
            assert F.cross_entropy(large, labels, ignore_index=255).dtype == torch.float32


@pytest.mark.slow
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_the_detectors_heads(dtype):
    """mmcv's RoIAlign has no fake form, so maps of its shape stand in for its output."""
    with fake_cuda(dtype):
        model = build('det/maskrcnn_spanetv2_shapes.py', 'mmdet').train()
        with Watch():
            maps = model.extract_feat(torch.rand(2, 3, 97, 64))
            scores, boxes = model.rpn_head(maps)
            heads = model.roi_head
            regions = torch.rand(8, maps[0].shape[1], 7, 7, dtype=dtype)
            classes, deltas = heads.bbox_head(regions)
            masks = heads.mask_head(torch.rand(8, maps[0].shape[1], 14, 14, dtype=dtype))
        for out in (*scores, *boxes, classes, deltas, masks):
            assert out.dtype == dtype
            assert out.device.type == 'cuda'
