"""Where a checkpoint comes from: a path, a URL, or a name such as ``spanetv2://s18-pure``.

Whatever the source, what is read in the end is a file on the disk, so every check of a file holds
for all of them.
"""

import hashlib
import os
import sys
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from mmspanet.errors import CheckpointError, InputError

SCHEME = 'spanetv2://'
FOLDER = Path('checkpoints')
RELEASE = 'https://github.com/DoranLyong/SPANetV2-official/releases/download/ImageNet-1K/'

# As the authors' configs name them; of M36 and B36-hybrid, whose names were not seen, by analogy.
FILES = {
    f'{size}-{family}': f'spanetv2_{size}_{infix}_res-scale_Full-ExSPAM.pth'
    for size in ('s18', 's36', 'm36', 'b36')
    for family, infix in (('pure', 'pure'), ('hybrid', 'hybrid_k7'))
}

LARGEST_DOWNLOAD = 8 * 2**30  # bytes; the largest training checkpoint of ours has under 2 GiB
TIMEOUT = 30  # seconds without an answer


def local_file(source: str | Path) -> Path:
    """Give the file of a checkpoint, downloaded first where the source is not on this machine.

    Args:
        source: A path, ``file://PATH``, ``http(s)://...``, or ``spanetv2://ARCH`` for the
            authors' published ImageNet weights, which are looked for in ``checkpoints/`` first.

    Raises:
        InputError: If there is no such file or name, or if it can not be downloaded.
    """
    text = str(source)
    if text.startswith(SCHEME):
        return _release_file(text)
    if text.startswith('file://'):
        text = unquote(urlsplit(text).path)
    if text.startswith(('http://', 'https://')):
        return _download(text)
    if not Path(text).is_file():
        raise InputError(
            f'The checkpoint {source} does not exist: give the path of a .pth file or its URL.'
        )
    return Path(text)


def cache_path(url: str) -> Path:
    """The file that a URL is downloaded to: its name, behind a hash of the whole URL."""
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    name = Path(unquote(urlsplit(url).path)).name or 'checkpoint'
    return cache / 'mmspanet' / 'checkpoints' / f'{digest}-{name[-100:]}'


def _release_file(source: str) -> Path:
    arch = source.removeprefix(SCHEME)
    if arch not in FILES:
        raise InputError(f'{source} is not published: there are files for {", ".join(FILES)}.')
    local = FOLDER / FILES[arch]
    if local.is_file():
        return local
    try:
        return _download(RELEASE + FILES[arch])
    except InputError as error:
        raise InputError(
            f'{error} Download it elsewhere and put it at {local}, or train from scratch with '
            '--cfg-options model.backbone.init_cfg=None.'
        ) from error


def _download(url: str) -> Path:
    path = cache_path(url)
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.{os.getpid()}.part')  # several processes may load it
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            size = int(answer.headers.get('Content-Length') or 0)
            if size > LARGEST_DOWNLOAD:
                raise CheckpointError(
                    f'{url} has {size / 2**30:.0f} GiB, more than any checkpoint: it is not read.'
                )
            _copy(answer, partial, size, url)
        if size and partial.stat().st_size != size:
            raise InputError(f'{url} broke off while it was downloaded: try again.')
        os.replace(partial, path)
    except (OSError, ValueError) as error:  # URLError is an OSError
        if isinstance(error, InputError):
            raise
        raise InputError(f'{url} could not be downloaded ({error}).') from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _copy(answer: object, partial: Path, size: int, url: str) -> None:
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console) as progress, open(partial, 'wb') as out:
        task = progress.add_task(Path(urlsplit(url).path).name, total=size or None)
        written = 0
        while chunk := answer.read(1 << 20):  # type: ignore[attr-defined]
            written += len(chunk)
            if written > LARGEST_DOWNLOAD:
                raise CheckpointError(f'{url} is larger than any checkpoint: it is not read.')
            out.write(chunk)
            progress.advance(task, len(chunk))
