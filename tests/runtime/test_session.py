"""Files and devices that can't be used are one sentence that names them."""

import sys

import numpy as np
import onnx
import pytest

from mmspanet import runtime
from mmspanet.errors import InputError
from mmspanet.runtime import session
from mmspanet.runtime.session import open_session
from tests.runtime import graphs


def test_ports_tell_fixed_sides_from_free_ones(write):
    opened = open_session(write('detection', size=[64, 96], batch=1))
    assert opened.inputs['images'] == ('uint8', (1, 64, 96, 3))
    assert opened.inputs['sizes'] == ('int64', (1, 2))
    opened = open_session(write('detection'))
    assert opened.inputs['images'] == ('uint8', (None, None, None, 3))
    assert opened.outputs['boxes'].dtype == 'float32'


def test_results_outlive_the_next_run(write, picture):
    opened = open_session(write('classification'))
    before = opened.run(dict(images=picture[None]))['probabilities']
    kept = before.copy()
    opened.run(dict(images=255 - picture[None]))
    np.testing.assert_array_equal(before, kept)


def test_a_gpu_is_onnxruntimes_provider(tmp_path, monkeypatch):
    """A stand-in for the runtime with GPUs notes what it is asked for."""
    onnxruntime = pytest.importorskip('onnxruntime')
    path, asked = graphs.MAKERS['classification'](tmp_path / 'a.onnx'), []

    def session(path, options, providers):
        asked.extend(providers)
        opened = original(path, options, ['CPUExecutionProvider'])
        monkeypatch.setattr(opened, 'get_providers', lambda: used)
        return opened

    original = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, 'InferenceSession', session)
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: ['CPUExecutionProvider'])
    with pytest.raises(InputError, match='onnxruntime-gpu'):
        open_session(path, 'cuda')
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: ['CUDAExecutionProvider'])
    used = ['CUDAExecutionProvider', 'CPUExecutionProvider']
    open_session(path, 'cuda:1')
    ((provider, settings),) = asked
    assert provider == 'CUDAExecutionProvider'
    assert settings['device_id'] == '1'
    with pytest.raises(InputError, match='cuda:x is no device'):
        open_session(path, 'cuda:x')
    used = ['CPUExecutionProvider']  # what onnxruntime takes without cuDNN, and only logs
    with pytest.raises(InputError, match='driver, CUDA and cuDNN'):
        open_session(path, 'cuda')


def damaged(folder, name, content=b'\x08\x09broken'):
    (folder / name).write_bytes(content)
    if name.endswith('.xml'):
        (folder / name).with_suffix('.bin').touch()
    return folder / name


def without_weights(folder):
    path = graphs.classifier(folder / 'a.xml')
    path.with_suffix('.bin').unlink()
    return path


def of_a_part(folder):
    return graphs.classifier(folder / 'a.onnx', part='backbone')


def of_nobody(folder):
    path = graphs.classifier(folder / 'a.onnx')
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    return path


def of_windows(**window):
    return lambda folder: graphs.segmentor(folder / 'a.onnx', window=window)


def of_resizing(**resize):
    return lambda folder: graphs.classifier(folder / 'a.onnx', resize=resize)


BAD = dict(
    missing=(lambda folder: folder / 'no.onnx', 'does not exist'),
    folder=(lambda folder: folder, 'neither .onnx nor .xml'),
    checkpoint=(lambda folder: damaged(folder, 'a.pth'), 'neither .onnx nor .xml'),
    onnx=(lambda folder: damaged(folder, 'a.onnx'), 'can not be opened'),
    empty=(lambda folder: damaged(folder, 'a.onnx', b''), 'can not be opened'),
    xml=(lambda folder: damaged(folder, 'a.xml'), 'can not be opened'),
    weights=(without_weights, 'a.bin does not exist'),
    part=(of_a_part, 'no whole model'),
    foreign=(of_nobody, 'no whole model'),
    size=(lambda f: graphs.classifier(f / 'a.onnx', resize='{"scale": '), 'can not be read'),
    resize=(of_resizing(turn=9), 'can not be read'),
    method=(of_resizing(interpolation='ai'), 'cv2, ai'),
    channels=(lambda f: graphs.classifier(f / 'a.onnx', channels='RGB'), 'channels are RGB'),
    window=(of_windows(crop=[4, 4]), 'stride'),
    gaps=(of_windows(crop=[4, 4], stride=[4, 5]), 'gaps'),
    side=(of_resizing(scale=224), 'no pair of sides'),
    sides=(of_resizing(scale=[0, 9]), 'no pair of sides'),
    edge=(of_resizing(scale=9, edge='shrt'), 'edge shrt'),
    edges=(of_resizing(scale=[9, 9], edge='short'), 'edge short'),
    batch=(lambda f: graphs.classifier(f / 'a.onnx', batch=-1), 'no number of images'),
)  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_a_file_that_can_not_be_used(tmp_path, case):
    make, says = BAD[case]
    with pytest.raises(InputError, match=says) as error:
        runtime.load(make(tmp_path))
    assert '\n' not in str(error.value)


def test_a_device_that_is_not_there(write):
    with pytest.raises(InputError, match='abacus is no device'):
        runtime.load(write('classification'), device='abacus')


@pytest.mark.parametrize(('suffix', 'package'), [('.onnx', 'onnxruntime'), ('.xml', 'openvino')])
def test_a_runtime_that_is_not_installed_is_named(tmp_path, monkeypatch, suffix, package):
    path = graphs.classifier(tmp_path / f'a{suffix}')
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(session, 'openvino_core', session.openvino_core.__wrapped__)
    with pytest.raises(InputError, match=f'pip install {package}'):
        runtime.load(path)
