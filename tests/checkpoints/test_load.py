"""Checkpoints that are cut short, of something else, or not there."""

import os
import zipfile

import pytest
import torch

from mmspanet.checkpoints.load import check_checkpoint, newest_whole_checkpoint
from mmspanet.errors import CheckpointError


def test_checkpoints(tmp_path):
    good = tmp_path / 'good.pth'
    torch.save(dict(weight=torch.ones(1000)), good)
    check_checkpoint(str(good))
    check_checkpoint('https://host/file.pth')
    with pytest.raises(FileNotFoundError, match=r'gone\.pth'):
        check_checkpoint(str(tmp_path / 'gone.pth'))
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(good.read_bytes()[:-500])
    page = tmp_path / 'page.pth'
    page.write_text('<html>not found</html>')
    script = tmp_path / 'script.pth'
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), script)
    archive = tmp_path / 'archive.pth'
    with zipfile.ZipFile(archive, 'w') as file:
        file.writestr('notes.txt', 'no weights')
    for bad in (cut, page, script, archive):
        with pytest.raises(CheckpointError, match=bad.name):
            check_checkpoint(str(bad))


def test_resume_passes_damaged_checkpoints_over(tmp_path, capsys):
    assert newest_whole_checkpoint(str(tmp_path)) is None
    (tmp_path / 'epoch_36-1a2b3c4d.pth').touch()  # published, no state of a training
    assert newest_whole_checkpoint(str(tmp_path)) is None
    for epoch in (2, 9, 10):
        torch.save(dict(weight=torch.randn(1000)), tmp_path / f'epoch_{epoch}.pth')
    assert newest_whole_checkpoint(str(tmp_path)).endswith('epoch_10.pth')
    os.truncate(tmp_path / 'epoch_10.pth', 3000)
    flipped = bytearray((tmp_path / 'epoch_9.pth').read_bytes())
    flipped[len(flipped) // 2] ^= 255
    (tmp_path / 'epoch_9.pth').write_bytes(flipped)
    assert newest_whole_checkpoint(str(tmp_path)).endswith('epoch_2.pth')
    warned = capsys.readouterr().out
    assert 'epoch_10.pth is damaged' in warned
    assert 'epoch_9.pth is damaged' in warned
    (tmp_path / 'epoch_2.pth').write_bytes(b'')
    with pytest.raises(CheckpointError, match='All checkpoints in'):
        newest_whole_checkpoint(str(tmp_path))
