"""tools/demo.py: what it finds, what it writes, what it says."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmspanet.errors import InputError
from tests.helpers import ROOT, run
from tools import demo

TOOL = ROOT / 'tools/demo.py'


@pytest.fixture
def folder(tmp_path):
    for name in ('a/1.jpg', 'b/1.JPG', 'b/2.png', 'b/notes.txt', 'b/c/3.mp4', 'out/pictures/1.jpg'):
        path = tmp_path / 'in' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / 'in'


def test_a_folder_without_earlier_results(folder):
    sources = demo.find_sources([str(folder)], folder / 'out')
    assert [str(s.name) for s in sources] == ['a/1.jpg', 'b/1.JPG', 'b/2.png', 'b/c/3.mp4']
    assert [s.is_video for s in sources] == [False, False, False, True]


def test_names_of_files_in_two_folders_are_told_apart(folder):
    given = [str(folder / 'a/1.jpg'), str(folder / 'b/1.JPG'), str(folder / 'a')]
    sources = demo.find_sources(given, folder / 'out')
    assert [str(s.name) for s in sources] == ['a/1.jpg', 'b/1.JPG']


def test_a_glob(folder):
    sources = demo.find_sources([str(folder / 'b/**/*')], folder / 'out')
    assert {str(s.name) for s in sources} == {'1.JPG', '2.png', 'c/3.mp4'}


@pytest.mark.parametrize('name', ['nothing.jpg', 'b/notes.txt', 'c*'])
def test_nothing_to_see_is_an_error_that_names_it(folder, name):
    with pytest.raises(InputError, match='names no image and no video'):
        demo.find_sources([str(folder / name)], folder / 'out')


def write_inputs(folder: Path, frames: int) -> None:
    """Two images, one file that is none, and a video."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (frames, 64, 96, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / 'photo.jpg'), pixels[0])
    cv2.imwrite(str(folder / 'drawing.png'), pixels[1])
    (folder / 'empty.jpg').touch()
    cv2.imwrite(str(folder / 'strip.png'), np.zeros((5, 20_000, 3), np.uint8))
    code = cv2.VideoWriter.fourcc(*'mp4v')
    video = cv2.VideoWriter(str(folder / 'clip.mp4'), code, 10, (96, 64))
    for frame in pixels:
        video.write(frame)
    video.release()


@pytest.mark.slow
def test_a_deployed_model_predicts_the_same(tmp_path):
    library = pytest.importorskip('mmpretrain')
    write_inputs(tmp_path / 'in', frames=2)
    cfg = Config.fromfile(ROOT / 'configs/cls/spanetv2_shapes.py')
    weights = library.get_model(cfg, device='cpu').state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'random.pth')
    records = []
    for options in ([], ['--deploy'], ['--deploy', '--dtype', 'bf16']):
        run(
            [TOOL, 'in/photo.jpg', '--config', 'spanetv2_shapes', *options,
             '--checkpoint', 'random.pth', '--out-dir', 'out'],
            cwd=tmp_path,
        )  # fmt: skip
        records.append(json.loads((tmp_path / 'out/predictions/photo.jpg.json').read_text()))
    scores = [{top['label']: top['score'] for top in record['top']} for record in records]
    assert list(scores[0]) == list(scores[1])
    for other, tolerance in zip(scores[1:], (1e-4, 2e-2), strict=True):
        for label in scores[0].keys() & other.keys():
            assert other[label] == pytest.approx(scores[0][label], rel=tolerance)
    assert scores[2] != scores[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('library', 'config', 'size'),
    [
        ('mmdet', 'maskrcnn_spanetv2_shapes', (64, 96)),
        ('mmseg', 'upernet_spanetv2_shapes', (64, 96)),
        ('mmpretrain', 'spanetv2_shapes.py', (256, 384)),
    ],
)
def test_a_folder_of_images_and_a_video(library, config, size, tmp_path):
    pytest.importorskip(library)
    write_inputs(tmp_path / 'in', frames=3)
    log = run([TOOL, 'in', '--config', config, '--out-dir', 'out'], cwd=tmp_path, status=1)
    named = log.rpartition('These files could not be read: ')[2]
    assert 'in/empty.jpg' in named
    assert 'in/strip.png (20000 to 5 pixels' in named
    assert 'Traceback' not in log
    assert 'the weights are random' in log
    assert '3 of 5 files done' in log

    out = tmp_path / 'out'
    assert {p.name for p in tmp_path.iterdir()} == {'in', 'out'}
    for name in ('photo.jpg', 'drawing.png'):
        assert cv2.imread(str(out / 'pictures' / name)).shape[:2] == size
        record = json.loads((out / f'predictions/{name}.json').read_text())
        assert (record['height'], record['width']) == (64, 96)
    video = json.loads((out / 'predictions/clip.mp4.json').read_text())
    assert [frame['frame'] for frame in video['frames']] == [0, 1, 2]
    clip = cv2.VideoCapture(str(out / 'pictures/clip.mp4'))
    assert clip.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert clip.get(cv2.CAP_PROP_FRAME_HEIGHT) == size[0]
    maps = {str(path.relative_to(out / 'maps')) for path in (out / 'maps').rglob('*.png')}
    frames = {f'clip.mp4/{i:06}.png' for i in range(3)}
    expected = {'photo.jpg.png', 'drawing.png.png'} | frames if library == 'mmseg' else set()
    assert maps == expected
