"""What ``init_cfg`` and ``load_from`` take beyond MMEngine: ``spanetv2://NAME`` and safetensors."""

from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from .reader import read_checkpoint
from .sources import SCHEME, local_file

# A pattern from the start of the name. MMEngine tries them in falling order of the alphabet, so
# this one comes before http:// and the one for paths, whose loaders can't read safetensors.
PATTERN = rf'{SCHEME}|.*\.safetensors$'


@CheckpointLoader.register_scheme(prefixes=PATTERN)
def load_from_release(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a checkpoint for MMEngine; tensors are on the CPU, whatever ``map_location``.

    Args:
        filename: ``spanetv2://NAME``, or the path or URL of a ``.safetensors`` file.
        map_location: Without effect.

    Raises:
        InputError: If there is no such file or name, or if it can not be downloaded.
        CheckpointError: If the file is not what it should be.
    """
    return read_checkpoint(local_file(filename))
