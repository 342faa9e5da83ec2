"""Where a checkpoint comes from: a path, a URL, or a name such as ``spanetv2://s18-pure``.

Whatever the source, what is read in the end is a file on the disk, so every check of a file holds
for all of them.
"""

import hashlib
import os
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mmspanet.errors import InputError

from .download import download
from .published import MEANINGS, PUBLISHED, Published, Status
from .reader import missing_file

SCHEME = 'spanetv2://'
FOLDER = Path('checkpoints')


def local_file(source: str | Path) -> Path:
    """Give the file of a checkpoint, downloaded first where the source is not on this machine.

    Args:
        source: A path, ``file://PATH``, ``http(s)://...``, or ``spanetv2://NAME`` for a checkpoint
            that the authors published, which is looked for in ``checkpoints/`` first. Before a
            download from an address that was not seen, a warning says so.

    Raises:
        InputError: If there is no such file or name, or if it can not be downloaded.
        CheckpointError: If what was downloaded is another file than it should be.
        WriteError: If the disk does not take it.
    """
    text = str(source)
    if text.startswith(SCHEME):
        return _published_file(text)
    if text.startswith('file://'):
        parts = urlsplit(text)
        if parts.netloc not in ('', 'localhost'):
            raise InputError(f'{text} is of the host {parts.netloc}: give a path of this machine.')
        text = unquote(parts.path)
    if text.startswith(('http://', 'https://')):
        path = cache_path(text)
        if not path.is_file():
            download(text, path)
        return path
    if not os.path.isfile(text):
        raise InputError(missing_file(text))
    return Path(text)


def cache_path(url: str) -> Path:
    """The file that a URL is downloaded to: its name, behind a hash of the whole URL."""
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    name = re.sub(r'[^\w.-]', '_', urlsplit(url).path.rpartition('/')[2], flags=re.ASCII)
    return cache / 'mmspanet' / 'checkpoints' / f'{digest}-{name[-100:] or "checkpoint"}'


def find_local(entry: Published) -> Path | None:
    """The file of a published checkpoint on this machine, if there is one.

    In ``checkpoints/`` it has the authors' name for it, or ours: ``NAME.pth``,
    ``NAME.safetensors``, or such with a hash as ``publish.py`` writes it. Else it is in the cache.

    Raises:
        InputError: If the folder holds several.
    """
    ours = re.compile(rf'{re.escape(entry.name)}(-[0-9a-f]{{8}})?\.(pth|safetensors)')
    found = sorted(
        path
        for path in FOLDER.glob('*')
        if path.is_file() and (path.name == entry.file or ours.fullmatch(path.name))
    )
    if len(found) > 1:
        names = ' and '.join(path.name for path in found)
        raise InputError(f'{FOLDER}/ holds {names} for {SCHEME}{entry.name}: keep one of them.')
    cached = [cache_path(entry.url)] if entry.url else []
    return next((path for path in (*found, *cached) if path.is_file()), None)


def _published_file(source: str) -> Path:
    name = source.removeprefix(SCHEME)
    if name not in PUBLISHED:
        raise InputError(f'{source} is not published: there are {", ".join(PUBLISHED)}.')
    entry = PUBLISHED[name]
    local = find_local(entry)
    if local:
        return local
    by_hand = f'put the file at {FOLDER / (entry.file or f"{name}.pth")}'
    if entry.url is None:
        raise InputError(
            f"The name of the authors' file for {source} is not known: look for it at {entry.page} "
            f'and {by_hand}.'
        )
    if entry.status is not Status.PROVED:
        print(f'warning: {source}: {MEANINGS[entry.status]}.', file=sys.stderr, flush=True)
    path = cache_path(entry.url)
    try:
        download(entry.url, path, entry.size)
    except InputError as error:
        raise InputError(
            f'{str(error).rstrip(".")}: download it elsewhere, from {entry.page}, and '
            f'{by_hand}; or train from scratch with --cfg-options model.backbone.init_cfg=None.'
        ) from error
    return path
