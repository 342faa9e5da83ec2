"""The atomic file backend: all or nothing under the final name."""

import os

import pytest
from mmengine.fileio import get_file_backend

import mmspanet.registry  # noqa: F401  registers the backend


@pytest.fixture
def backend():
    return get_file_backend(backend_args=dict(backend='atomic'))


def test_puts_and_replaces(backend, tmp_path):
    path = tmp_path / 'new' / 'epoch_1.pth'
    backend.put(b'first', path)
    backend.put(b'second', str(path))
    assert path.read_bytes() == b'second'
    assert [p.name for p in path.parent.iterdir()] == ['epoch_1.pth']


@pytest.mark.parametrize('failing', ['fsync', 'replace'])
def test_a_failure_leaves_the_earlier_file_and_no_other(backend, tmp_path, monkeypatch, failing):
    path = tmp_path / 'epoch_1.pth'
    backend.put(b'earlier', path)

    def full_disk(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, failing, full_disk)
    with pytest.raises(OSError, match='No space left'):
        backend.put(b'later', path)
    assert path.read_bytes() == b'earlier'
    assert [p.name for p in tmp_path.iterdir()] == ['epoch_1.pth']
