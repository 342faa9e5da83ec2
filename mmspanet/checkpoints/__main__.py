"""Say which of the published checkpoints are on this machine, and which are missing.

Looks in ./checkpoints and in the cache of downloads, and reads every file that it finds. Load one
with spanetv2://NAME in the place of a path.
"""

import argparse
import zipfile
from pathlib import Path

from mmspanet import cli
from mmspanet.errors import CheckpointError, InputError


def parse_args() -> argparse.Namespace:
    """Read the command line, which has no options but ``--help``."""
    parser = argparse.ArgumentParser(prog='python -m mmspanet.checkpoints', description=__doc__)
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    parse_args()
    from mmspanet.checkpoints.published import MEANINGS, PUBLISHED
    from mmspanet.checkpoints.sources import FOLDER, find_local

    rows, remarks = [('name', 'model', 'file name', 'here', 'MB')], []
    for entry in PUBLISHED.values():
        state, size = 'missing', entry.size
        try:
            path = find_local(entry)
            if path:
                state, size = 'here', path.stat().st_size
                check(path, entry.file, entry.size)
        except (CheckpointError, InputError, OSError) as error:
            state = 'damaged'
            remarks.append(f'{entry.name}: {error}')
        megabytes = f'{size / 1e6:.1f}' if size else '-'
        rows.append((entry.name, entry.model, entry.status.value, state, megabytes))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print('  '.join(cells).rstrip())
    print(*(f'\n{remark}' for remark in remarks))
    print(*(f'{status.value}: {meaning}.' for status, meaning in MEANINGS.items()), sep='\n')
    print(f'A file of yours for a name goes to {FOLDER}/NAME.pth or NAME.safetensors.')


def check(path: Path, file: str | None, size: int | None) -> None:
    """Check the file of a published checkpoint: size, hash in its name, checksums and weights.

    Args:
        path: Where it is.
        file: The authors' name for it, if known.
        size: The size of the authors' file in bytes, if known.

    Raises:
        CheckpointError: If it is not whole.
    """
    from mmspanet.checkpoints.download import check_hash
    from mmspanet.checkpoints.loading import is_whole
    from mmspanet.checkpoints.reader import read_state_dict

    found = path.stat().st_size
    if file and path.name.endswith(file) and size not in (None, found):
        raise CheckpointError(f'{path} has {found:,} bytes, the published file {size:,}.')
    check_hash(path, path.name)
    read_state_dict(path)
    if zipfile.is_zipfile(path) and not is_whole(path):
        raise CheckpointError(f'{path} fails its checksums: get it again.')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
