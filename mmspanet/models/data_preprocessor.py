"""Random erasing behind MMPretrain's mixup and cutmix.

A module of its own that the ImageNet configs name in full, as it needs MMPretrain.
"""

from typing import Any

from mmpretrain.models import ClsDataPreprocessor
from torchvision.transforms import RandomErasing


class ErasingDataPreprocessor(ClsDataPreprocessor):
    """MMPretrain's data preprocessor, with random erasing as the last step of training.

    timm's training loop erases on the normalized batch, after mixup or cutmix. MMPretrain's own
    ``RandomErasing`` is a step of the pipeline: it comes before them, fades in the mixture, and
    its noise is clipped to the range of pixels.

    Args:
        erasing: Options of :class:`torchvision.transforms.RandomErasing`.
        kwargs: Options of MMPretrain's ``ClsDataPreprocessor``.
    """

    def __init__(self, erasing: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.erase = RandomErasing(**erasing, inplace=True)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalize and mix a batch, and erase a rectangle of some of its images in training.

        Args:
            data: What the loader gives: ``inputs``, (B, 3, H, W) or B images of (3, H, W), and
                ``data_samples``.
            training: Whether to mix and erase.

        Returns:
            The same keys: ``inputs``, (B, 3, H, W) float32, and ``data_samples``.
        """
        data = super().forward(data, training)
        if training:
            for image in data['inputs']:
                self.erase(image)
        return data
