"""A file backend that never leaves a half-written file under its final name."""

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmspanet.errors import WriteError


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
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f'.{path.name}.part')  # a resumed run writes over it
        try:
            with open(temporary, 'wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise WriteError(
                f'{path} could not be written ({error.strerror}): files written before are '
                'untouched; make room, and go on with --resume.'
            ) from error
