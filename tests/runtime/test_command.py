"""python -m mmspanet.runtime: what it writes, and what it does without."""

import json

import cv2
import numpy as np
import pytest

from tests.helpers import run
from tests.runtime import graphs

# All that is installed here and not in an environment made for the runtime.
WITHOUT = """
import runpy, sys
for name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'rich',
             'matplotlib', 'pycocotools', 'scipy', 'orjson', 'onnx', 'timm', 'PIL'):
    sys.modules[name] = None
module, *sys.argv = sys.argv[1:]
sys.argv.insert(0, module)
runpy.run_module(module, run_name='__main__', alter_sys=True)
"""


def without_torch(*args, status=0):
    return run(['-c', WITHOUT, *args], status=status)


@pytest.fixture
def inputs(tmp_path, picture):
    folder = tmp_path / 'in'
    folder.mkdir()
    cv2.imwrite(str(folder / 'a.png'), picture)
    code = cv2.VideoWriter.fourcc(*'mp4v')
    video = cv2.VideoWriter(str(folder / 'clip.mp4'), code, 10, picture.shape[1::-1])
    for _ in range(3):
        video.write(picture)
    video.release()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('suffix', ['.onnx', '.xml'])
@pytest.mark.parametrize('task', graphs.MAKERS)
def test_images_and_a_video_without_torch(tmp_path, inputs, task, suffix):
    model = graphs.MAKERS[task](tmp_path / f'a{suffix}')
    out = tmp_path / 'out'
    assert '2 of 2 files done' in without_torch(
        'mmspanet.runtime', model, inputs, '--out-dir', out, '--threads', 1
    )
    written = {str(path.relative_to(out)) for path in out.rglob('*') if path.is_file()}
    maps = {'maps/a.png.png', *(f'maps/clip.mp4/{i:06}.png' for i in range(3))}
    assert written == {
        'pictures/a.png', 'pictures/clip.mp4', 'predictions/a.png.json',
        'predictions/clip.mp4.json', *(maps if task == 'segmentation' else ()),
    }  # fmt: skip
    record = json.loads((out / 'predictions/a.png.json').read_text())
    assert (record['height'], record['width']) == (90, 130)
    found = {'detection': 'classes', 'segmentation': 'shares', 'classification': 'top'}[task]
    assert 'green' in json.dumps(record[found])
    frames = json.loads((out / 'predictions/clip.mp4.json').read_text())['frames']
    assert [sorted(frame) for frame in frames] == [
        sorted({*record, 'frame'} - {'image', 'height', 'width'})
    ] * 3


@pytest.mark.slow
def test_faults_are_one_sentence_and_the_rest_is_done(tmp_path, inputs):
    model = graphs.detector(tmp_path / 'a.onnx')
    (inputs / 'broken.jpg').write_bytes(b'no picture')
    (inputs / 'clip.mp4').unlink()
    out = tmp_path / 'out'
    said = without_torch(
        'mmspanet.runtime', model, inputs, '--out-dir', out, '--tile', 64, status=1
    )
    assert said.splitlines()[-1].startswith('error: ')
    assert 'broken.jpg' in said.splitlines()[-1]
    assert (out / 'pictures/a.png').exists()
    for options in (['--overlap', 9], ['--tile', 64, '--overlap', 64], ['--device', 'abacus']):
        said = without_torch('mmspanet.runtime', model, inputs, *options, status=1)
        assert said.startswith('error: ')
        assert said.count('\n') == 1


def test_the_record_is_that_of_the_demo(tmp_path, picture):
    """Keys and types; tests/deployment holds the values to those of a model."""
    from mmspanet import runtime

    coco = pytest.importorskip('pycocotools.mask')
    record = runtime.load(graphs.detector(tmp_path / 'a.onnx')).predict(picture, 0.5).record
    assert list(record) == ['labels', 'scores', 'bboxes', 'masks', 'classes']
    masks = np.stack([coco.decode(mask) for mask in json.loads(json.dumps(record['masks']))])
    assert masks.shape == (2, 90, 130)
    assert masks[0].any()
