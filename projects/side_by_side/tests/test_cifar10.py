"""The CIFAR-10 converter: both kinds of archives, and what it refuses."""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10

from mmspanet.errors import InputError
from projects.side_by_side import cifar10 as converter
from tests.helpers import run

CONVERT = ['-m', 'projects.side_by_side.cifar10']
CLASSES = [
    'airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck',
]  # fmt: skip


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new('RGB', (32, 32), (value, value, value)).save(buffer, 'JPEG')
    return buffer.getvalue()


@pytest.fixture
def folders(tmp_path) -> Path:
    path = tmp_path / 'images.tar.xz'
    with tarfile.open(path, 'w:xz') as archive:
        for part in ('train', 'test'):
            for value, name in enumerate(CLASSES):
                add(archive, f'{part}/{name}/0000.jpg', jpeg(20 * value))
    return path


@pytest.mark.slow
def test_unpacks_an_archive_of_class_folders(folders, tmp_path):
    out = tmp_path / 'data/cifar10'
    said = run([*CONVERT, folders, '--out', out])
    assert said == f'{out}/train: 10 images\n{out}/test: 10 images\n'
    assert (out / 'train/dog/0000.jpg').read_bytes() == jpeg(100)
    assert [path.name for path in out.parent.iterdir()] == ['cifar10']  # nothing left beside it
    assert 'exists already' in run([*CONVERT, folders, '--out', out], status=1)


@pytest.mark.slow
def test_refuses_what_is_no_archive_and_writes_nothing(folders, tmp_path):
    cut = tmp_path / 'cut.tar.xz'
    cut.write_bytes(folders.read_bytes()[:200])
    other = tmp_path / 'other.tar'
    with tarfile.open(other, 'w') as archive:
        add(archive, 'readme.txt', b'nothing')
    outside = tmp_path / 'outside.tar'
    with tarfile.open(outside, 'w') as archive:
        add(archive, '../escaped.txt', b'nothing')
    for source, says in (
        (cut, 'can not be unpacked'),
        (other, 'holds neither'),
        (outside, 'can not be unpacked'),
        (tmp_path / 'none.tar', 'does not exist'),
    ):
        (line,) = run([*CONVERT, source, '--out', tmp_path / 'out/cifar10'], status=1).splitlines()
        assert says in line
        assert not (tmp_path / 'out/cifar10').exists()
    assert not (tmp_path / 'escaped.txt').exists()
    assert not (tmp_path / 'out/escaped.txt').exists()


def test_writes_the_original_batches_as_they_are(tmp_path, monkeypatch):
    """A batch in the original layout, its checksum put in the place of the published one."""

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
    labels = [i % 10 for i in range(20)]
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    content = {
        'data_batch_1': dict(data=pixels.reshape(20, -1), labels=labels),
        'test_batch': dict(data=pixels[:10].reshape(10, -1), labels=labels[:10]),
        'batches.meta': dict(label_names=CLASSES),
    }
    sums = {}
    for name, value in content.items():
        blob = pickle.dumps(value)
        (folder / name).write_bytes(blob)
        sums[name] = hashlib.md5(blob).hexdigest()
    monkeypatch.setattr(CIFAR10, 'train_list', [['data_batch_1', sums['data_batch_1']]])
    monkeypatch.setattr(CIFAR10, 'test_list', [['test_batch', sums['test_batch']]])
    meta = dict(filename='batches.meta', key='label_names', md5=sums['batches.meta'])
    monkeypatch.setattr(CIFAR10, 'meta', meta)
    converter.write_images(tmp_path, tmp_path / 'out')
    files = sorted((tmp_path / 'out/train').rglob('*.png'), key=lambda path: path.name)
    assert [path.parent.name for path in files] == [CLASSES[i] for i in labels]
    for path, expected in zip(files, pixels, strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), expected.transpose(1, 2, 0))
    (folder / 'test_batch').write_bytes(b'changed')
    with pytest.raises(InputError, match='corrupted'):
        converter.write_images(tmp_path, tmp_path / 'again')
