"""Tables as CSV: what is written reads back."""

import pytest

from mmspanet.analysis.tables import append_csv, csv_text, read_csv, write_csv

ROWS = [dict(model='a, "b"', gain=0.5), dict(model='c\nd', gain='')]


def test_a_written_table_reads_back(tmp_path):
    path = tmp_path / 'new' / 'table.csv'
    write_csv(path, ROWS)
    assert read_csv(path) == [dict(model='a, "b"', gain='0.5'), dict(model='c\nd', gain='')]
    assert path.read_bytes() == csv_text(ROWS).encode()  # no other line ends


def test_a_table_that_grows_is_the_table_written_at_once(tmp_path):
    for row in ROWS:
        append_csv(tmp_path / 'grown.csv', row)
    assert (tmp_path / 'grown.csv').read_text() == csv_text(ROWS)


def test_a_table_without_a_file_has_no_rows(tmp_path):
    assert read_csv(tmp_path / 'none.csv') == []


def test_rows_of_other_keys_are_refused():
    with pytest.raises(ValueError, match='head'):
        csv_text([*ROWS, dict(model='e', head=1)])
