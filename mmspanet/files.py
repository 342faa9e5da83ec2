"""Files that hold all of what was written to them, or what they held before."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mmspanet.errors import WriteError

# What a file system answers that has no locks: one writes without them there, as everyone does.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)

_REMEDIES = {
    errno.ENOSPC: 'the disk is full: make room',
    errno.EDQUOT: 'your quota of the disk is used up: make room',
    errno.EFBIG: 'it is larger than a file may be here: make room, or raise ulimit -f',
    errno.EROFS: 'the disk can only be read: give another place',
    errno.EACCES: 'you may not write there: give another place, or change its permissions',
    errno.EPERM: 'you may not write there: give another place, or change its permissions',
    errno.EISDIR: 'it is a folder: give the path of a file',
    errno.ENOTDIR: 'a part of its path is a file, not a folder: give another place',
    errno.EEXIST: 'a part of its path is a file, not a folder: give another place',
    errno.ENAMETOOLONG: 'its name is too long: give a shorter one',
    errno.EBUSY: 'another program is writing the same file: give each its own',
    errno.ENOENT: 'its folder was removed meanwhile',
}


@contextmanager
def open_for_replacement(path: str | Path, mode: str = 'wb', **options: Any) -> Iterator[IO[Any]]:
    """Open a file beside ``path`` that is renamed to ``path`` once all of it is on the disk.

    If the block raises, the new file is removed, and what was at ``path`` stays.

    Args:
        path: The file to write; its folder is made.
        mode: ``'wb'`` or ``'w'``.
        options: As of :func:`open`, such as ``newline``.

    Yields:
        The open file.

    Raises:
        WriteError: If the file can't be written, such as on a full disk, or because another
            process is writing it.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    temporary = path.with_name(f'.{path.name}.part')  # one that a kill left is written over
    with write_errors(path):
        if path.exists() and not path.is_file():  # a device such as /dev/null, or a folder
            with open(path, mode, **options) as file:
                yield file
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = lock(temporary, wait=False)
        if descriptor is None:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        try:
            os.ftruncate(descriptor, 0)
            with open(descriptor, mode, closefd=False, **options) as file:
                yield file
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Replace a file's content as :func:`open_for_replacement` does."""
    with open_for_replacement(path) as file:
        file.write(content)


def write_text(path: str | Path, content: str) -> None:
    """Replace a file's content, UTF-8, as :func:`open_for_replacement` does."""
    with open_for_replacement(path, 'w', encoding='utf-8') as file:
        file.write(content)


def append_under_lock(path: str | Path, text: str, heading: str = '') -> None:
    """Add ``text`` to the end of a file; of several processes that do so, one after the other.

    Args:
        path: The file; its folder is made.
        text: What to add.
        heading: What a new file begins with.

    Raises:
        WriteError: If it can't be written; the file is then as it was.
    """
    path = Path(path)
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = lock(path, wait=True)
        assert descriptor is not None
        try:
            before = path.read_text(encoding='utf-8')
            write_text(path, (before or heading) + text)
        except BaseException:
            if path.stat().st_size == 0:
                path.unlink()
            raise
        finally:
            os.close(descriptor)


def lock(path: Path, wait: bool) -> int | None:
    """Open a file, made if it is not there, and lock it until its descriptor is closed.

    The lock ends with the process, whatever ends it. A process that is forked meanwhile holds
    it, too.

    Args:
        path: The file.
        wait: Wait while another process has it.

    Returns:
        The descriptor; None if another process has the lock, and ``wait`` is not set.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
        # Its last owner may have renamed or removed it before we got the lock.
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
        os.close(descriptor)


def make_folder(path: str | Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises:
        WriteError: If it can't be made.
    """
    with write_errors(Path(path)):
        Path(path).mkdir(parents=True, exist_ok=True)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn errors of the system while ``path`` is written into a WriteError with its remedy."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, 'check the disk and its permissions')
        raise WriteError(
            f'{path} could not be written ({error.strerror or error}): {remedy}; '
            'what was there before is untouched.'
        ) from error
