"""Large images, cut into tiles that overlap."""

from collections.abc import Sequence

import numpy as np

from mmspanet.errors import InputError
from mmspanet.runtime.models import Detector, ends
from mmspanet.runtime.results import Detections

COVERED = 0.5  # of the smaller box; what the edge of a tile has cut is a part of the whole box


class TiledDetector(Detector):
    """A detector that sees a large image tile by tile, each at the size of a whole image.

    What one tile found is dropped where another has a better box of the same class over it.

    Args:
        detector: The model.
        side: Height and width of a tile in pixels of the image.
        overlap: Of neighboring tiles, in pixels: at least the size of the objects, so that each is
            whole in one tile.

    Raises:
        InputError: If tiles would overlap by their whole side or more.
    """

    def __init__(self, detector: Detector, side: int, overlap: int):
        super().__init__(detector.session, detector.notes)
        if not 0 <= overlap < side:
            raise InputError(f'The overlap of {overlap} pixels is not below the tile of {side}.')
        self.side, self.overlap = side, overlap

    def batch(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """See :meth:`mmspanet.runtime.models.Model.batch`."""
        return [self._whole(image) for image in images]

    def _whole(self, image: np.ndarray) -> Detections:
        size = (image.shape[0], image.shape[1])
        below, right = (ends(n, self.side, self.side - self.overlap) for n in size)
        corners = [(max(y - self.side, 0), max(x - self.side, 0)) for y in below for x in right]
        found = []
        for top, left in corners:  # one at a time, for the memory
            tile = np.ascontiguousarray(image[top : top + self.side, left : left + self.side])
            found += super().batch([tile])
        return merge(found, corners, size)


def merge(
    found: Sequence[Detections], corners: Sequence[tuple[int, int]], size: tuple[int, int]
) -> Detections:
    """Put the detections of tiles together, best first.

    A box goes if a better one of the same class and of another tile covers :data:`COVERED` of the
    smaller of both: non-maximum suppression by the intersection over the smaller area, as the
    part of an object that a tile has cut has a low IoU with the whole.

    Args:
        found: By tile, in the tile's coordinates.
        corners: Top and left of each tile in pixels.
        size: Height and width of the image.
    """
    tiles = np.concatenate([np.full(len(one), i) for i, one in enumerate(found)])
    shifts = np.repeat(np.array(corners, np.float32)[:, ::-1], [len(one) for one in found], axis=0)
    boxes = np.concatenate([one.boxes for one in found]) + np.tile(shifts, 2)
    parts = [one.box_masks for one in found]
    together = Detections(
        size=size,
        boxes=boxes,
        scores=np.concatenate([one.scores for one in found]),
        labels=np.concatenate([one.labels for one in found]),
        names=found[0].names,
        box_masks=None if parts[0] is None else np.concatenate(parts),  # type: ignore[arg-type]
        mask_threshold=found[0].mask_threshold,
    )
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    order = np.lexsort((-areas, -together.scores))  # of equal scores, the box that is not cut
    together, tiles = together[order], tiles[order]
    stays = np.ones(len(together), bool)
    for i in range(len(together)):
        if stays[i]:
            covered = _share_of_smaller(together.boxes[i], together.boxes) >= COVERED
            rivals = (together.labels == together.labels[i]) & (tiles != tiles[i])
            stays[i + 1 :] &= ~(covered & rivals)[i + 1 :]
    return together[stays]


def _share_of_smaller(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection of a box with each of N over the area of the smaller of both: (N,)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return shared / np.maximum(np.minimum(area, areas), np.finfo(np.float32).tiny)
