"""Files are written whole or not at all, and a failure says the right remedy."""

import errno
import os
import threading

import pytest

from mmspanet import files
from mmspanet.errors import WriteError
from tests.helpers import run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_replaces_a_file_and_makes_its_folder(tmp_path):
    path = tmp_path / 'new' / 'a.json'
    files.write_text(path, 'first é')
    files.write_bytes(path, b'second')
    assert path.read_bytes() == b'second'
    assert names(path.parent) == ['a.json']


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize('failing', ['fsync', 'replace'])
@pytest.mark.parametrize('writes', ['write_text', 'append_under_lock'])
@pytest.mark.parametrize('is_there', [False, True])
def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch, code, failing, writes, is_there):
    path = tmp_path / 'a.json'
    if is_there:
        path.write_text('earlier')

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(WriteError, match=r'a\.json') as caught:
        getattr(files, writes)(path, 'later')
    assert ('make room' in str(caught.value)) == (code == errno.ENOSPC)
    assert names(tmp_path) == (['a.json'] if is_there else [])
    assert not is_there or path.read_text() == 'earlier'


def write_half(path):
    with files.open_for_replacement(path) as file:
        file.write(b'part')
        raise KeyError


def test_an_error_of_the_writer_itself_is_passed_on(tmp_path):
    with pytest.raises(KeyError):
        write_half(tmp_path / 'a')
    assert names(tmp_path) == []


def test_links_and_devices_stay(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'target')
    files.write_text(tmp_path / 'link', 'text')
    assert (tmp_path / 'link').is_symlink()
    assert (tmp_path / 'target').read_text() == 'text'
    files.write_text('/dev/null', 'text')
    assert not os.path.isfile('/dev/null')


def test_a_folder_in_the_place_of_a_file(tmp_path):
    (tmp_path / 'a').mkdir()
    with pytest.raises(WriteError, match='is a folder'):
        files.write_text(tmp_path / 'a', '')
    (tmp_path / 'b').touch()
    with pytest.raises(WriteError, match='is a file, not a folder'):
        files.write_text(tmp_path / 'b' / 'c', '')


def test_a_file_that_a_kill_left_is_written_over(tmp_path):
    (tmp_path / '.a.part').write_text('a longer text than the next one')
    files.write_text(tmp_path / 'a', 'short')
    assert (tmp_path / 'a').read_text() == 'short'
    assert names(tmp_path) == ['a']


def test_two_writers_of_one_file(tmp_path):
    """The second is told of the first, not of a full disk, and the first's file is whole."""
    with files.open_for_replacement(tmp_path / 'a') as file:
        file.write(b'first')
        with pytest.raises(WriteError, match='another program') as caught:
            files.write_bytes(tmp_path / 'a', b'second')
        assert 'room' not in str(caught.value)
    assert (tmp_path / 'a').read_bytes() == b'first'


@pytest.mark.slow
def test_a_disk_that_is_full(tmp_path):
    """A limit on file sizes stands for it."""
    path = tmp_path / 'a'
    path.write_bytes(b'earlier')
    code = (
        'import resource, sys\n'
        'from mmspanet import files\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n'
        'files.write_bytes(sys.argv[1], bytes(5000))\n'
    )
    assert 'make room' in run(['-c', code, path], status=1).splitlines()[-1]
    assert path.read_bytes() == b'earlier'
    assert names(tmp_path) == ['a']


def test_entries_of_several_writers_are_all_there(tmp_path):
    path = tmp_path / 'new' / 'record.yml'

    def append(writer):
        for i in range(20):
            files.append_under_lock(path, f'- {writer} {i}\n', heading='# Entries.\n')

    threads = [threading.Thread(target=append, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    heading, *entries = path.read_text().splitlines()
    assert heading == '# Entries.'
    assert sorted(entries) == sorted(f'- {writer} {i}' for writer in range(4) for i in range(20))
    assert names(path.parent) == ['record.yml']
