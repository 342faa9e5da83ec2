"""What is exported of each kind of model: modules with tensors in and tensors out.

Images are (B, 3, H, W), float32, normalized as the config's data preprocessor does it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmspanet.errors import InputError

from .filters import replace_filters
from .layers import rewrite_layers
from .pooling import free_pools

# What the heads of one-stage detectors return, a list of maps by level each; those of other heads
# are only numbered.
OUTPUTS_OF_HEADS = dict(
    RetinaHead=('cls_score', 'bbox_pred'),
    RTMDetHead=('cls_score', 'bbox_pred'),
    RTMDetSepBNHead=('cls_score', 'bbox_pred'),
    GFLHead=('cls_score', 'bbox_pred'),
    ATSSHead=('cls_score', 'bbox_pred', 'centerness'),
    FCOSHead=('cls_score', 'bbox_pred', 'centerness'),
)


@dataclass
class Part:
    """One graph: a module, an example of its inputs, and the names of what goes in and out."""

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]


class Segmentor(nn.Module):
    """Logits of an EncoderDecoder, (B, classes, H, W), as large as the images.

    The whole image passes at once: with ``test_cfg.mode='slide'``, export at the crop's size
    and slide outside.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of images (B, 3, H, W)."""
        meta = dict(img_shape=images.shape[2:])
        return self.model.encode_decode(images, [meta])


class Classifier(nn.Module):
    """Logits of an ImageClassifier, (B, classes)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 3, H, W)."""
        return self.model(images)


class DenseHead(nn.Module):
    """The raw maps of a one-stage detector's head, level by level: what its ``forward`` returns."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps of the head, kind by kind and level by level, of images (B, 3, H, W)."""
        return tuple(
            m for kind in self.model.bbox_head(self.model.extract_feat(images)) for m in kind
        )


class Proposals(nn.Module):
    """The neck's maps and, for each of its levels, the RPN's scores and boxes of all anchors.

    The outputs are the L maps (B, C, H / stride, W / stride), then L scores (B, anchors), sigmoid
    taken, then L boxes (B, anchors, 4): x1, y1, x2, y2 in pixels of the input, clipped to it.
    """

    def __init__(self, model: Any, size: tuple[int, int]) -> None:
        super().__init__()
        self.model = model
        self.size = size

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Proposals and pyramid levels of one image (1, 3, H, W)."""
        levels = self.model.extract_feat(images)
        head = self.model.rpn_head
        logits, deltas = head(levels)
        anchors = head.prior_generator.grid_priors([m.shape[2:] for m in logits], device='cpu')
        scores = [per_anchor(m, 1)[..., 0].sigmoid() for m in logits]
        boxes = [
            self._decode(level_anchors, per_anchor(m, 4))
            for level_anchors, m in zip(anchors, deltas, strict=True)
        ]
        return (*levels, *scores, *boxes)

    def _decode(self, anchors: Tensor, deltas: Tensor) -> Tensor:
        coder = self.model.rpn_head.bbox_coder
        flat_anchors = anchors.expand(deltas.shape[0], -1, -1).reshape(-1, 4)
        boxes = coder.decode(flat_anchors, deltas.reshape(-1, 4), max_shape=self.size)
        return boxes.reshape(deltas.shape)


class RegionHead(nn.Module):
    """RoIAlign over the levels by the size of the region; the head's part is the subclass's.

    ``levels`` are the first maps of :class:`Proposals`; ``rois`` is (R, 5): the image's index in
    the batch, then x1, y1, x2, y2 in pixels of the input.
    """

    def __init__(self, extractor: Any, head: Any) -> None:
        super().__init__()
        self.extractor = extractor
        self.head = head
        for layer in extractor.roi_layers:
            layer.use_torchvision = True  # the same function, and one that ONNX knows

    def regions(self, rois: Tensor, levels: tuple[Tensor, ...]) -> Tensor:
        """Features of the regions, (R, C, h, w); the RPN may have further levels."""
        levels = levels[: self.extractor.num_inputs]
        wanted = self.extractor.map_roi_levels(rois, len(levels))
        pooled = torch.zeros(())
        for i, (layer, level) in enumerate(zip(self.extractor.roi_layers, levels, strict=True)):
            mine = (wanted == i).to(rois.dtype)[:, None]
            # Regions of other levels shrink to a point, so that each is sampled on one level only.
            pooled = pooled + layer(level, rois * mine) * mine[..., None, None]
        return pooled


class CascadeBoxHead(RegionHead):
    """A stage's class logits (R, classes + 1), background last; boxes (R, classes, 4) in pixels.

    A head whose boxes are the same for all classes gives (R, 1, 4).
    """

    def __init__(self, extractor: Any, head: Any, size: tuple[int, int]) -> None:
        super().__init__(extractor, head)
        self.size = size

    def forward(self, rois: Tensor, *levels: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits and boxes of regions (R, 5)."""
        logits, deltas = self.head(self.regions(rois, levels))
        boxes = self.head.bbox_coder.decode(rois[:, 1:], deltas, max_shape=self.size)
        return logits, boxes.unflatten(1, (-1, 4))


class BoxHead(CascadeBoxHead):
    """Class probabilities (R, classes + 1), background last; boxes (R, classes, 4) in pixels."""

    def forward(self, rois: Tensor, *levels: Tensor) -> tuple[Tensor, Tensor]:
        """Class probabilities and boxes of regions (R, 5)."""
        logits, boxes = super().forward(rois, *levels)
        return logits.softmax(dim=-1), boxes


class MaskHead(RegionHead):
    """Mask probabilities, (R, classes, h, w)."""

    def forward(self, rois: Tensor, *levels: Tensor) -> Tensor:
        """Mask probabilities of regions (R, 5)."""
        return self.head(self.regions(rois, levels)).sigmoid()


def prepare(model: Any, size: tuple[int, int] | None, spectral: str = 'matrices') -> None:
    """Bring a model, in place, into the form for graphs: deployed, filters and layers rewritten.

    Args:
        model: The model.
        size: Height and width of the backbone's images; None leaves them free.
        spectral: How filters are written, a key of :data:`mmspanet.deployment.filters.SPECTRAL`.
    """
    model.eval()
    model.backbone.switch_to_deploy()
    replace_filters(model.backbone, size, spectral)
    rewrite_layers(model.backbone)
    if size is None:
        free_pools(model)


def end2end_parts(model: Any, size: tuple[int, int], batch: int) -> list[Part]:
    """The one graph of a whole model, for images of (H, W) = ``size``.

    Raises:
        InputError: If no sound graph is known for a model of this kind.
    """
    from .end2end import end2end

    module = end2end(model)
    inputs = dict(images=torch.randint(256, (batch, *size, 3), dtype=torch.uint8))
    if 'boxes' in module.outputs:
        inputs['sizes'] = torch.tensor(size).expand(batch, 2).clone()
    return [Part('end2end', module, inputs, list(module.outputs))]


def backbone_parts(model: Any, size: tuple[int, int], batch: int) -> list[Part]:
    """The graph of the backbone alone: its maps, one per entry of out_indices."""
    names = [f'stage{i + 1}' for i in model.backbone.out_indices]
    return [Part('backbone', model.backbone, _images(size, batch), names)]


def model_parts(model: Any, size: tuple[int, int], batch: int) -> list[Part]:
    """The graphs of a whole model, for images of (H, W) = ``size``.

    Raises:
        InputError: If no sound graph is known for a model of this kind.
    """
    images = _images(size, batch)
    if hasattr(model, 'decode_head'):
        return [Part('segmentor', Segmentor(model), images, ['logits'])]
    if hasattr(model, 'rpn_head'):
        return _two_stage_parts(model, size, images)
    if hasattr(model, 'bbox_head') and not hasattr(model, 'encoder'):
        return [Part('detector', DenseHead(model), images, _names_of_maps(model, images))]
    if hasattr(model, 'head'):
        return [Part('classifier', Classifier(model), images, ['logits'])]
    raise InputError(
        f'{type(model).__name__} has no graph that ONNX can hold: export its backbone with '
        '--part backbone.'
    )


def _names_of_maps(model: Any, images: dict[str, Tensor]) -> list[str]:
    with torch.no_grad():
        kinds = model.bbox_head(model.extract_feat(images['images']))
    known = OUTPUTS_OF_HEADS.get(type(model.bbox_head).__name__, ())
    labels = [*known, *(f'output{i}_level' for i in range(len(known), len(kinds)))]
    return [f'{k}{i}' for k, maps in zip(labels, kinds, strict=True) for i in range(len(maps))]


def _two_stage_parts(model: Any, size: tuple[int, int], images: dict[str, Tensor]) -> list[Part]:
    with torch.no_grad():
        levels = model.extract_feat(images['images'])
    names = [f'{kind}{i}' for kind in ('level', 'scores', 'boxes') for i in range(len(levels))]
    parts = [Part('proposals', Proposals(model, size), images, names)]
    return parts + _head_parts(model.roi_head, size, levels, len(images['images']))


def _head_parts(
    roi_head: Any, size: tuple[int, int], levels: tuple[Tensor, ...], batch: int
) -> list[Part]:
    """The heads behind the proposals; those of a cascade stage by stage."""
    from mmdet.models.roi_heads import CascadeRoIHead

    cascade = type(roi_head) is CascadeRoIHead
    if isinstance(roi_head.bbox_head, nn.ModuleList) and not cascade:
        return []  # its subclasses have other steps between the stages
    extractors = stages_of(roi_head.bbox_roi_extractor)
    used = levels[: extractors[0].num_inputs]
    inputs = dict(rois=_example_rois(size, batch))
    inputs |= {f'level{i}': level for i, level in enumerate(used)}
    box_head, scores = (CascadeBoxHead, 'logits') if cascade else (BoxHead, 'probabilities')
    numbers = range(1, len(extractors) + 1) if cascade else ['']
    parts = [
        Part(f'box_head{n}', box_head(extractor, head, size), inputs, [scores, 'boxes'])
        for n, extractor, head in zip(
            numbers, extractors, stages_of(roi_head.bbox_head), strict=True
        )
    ]
    if not roi_head.with_mask:
        return parts
    extractors = stages_of(roi_head.mask_roi_extractor)
    return parts + [
        Part(f'mask_head{n}', MaskHead(extractor, head), inputs, ['masks'])
        for n, extractor, head in zip(
            numbers, extractors, stages_of(roi_head.mask_head), strict=True
        )
    ]


def stages_of(heads: Any) -> list[Any]:
    """The heads of a cascade, or the only one."""
    return list(heads) if isinstance(heads, nn.ModuleList) else [heads]


def _images(size: tuple[int, int], batch: int) -> dict[str, Tensor]:
    return dict(images=torch.randn(batch, 3, *size))


def _example_rois(size: tuple[int, int], batch: int) -> Tensor:
    """Regions of all sizes, for every level, in every image of the batch."""
    count = 16
    whole = torch.tensor([size[1], size[0]], dtype=torch.float32)
    corners = torch.rand(count, 2) * whole / 2
    sides = torch.rand(count, 2) ** 2 * whole / 2 + 1
    index = torch.arange(count).remainder(batch).float()[:, None]
    return torch.cat([index, corners, corners + sides], dim=1)


def per_anchor(maps: Tensor, values: int) -> Tensor:
    """(B, A * values, H, W) -> (B, H * W * A, values), the order of the anchors."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, values)
