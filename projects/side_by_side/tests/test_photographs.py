"""The study on photographs: converters of the public layouts, and contestants of equal cost."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmspanet.errors import InputError
from projects.side_by_side.photographs import camvid, nuclei

mask_utils = pytest.importorskip('pycocotools.mask')
HERE = Path(__file__).parents[1] / 'photographs'


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def test_camvid(tmp_path):
    source, out = tmp_path / 'CamVid', tmp_path / 'out'
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for part in ('train', 'val', 'test'):
        write(source / part / 'a.png', np.zeros((3, 4, 3), np.uint8))
        write(source / f'{part}annot' / 'a.png', labels)
    assert camvid.convert(source, out) == dict(train=1, val=1, test=1)
    found = cv2.imread(str(out / 'masks/val/a.png'), cv2.IMREAD_UNCHANGED)
    assert found.ravel().tolist() == [*range(11), 255]
    assert (out / 'images/val/a.png').is_file()


def test_camvid_refuses_maps_in_color(tmp_path):
    for part in ('train', 'val', 'test'):
        write(tmp_path / part / 'a.png', np.zeros((3, 4, 3), np.uint8))
        write(tmp_path / f'{part}annot' / 'a.png', np.zeros((3, 4, 3), np.uint8))
    with pytest.raises(InputError, match='trainannot/a'):
        camvid.convert(tmp_path, tmp_path / 'out')


def test_nuclei(tmp_path):
    source, out = tmp_path / 'stage1_train', tmp_path / 'out'
    names = [f'{i:02x}' for i in range(20)]
    mask = np.zeros((6, 8), np.uint8)
    mask[1:4, 2:7] = 255
    for name in names:
        write(source / name / 'images' / f'{name}.png', np.full((6, 8, 4), 9, np.uint8))
        write(source / name / 'masks' / 'a.png', mask)
        write(source / name / 'masks' / 'b.png', 255 - mask)
        write(source / name / 'masks' / 'empty.png', 0 * mask)
    parts = nuclei.convert(source, out)
    files = {part: sorted(i['file_name'] for i in parts[part]['images']) for part in parts}
    assert sorted(files['train'] + files['val']) == [f'{name}.png' for name in names]
    assert files['train']
    assert files['val']
    for part, content in parts.items():
        assert sorted(path.name for path in (out / part).iterdir()) == files[part]
        assert len(content['annotations']) == 2 * len(content['images'])
        first = content['annotations'][0]
        assert first['bbox'] == [2, 1, 5, 3]
        assert first['area'] == 15
        assert (mask_utils.decode(first['segmentation']) == mask // 255).all()


@pytest.mark.slow
@pytest.mark.parametrize('name', ['mask-rcnn_nuclei.py', 'upernet_camvid.py'])
def test_equal_cost(name):
    """Whole models within 5 % of each other's MACs, backbones within 15 % of the parameters."""
    pytest.importorskip('mmdet')
    pytest.importorskip('mmpretrain')
    from mmspanet.analysis.costs import count_config
    from projects.side_by_side.photographs import backbones, training  # noqa: F401
    from projects.side_by_side.photographs.contestants import CONTESTANTS, PARTS

    macs, params = {}, {}
    for model, contestant in (CONTESTANTS | PARTS).items():
        run = training.Run('any', model, 1e-3, 0)
        cfg = training.read_config(HERE / 'configs' / name, run, contestant)
        costs = {cost.name: cost for cost in count_config(cfg, training.CROP)}
        macs[model] = sum(costs[''].macs.values())
        params[model] = costs['backbone'].params
    assert max(macs.values()) < 1.05 * min(macs.values())
    ours = params['spanetv2-pure']
    assert all(abs(count / ours - 1) < 0.15 for count in params.values())
