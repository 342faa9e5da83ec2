"""A file backend that never leaves a half-written file under its final name."""

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend


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
            OSError: If they can't be written, such as on a full disk.
        """
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f'.{path.name}.{os.getpid()}')
        try:
            with open(temporary, 'wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
