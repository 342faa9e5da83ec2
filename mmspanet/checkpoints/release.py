"""The authors' published ImageNet weights in ``init_cfg`` and ``load_from``: ``spanetv2://ARCH``."""

from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from .reader import read_checkpoint
from .sources import SCHEME, local_file


@CheckpointLoader.register_scheme(prefixes=SCHEME)
def load_from_release(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load ``spanetv2://ARCH`` for MMEngine; tensors are on the CPU, whatever ``map_location``.

    Raises:
        InputError: If no file is known for the name, or if it can not be downloaded.
        CheckpointError: If the file is not what it should be.
    """
    return read_checkpoint(local_file(filename))
