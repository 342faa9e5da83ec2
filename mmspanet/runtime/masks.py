"""Masks of boxes, pasted into their image and encoded as COCO does."""

import numpy as np


def paste(
    probabilities: np.ndarray, box: np.ndarray, size: tuple[int, int], threshold: float
) -> np.ndarray:
    """Sample a box's mask at the centers of an image's pixels, as MMDetection does.

    Sampling is bilinear, with zero beyond the mask: MMDetection's ``_do_paste_mask``, whose
    ``grid_sample`` is here a product with the weights of the rows and of the columns.

    Args:
        probabilities: Of the box, float32 of shape (h, w).
        box: x1, y1, x2, y2 in pixels of the image.
        size: Height and width of the image.
        threshold: Lowest probability that is part of the mask.

    Returns:
        The mask, bool of shape (H, W).
    """
    mask = np.zeros(size, bool)
    x1, y1, x2, y2 = map(np.float32, box)
    # Around the box alone; beyond it the mask is empty, unless the threshold is 0.
    left, top = (max(int(np.floor(edge)) - 1, 0) for edge in (x1, y1))
    right, bottom = (min(int(np.ceil(n)) + 1, s) for n, s in zip((x2, y2), size[::-1], strict=True))
    if right <= left or bottom <= top:
        return mask
    rows = _weights(np.arange(top, bottom), y1, y2, probabilities.shape[0])
    columns = _weights(np.arange(left, right), x1, x2, probabilities.shape[1])
    mask[top:bottom, left:right] = rows @ probabilities @ columns.T >= threshold
    return mask


def _weights(pixels: np.ndarray, start: np.float32, end: np.float32, count: int) -> np.ndarray:
    """Weight of each of ``count`` cells between two edges for each pixel: (pixels, count)."""
    with np.errstate(divide='ignore', invalid='ignore'):
        places = (pixels.astype(np.float32) + np.float32(0.5) - start) / (end - start)
    places = np.where(np.isfinite(places), places, np.float32(0.5))  # of a box without extent
    distances = np.abs(places[:, None] * count - np.float32(0.5) - np.arange(count))
    return np.maximum(1 - distances, 0, dtype=np.float32)


def encode(mask: np.ndarray) -> dict[str, list[int] | str]:
    """Encode a mask as COCO's compressed run lengths, which pycocotools reads.

    Runs go down the columns and begin with one of zeros. From the fourth on, each is stored as its
    difference to the run two before it: five bits a character, lowest first, with a sixth where
    more follow, and the character 48 for zero (``rleToString`` of pycocotools).

    Args:
        mask: bool of shape (H, W).

    Returns:
        ``size``, height and width, and ``counts``, as text.
    """
    flat = mask.ravel(order='F')
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
    counts = [0, *runs.tolist()] if flat.size and flat[0] else runs.tolist()
    text = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text.append(chr((bits | 0x20 if more else bits) + 48))
    return dict(size=list(mask.shape), counts=''.join(text))
