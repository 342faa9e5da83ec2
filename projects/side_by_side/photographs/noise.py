"""Noise of one band of frequencies on the images of a test."""

import zlib

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

# Radial frequency in cycles per pixel; 0.5 is Nyquist along an axis, 0.71 along the diagonal.
BANDS = dict(low=(0.0, 1 / 16), band=(1 / 16, 1 / 4), high=(1 / 4, 1.0))
STRENGTHS = (4.0, 8.0, 16.0, 32.0, 64.0)  # root mean square, of pixel values from 0 to 255


def band_noise(
    shape: tuple[int, int, int], band: str, generator: np.random.Generator
) -> np.ndarray:
    """White Gaussian noise of which one band is left, (H, W, C) float64 of root mean square 1."""
    low, high = BANDS[band]
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    radius = np.hypot(rows, columns)
    spectrum = np.fft.rfft2(generator.standard_normal(shape), axes=(0, 1))
    spectrum *= ((radius >= low) & (radius < high) & (radius > 0))[..., None]
    noise = np.fft.irfft2(spectrum, shape[:2], axes=(0, 1))
    return noise / np.sqrt((noise**2).mean())


@TRANSFORMS.register_module()
class BandNoise(BaseTransform):
    """Add noise of one band of frequencies to the image, the same for every model.

    Args:
        band: Key of :data:`BANDS`.
        strength: Root mean square of the noise. Values are not clipped: dark images would lose
            half of it, and what is left would have other frequencies.
    """

    def __init__(self, band: str, strength: float) -> None:
        self.band = band
        self.strength = strength

    def transform(self, results: dict) -> dict:
        """Change ``results['img']``, (H, W, 3), to float32; ``img_path`` seeds the noise."""
        image = results['img']
        name = results['img_path'].rpartition('/')[2]
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        noise = band_noise(image.shape, self.band, generator)
        results['img'] = (image + self.strength * noise).astype(np.float32)
        return results
