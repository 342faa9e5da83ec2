"""Tables as CSV files: a header of column names, a line per row."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmspanet.files import append_under_lock, write_text

Row = Mapping[str, Any]


def csv_text(rows: Sequence[Row]) -> str:
    """Write a table as CSV text.

    Args:
        rows: At least one, all with the keys of the first, which head the columns.

    Raises:
        ValueError: If a row has a key that the first does not have.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write a table, see :func:`csv_text`, to a file; missing folders are made.

    Raises:
        WriteError: If it can not be written.
    """
    write_text(path, csv_text(rows))


def append_csv(path: Path, row: Row) -> None:
    """Append one row to a table, which is begun with its header where there is no file.

    Several processes may append to the same table.

    Raises:
        WriteError: If it can not be written.
    """
    header, line = csv_text([row]).split('\n', 1)
    append_under_lock(path, line, heading=f'{header}\n')


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a table; it has no rows where there is no file."""
    if not path.is_file():
        return []
    with open(path, newline='') as file:
        return list(csv.DictReader(file))
