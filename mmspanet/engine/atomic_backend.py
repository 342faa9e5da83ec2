"""A file backend that never leaves a half-written file under its final name."""

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmspanet.files import write_bytes


@register_backend('atomic')
class AtomicBackend(LocalBackend):
    """Local files, written beside their place and renamed into it once they are on the disk.

    MMEngine's own backend writes in place, so a kill or a full disk in the middle leaves a
    cut file under a checkpoint's name. Chosen in a config by
    ``checkpoint=dict(backend_args=dict(backend='atomic'))``.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, which holds either all of them or what it held before.

        Raises:
            WriteError: If they can't be written, such as on a full disk.
        """
        write_bytes(filepath, obj)
