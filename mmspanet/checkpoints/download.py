"""Downloading a file, going on from where an earlier try broke off.

Of the libraries at hand torch.hub, MMEngine and pooch begin anew; huggingface_hub goes on without
asking whether the file is still the same. This asks as HTTP has it, with ``If-Range``.
"""

import http.client
import json
import os
import re
import sys
import urllib.request
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from mmspanet.errors import CheckpointError, InputError, WriteError
from mmspanet.files import lock, write_errors, write_text

from .publish import file_hash

LARGEST_DOWNLOAD = 8 * 2**30  # bytes; the largest training checkpoint of ours has under 2 GiB
TIMEOUT = 30  # seconds without an answer
# As torch.hub and tools/model_converters/publish.py name files. Dates look like it, too.
HASH_IN_NAME = re.compile(r'.*-(?!20\d{6}\.)([0-9a-f]{8})\.\w+')
VERSION_HEADERS = ('ETag', 'Last-Modified')


def download(url: str, path: Path, size: int | None = None) -> None:
    """Download a file to ``path``, which is there whole or not at all.

    What has come stays in ``PATH.part``, with a note of the file's version in ``PATH.part.json``.
    The next call asks for the rest, and begins anew where the server has no parts or the file has
    changed. Of several processes that ask for the same file, one downloads it.

    Args:
        url: ``http://`` or ``https://``.
        path: Where to put it; its folder is made.
        size: In bytes, where it is known.

    Raises:
        InputError: If it can't be downloaded, or broke off.
        WriteError: If the disk does not take it.
        CheckpointError: If it is larger than any checkpoint, not of the size that is known, or not
            of the SHA-256 that its name says.
    """
    partial = path.with_name(f'{path.name}.part')
    note = path.with_name(f'{path.name}.part.json')
    try:
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = lock(partial, wait=True)
        assert descriptor is not None
        try:
            if not path.is_file():  # another process may have got it meanwhile
                with open(descriptor, 'r+b', closefd=False) as out:
                    _fetch(url, path, out, note, size)
                    with write_errors(path):
                        os.fsync(descriptor)
                check_hash(partial, _name(url))
                os.replace(partial, path)
        except CheckpointError:
            os.truncate(partial, 0)
            raise
        finally:
            if not partial.exists() or partial.stat().st_size == 0:
                partial.unlink(missing_ok=True)
                note.unlink(missing_ok=True)
            os.close(descriptor)
    except (InputError, WriteError):
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError
        raise InputError(f'{url} could not be downloaded ({error}).') from error


def _fetch(url: str, path: Path, out: IO[bytes], note: Path, size: int | None) -> None:
    """Bring the open file, which may hold the beginning, to its end."""
    have = out.seek(0, os.SEEK_END)
    version = json.loads(note.read_text(encoding='utf-8')) if note.is_file() else {}
    answer, start = _ask(url, have, version)
    with answer:
        total = _total(answer, start)
        if total > LARGEST_DOWNLOAD:
            raise CheckpointError(
                f'{url} has {total / 2**30:.0f} GiB, more than any checkpoint: it is not read.'
            )
        if size and total and total != size:
            raise CheckpointError(
                f'{url} has {total:,} bytes, the published file {size:,}: it is another file.'
            )
        if start == 0:
            out.truncate(0)
            version = {name: answer.headers[name] for name in VERSION_HEADERS}
            write_text(note, json.dumps(version))
        out.seek(start)
        try:
            _copy(answer, out, url, path, start, total)
        except WriteError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise _broke_off(url, out.tell(), total) from error
    end = out.tell()
    if end < (total or size or 0):
        raise _broke_off(url, end, total or size or 0)
    if size and end != size:
        raise CheckpointError(f'{url} has {end:,} bytes, the published file {size:,}.')


def _ask(url: str, have: int, version: dict[str, str | None]) -> tuple[Any, int]:
    """The server's answer, and the place in the file that its first byte is of."""
    condition = _condition(version)
    if have and condition:
        headers = {'Range': f'bytes={have}-', 'If-Range': condition}
        request = urllib.request.Request(url, headers=headers)
        try:
            answer = urllib.request.urlopen(request, timeout=TIMEOUT)
        except HTTPError as error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
        else:
            if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
                return answer, 0
            if _goes_on(answer, have, version):
                return answer, have
            answer.close()
    return urllib.request.urlopen(url, timeout=TIMEOUT), 0


def _condition(version: dict[str, str | None]) -> str | None:
    """What ``If-Range`` takes: a strong tag, or a date."""
    tag = version.get('ETag')
    return tag if tag and not tag.startswith('W/') else version.get('Last-Modified')


def _goes_on(answer: Any, have: int, version: dict[str, str | None]) -> bool:
    """Whether an answer is the rest of the same file; not every server minds ``If-Range``."""
    same = all(answer.headers[name] in (version.get(name), None) for name in VERSION_HEADERS)
    return same and str(answer.headers['Content-Range']).startswith(f'bytes {have}-')


def _total(answer: Any, start: int) -> int:
    """The size of the whole file in bytes; 0 where the server does not say it."""
    if start:
        total = answer.headers['Content-Range'].rpartition('/')[2]
        return int(total) if total.isdecimal() else 0
    return int(answer.headers['Content-Length'] or 0)


def _copy(answer: Any, out: IO[bytes], url: str, path: Path, start: int, total: int) -> None:
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(_name(url), total=total or None, completed=start)
        while chunk := answer.read(1 << 20):
            if out.tell() + len(chunk) > LARGEST_DOWNLOAD:
                raise CheckpointError(f'{url} is larger than any checkpoint: it is not read.')
            with write_errors(path):
                out.write(chunk)
                out.flush()
            progress.advance(task, len(chunk))


def _broke_off(url: str, end: int, total: int) -> InputError:
    of = f' of {total:,}' if total else ''
    return InputError(
        f'{url} broke off after {end:,}{of} bytes: try again, it goes on from there if it can.'
    )


def _name(url: str) -> str:
    return Path(unquote(urlsplit(url).path)).name


def check_hash(file: Path, name: str) -> None:
    """Check the first digits of the SHA-256 that a file's name ends with, where it has some.

    Args:
        file: The file.
        name: Its published name, such as ``model-1a2b3c4d.pth``.

    Raises:
        CheckpointError: If the content has another SHA-256.
    """
    named = HASH_IN_NAME.fullmatch(name)
    found = file_hash(file) if named else None
    if named and found != named[1]:
        raise CheckpointError(
            f'{name} has a SHA-256 of {found}..., its name says {named[1]}: it was changed or '
            'damaged, get it again.'
        )
