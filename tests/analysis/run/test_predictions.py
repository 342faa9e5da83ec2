"""Predictions are read as they were written, and nothing in their file is run."""

import io
import os
import pickle

import numpy as np
import pytest
import torch

from mmspanet.analysis.run.predictions import newest_predictions, read_predictions
from mmspanet.errors import InputError


def test_what_mmengine_dumps(tmp_path):
    """Tensors of several types and views, masks as bytes, and what describes the image."""
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    item = dict(
        pred_instances=dict(
            bboxes=whole[:, 1:5], scores=whole.t(), labels=torch.tensor([3, 1]),
            none=torch.zeros(0, 4), half=torch.ones(2, dtype=torch.float16),
            one=torch.tensor(7), flags=torch.tensor([True, False]),
            masks=[dict(size=[2, 3], counts=b'\x01\xff\x00')],
        ),
        img_id=7, ori_shape=(2, 3), img_path='a.jpg', scale_factor=(1.0, 0.5),
    )  # fmt: skip
    path = tmp_path / 'predictions.pkl'
    path.write_bytes(pickle.dumps([item], protocol=2))
    (read,) = read_predictions(path)
    for key, value in item['pred_instances'].items():
        if isinstance(value, torch.Tensor):
            np.testing.assert_array_equal(read['pred_instances'][key], value.numpy())
            assert read['pred_instances'][key].dtype == value.numpy().dtype
        else:
            assert read['pred_instances'][key] == value
    assert {key: read[key] for key in item if key != 'pred_instances'} == {
        key: item[key] for key in item if key != 'pred_instances'
    }


class Bomb:
    def __init__(self, call, *arguments):
        self.made = call, arguments

    def __reduce__(self):
        return self.made


def saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def beyond_its_memory():
    tensor = torch.zeros(2)
    return Bomb(
        torch._utils._rebuild_tensor_v2,
        tensor.untyped_storage(),
        0, (1 << 40,), (0,), False, {},
    )  # fmt: skip


@pytest.mark.parametrize(
    'content',
    [
        [Bomb(os.mkdir, 'ran')],
        [Bomb(eval, '__import__("os").mkdir("ran")')],
        [Bomb(getattr, torch.nn.Linear, 'forward')],
        [Bomb(torch.storage._load_from_bytes, saved(Bomb(os.mkdir, 'ran')))],
        [dict(a=beyond_its_memory())],
        dict(a=1),
        [1, 2],
    ],
)
def test_a_file_that_is_no_list_of_predictions(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'predictions.pkl'
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match=r'predictions\.pkl'):
        read_predictions(path)
    assert not (tmp_path / 'ran').exists()


def test_a_file_that_is_cut_short(tmp_path):
    path = tmp_path / 'predictions.pkl'
    path.write_bytes(pickle.dumps([dict(a=torch.ones(3))], protocol=2)[:-40])
    with pytest.raises(InputError, match=r'predictions\.pkl'):
        read_predictions(path)


def test_the_newest(tmp_path):
    assert newest_predictions(tmp_path) is None
    (tmp_path / '1/predictions').mkdir(parents=True)
    assert newest_predictions(tmp_path) is None  # no map in it
    (tmp_path / '1/predictions/a.png').touch()
    assert newest_predictions(tmp_path) == tmp_path / '1/predictions'
    (tmp_path / 'predictions.pkl').touch()
    os.utime(tmp_path / 'predictions.pkl', (4e9, 4e9))
    assert newest_predictions(tmp_path) == tmp_path / 'predictions.pkl'
