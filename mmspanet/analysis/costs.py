"""What a forward pass costs: parameters and multiply-accumulates (MACs) by module and kind."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from mmspanet.apis.build import build_model
from mmspanet.config_check import input_size
from mmspanet.models import find_spanetv2

aten = torch.ops.aten

PROPOSALS = 1000
MASKS = 100

KINDS = (
    'linear and convolution',
    'attention products',
    'LayerNorm',
    'FFT',
    'other',
)

_ATTENTION = (
    aten._scaled_dot_product_flash_attention_for_cpu,
    aten._scaled_dot_product_flash_attention,
    aten._scaled_dot_product_efficient_attention,
    aten._scaled_dot_product_cudnn_attention,
    aten._scaled_dot_product_fused_attention_overrideable,
    aten.bmm,
    aten.baddbmm,
)
_FFT = (aten._fft_r2c, aten._fft_c2r, aten._fft_c2c)

# Operations per output element of what is neither a product nor an FFT nor a LayerNorm.
_OTHER = {
    aten.native_group_norm: 5,
    aten.native_batch_norm: 2,
    aten.upsample_bilinear2d: 4,
    aten.upsample_bicubic2d: 16,  # the filters' resize
    **dict.fromkeys(
        (
            aten.add,
            aten.add_,
            aten.clamp_min,
            aten.gelu,
            aten.gelu_,
            aten.mul,
            aten.mul_,
            aten.pow,
            aten.pow_,
            aten.addcmul,
            aten.relu,
            aten.relu_,
            aten.sigmoid,
            aten._softmax,
        ),
        1,
    ),
}


@dataclass(frozen=True)
class ModuleCost:
    """Cost of one module with all that lies in it.

    Attributes:
        name: The module's path in the model; empty for the whole model.
        params: Number of parameters.
        macs: MACs by kind, see :data:`KINDS`.
    """

    name: str
    params: int
    macs: dict[str, int]


def count_costs(model: nn.Module, run: Callable[[], Any]) -> list[ModuleCost]:
    """Count what ``run()``, a forward pass of ``model``, costs, without gradients.

    - linear and convolution: the products of weights with features;
    - attention products: QK^T and AV;
    - LayerNorm: 5 operations per element, counted as 5 MACs, as the field's counters do;
    - FFT: (5/2) N log2 N floating-point operations for a real and 5 N log2 N
      for a complex transform of N points, two to a MAC;
    - other: sums, products and activations, one operation per output element (GroupNorm 5,
      BatchNorm 2, bilinear resize 4, bicubic 16), two to a MAC.

    The first three together are the rule that the authors' printed figures follow, except that
    their COCO and UperNet figures leave out the attention products.

    Works on meta tensors, where nothing is computed and no memory is needed.

    Returns:
        The whole model first, then every module that was called, in order of its name.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_formulas())
    with torch.no_grad(), counter:
        _Call(model)(run)
    counts = counter.get_flop_counts()
    root = f'{_Call.__name__}.model'
    modules = dict(model.named_modules())
    costs = []
    for path, by_op in sorted(counts.items()):
        name = path.removeprefix(root).removeprefix('.')
        if not path.startswith(root) or name not in modules or not name:
            continue
        costs.append(ModuleCost(name, _params(modules[name]), _by_kind(by_op)))
    whole = ModuleCost('', _params(model), _by_kind(counts.get('Global', {})))
    return [whole, *costs]


def default_shape(cfg: Config) -> tuple[int, int]:
    """Height and width that the field's tables count at."""
    if cfg.default_scope == 'mmdet':
        return 800, 1280
    if cfg.default_scope == 'mmseg':
        head = cfg.model.decode_head  # of a cascade, such as OCRNet, a list
        is_fpn = isinstance(head, dict) and head['type'] == 'FPNHead'
        return (512, 512) if is_fpn else (512, 2048)
    return input_size(cfg.model.backbone)


def count_config(cfg: Config, shape: tuple[int, int], deploy: bool = False) -> list[ModuleCost]:
    """Costs of a config's model for one image of ``shape``, height and width in pixels.

    With ``deploy`` the backbone is in its deployed form, without the shortcuts of CPUs.

    The image passes through the model on the meta device, in test mode. A two-stage
    detector has 1000 proposals in each box head and 100 in each mask head, the rule of
    the field's tables.
    """
    # Built on the CPU first: MMPretrain's ConvNeXt and others read numbers while they are made.
    model = build_model(cfg).eval().to('meta')
    if deploy:
        for backbone in find_spanetv2(model).values():
            backbone.switch_to_deploy()
    images = torch.empty(1, 3, *shape, device='meta')
    return count_costs(model, partial(_forward, model, images))


def _forward(model: Any, images: Tensor) -> Any:
    """All that a test does with ``images``, (1, 3, H, W), but for post-processing."""
    if not hasattr(model, 'roi_head'):
        return model(images, mode='tensor')
    maps = model.extract_feat(images)
    model.rpn_head(maps)
    roi_head = model.roi_head
    for box_head in _stages(roi_head.bbox_head):
        box_head(images.new_empty(PROPOSALS, box_head.in_channels, *box_head.roi_feat_size))
    if roi_head.with_mask:
        for mask_head, extractor in zip(
            _stages(roi_head.mask_head), _stages(roi_head.mask_roi_extractor), strict=True
        ):
            side = extractor.roi_layers[0].output_size
            mask_head(images.new_empty(MASKS, mask_head.in_channels, *side))
    return maps


def _stages(part: Any) -> list[Any]:
    """The stages of a cascade's part; the part itself in a plain head."""
    return list(part) if isinstance(part, nn.ModuleList) else [part]


class _Call(nn.Module):
    """A root over the model, so that each of its parts is known by its path when it is called."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, run: Callable[[], Any]) -> Any:
        return run()


def _params(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _by_kind(flops: dict[Any, int]) -> dict[str, int]:
    macs = dict.fromkeys(KINDS, 0)
    for op, count in flops.items():
        if op in _ATTENTION:
            kind = 'attention products'
        elif op in _FFT:
            kind = 'FFT'
        elif op is aten.native_layer_norm:
            kind = 'LayerNorm'
        elif op in _OTHER:
            kind = 'other'
        else:
            kind = 'linear and convolution'
        macs[kind] += count // 2
    return macs


def _formulas() -> dict[Any, Callable[..., int]]:
    attention = {op: _sdpa for op in _ATTENTION if op not in (aten.bmm, aten.baddbmm)}
    other = {op: _per_element(weight) for op, weight in _OTHER.items()}
    return {
        **attention,
        **other,
        aten.native_layer_norm: _per_element(10),
        aten._fft_r2c: _r2c,
        aten._fft_c2r: _c2r,
        aten._fft_c2c: _c2c,
    }


def _sdpa(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _per_element(weight: int) -> Callable[..., int]:
    def count(*_: Any, out_shape: Any = None, **__: Any) -> int:
        first = out_shape[0] if isinstance(out_shape, (tuple, list)) else out_shape
        return weight * math.prod(out_shape if isinstance(first, int) else first or ())

    return count


def _r2c(shape: Any, dims: Iterable[int], *_: Any, **__: Any) -> int:
    return _transform(2.5, shape, dims)


def _c2r(_shape: Any, dims: Iterable[int], *_: Any, out_shape: Any = None, **__: Any) -> int:
    return _transform(2.5, out_shape, dims)


def _c2c(shape: Any, dims: Iterable[int], *_: Any, **__: Any) -> int:
    return _transform(5.0, shape, dims)


def _transform(factor: float, shape: Any, dims: Iterable[int]) -> int:
    points = math.prod(shape[d] for d in dims)
    return round(factor * math.prod(shape) * math.log2(max(points, 2)))
