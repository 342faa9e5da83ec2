"""From an image to results in its coordinates, in both runtimes."""

from types import SimpleNamespace

import numpy as np
import pytest

from mmspanet import runtime
from mmspanet.errors import InputError
from mmspanet.runtime.models import best_class, ends
from mmspanet.runtime.resize import Resize, within
from tests.runtime import graphs
from tests.runtime.graphs import GREEN, RED


def test_boxes_and_masks_are_in_pixels_of_the_image(write, picture):
    found = runtime.load(write('detection'))(picture)
    np.testing.assert_array_equal(found.boxes, [GREEN, RED])
    assert (found.labels.tolist(), found.classes) == ([1, 2], ['green', 'red'])
    np.testing.assert_allclose(found.scores, graphs.SCORES[1:], atol=1e-6)
    assert found.masks.shape == (2, 90, 130)
    assert found.masks[0, 35, 50]
    assert not found.masks[0, 70].any()


def test_what_the_pipeline_and_the_graph_scale_is_scaled_back(write, picture):
    """To twice the size by the pipeline, then into a graph whose height is not enough for it."""
    notes = dict(resize=dict(scale=[260, 180], keep_ratio=True, interpolation='nearest'))
    found = runtime.load(write('detection', **notes))(picture)
    np.testing.assert_array_equal(found.boxes, [GREEN, RED])
    found = runtime.load(write('detection', **notes, size=[90, 256]))(picture)
    np.testing.assert_array_equal(found.boxes, [GREEN, RED])


def test_the_graph_is_told_which_part_of_its_input_is_the_image(write, picture):
    """What lies beyond is black, and is no part of a box that ends at the edge."""
    picture[70:, 120:, 0] = 255
    found = runtime.load(write('detection', size=[128, 160]))(picture)
    np.testing.assert_array_equal(found.boxes, [[120, 70, 130, 90], GREEN, RED])


@pytest.mark.parametrize(
    'notes', [{}, dict(batch=1), dict(size=[128, 160]), dict(size=[128, 160], batch=1)]
)
@pytest.mark.parametrize('task', graphs.MAKERS)
def test_a_batch_gives_what_its_images_give_alone(write, picture, task, notes):
    """Of three sizes, one without any object, in an order that grouping by size changes."""
    model = runtime.load(write(task, **notes))
    images = [picture, picture[:60], np.zeros_like(picture), picture[:, 20:], picture[::-1]]
    for together, image in zip(model.batch(images), images, strict=True):
        for name, value in vars(model(image)).items():
            np.testing.assert_array_equal(getattr(together, name), value)


def test_no_images_give_no_results(write):
    assert runtime.load(write('detection')).batch([]) == []


def test_a_detector_without_masks(write, picture):
    found = runtime.load(write('detection', masks=False))(picture)
    assert found.masks is None
    assert 'masks' not in found.record()
    with pytest.raises(ValueError, match='no mask head'):
        found.mask(0)


def test_a_label_map_has_the_size_of_the_image(write, picture):
    model = runtime.load(write('segmentation', resize=dict(scale=[260, 180], keep_ratio=True)))
    found = model(picture)
    assert found.labels.shape == (90, 130)
    assert found.labels[35, 50] == 1
    assert found.labels[70, 50] == 2


@pytest.mark.parametrize('size', [None, (48, 64)])
def test_windows_slide_as_mmsegmentations_do(write, picture, size):
    """Whose slide_inference averages the logits of the same windows; here they depend on them."""
    segmentors = pytest.importorskip('mmseg.models.segmentors')
    torch = pytest.importorskip('torch')
    noise = np.random.default_rng(0).integers(0, 60, picture.shape)
    image = (picture + noise).clip(0, 255).astype(np.uint8)
    window = dict(crop=[48, 64], stride=[30, 43])

    def logits(windows, metas):
        return (windows - windows.mean(dim=(2, 3), keepdim=True)) * 0.02

    model = SimpleNamespace(
        test_cfg=SimpleNamespace(crop_size=window['crop'], stride=window['stride']),
        out_channels=3,
        encode_decode=logits,
    )
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = segmentors.EncoderDecoder.slide_inference(model, tensor, [{}])
    found = runtime.load(write('segmentation', window=window, size=size))
    average = torch.from_numpy(found.log_probabilities(image[None]))
    torch.testing.assert_close(average.softmax(1), expected.softmax(1), atol=1e-5, rtol=0)
    differ = found(image).labels != expected[0].argmax(0).numpy()
    top = expected[0].topk(2, dim=0).values
    assert (top[0] - top[1]).numpy()[differ].max(initial=0) < 1e-4  # ties


def test_an_image_below_the_window_is_one_window(write, picture):
    notes = dict(window=dict(crop=[200, 200], stride=[100, 100]))
    expected = runtime.load(write('segmentation'))(picture).labels
    np.testing.assert_array_equal(
        runtime.load(write('segmentation', **notes))(picture).labels, expected
    )


@pytest.mark.parametrize(
    ('length', 'window', 'stride'), [(10, 4, 3), (10, 4, 4), (4, 4, 1), (3, 4, 2)]
)
def test_windows_reach_every_pixel(length, window, stride):
    found = ends(length, window, stride)
    covered = {p for end in found for p in range(max(end - window, 0), end)}
    assert covered == set(range(length))
    assert found[-1] == length


def test_the_best_class_is_taken_after_the_resize():
    """As MMSegmentation does, with PyTorch's bilinear resize."""
    torch = pytest.importorskip('torch')
    maps = np.random.default_rng(0).normal(size=(5, 13, 17)).astype(np.float32)
    for size in [(13, 17), (40, 31), (7, 9)]:
        resized = torch.nn.functional.interpolate(
            torch.from_numpy(maps)[None], size, mode='bilinear'
        )
        differ = best_class(maps, size) != resized[0].argmax(0).numpy()
        top = resized[0].topk(2, dim=0).values
        assert (top[0] - top[1]).numpy()[differ].max(initial=0) < 1e-4


def test_a_class_and_its_probability(write, picture):
    found = runtime.load(write('classification'))(picture)
    logits = picture.mean(axis=(0, 1)) * 0.02
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    assert [one['class'] for one in found.record()['top']] == ['red', 'green', 'blue']


PIPELINES = [
    ('mmdet', dict(type='Resize', scale=(1333, 800), keep_ratio=True), None),
    ('mmdet', dict(type='Resize', scale=(64, 48), keep_ratio=False), None),
    ('mmseg', dict(type='Resize', scale=(2048, 512), keep_ratio=True), None),
    ('mmpretrain', dict(type='Resize', scale=64, interpolation='area'), None),
    ('mmpretrain', dict(type='ResizeEdge', scale=70, edge='short', interpolation='area'), 64),
    ('mmpretrain', dict(type='ResizeEdge', scale=45, edge='long'), 64),
    (
        'mmpretrain',
        dict(type='ResizeEdge', scale=70, edge='short', backend='pillow', interpolation='bicubic'),
        65,
    ),
]


@pytest.mark.parametrize(('library', 'step', 'crop'), PIPELINES)
@pytest.mark.parametrize('size', [(90, 131), (77, 60), (65, 65)])
def test_images_are_resized_as_the_libraries_do(library, step, crop, size):
    """To the byte: the metadata is made of the same options."""
    pytest.importorskip(library)
    from mmengine.registry import TRANSFORMS, DefaultScope

    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    steps = [step] if crop is None else [step, dict(type='CenterCrop', crop_size=crop)]
    results = dict(img=image)
    with DefaultScope.overwrite_default_scope(library):
        for one in steps:
            results = TRANSFORMS.build(one)(results)
    options = {key: value for key, value in step.items() if key != 'type'}
    if isinstance(step['scale'], int) and 'edge' not in step:
        options['scale'] = [step['scale']] * 2
    found = Resize.of(options | dict(crop=None if crop is None else [crop, crop]))(image)
    np.testing.assert_array_equal(found, results['img'])


def test_a_graph_of_fixed_size_never_enlarges():
    assert within((100, 50), (200, 200)) == (100, 50)
    assert within((800, 1333), (800, 1344)) == (800, 1333)
    assert within((1333, 800), (800, 1344)) == (800, 480)
    assert within((10_000, 3), (64, 64)) == (64, 1)


NO_IMAGES = dict(
    none=None,
    path='photo.jpg',
    gray=np.zeros((4, 4), np.uint8),
    float=np.zeros((4, 4, 3)),
    empty=np.zeros((0, 4, 3), np.uint8),
    alpha=np.zeros((4, 4, 4), np.uint8),
)


@pytest.mark.parametrize('kind', NO_IMAGES)
@pytest.mark.parametrize('task', graphs.MAKERS)
def test_what_is_no_image_is_an_error_that_says_what_is(tmp_path, task, kind):
    model = runtime.load(graphs.MAKERS[task](tmp_path / 'a.onnx'))
    with pytest.raises(InputError, match=r'uint8 array of shape \(H, W, 3\)'):
        model(NO_IMAGES[kind])


def test_boxes_below_the_score_are_not_drawn(write, picture):
    model = runtime.load(write('detection'))
    both, best = (model.predict(picture, score).picture for score in (0.1, 0.75))
    x1, y1, x2, y2 = RED
    np.testing.assert_array_equal(best[y1 + 5 : y2, x1:x2], picture[y1 + 5 : y2, x1:x2])
    assert (both[y1 + 5 : y2, x1:x2] != picture[y1 + 5 : y2, x1:x2]).any()
    assert (best[25:45, 35:65] != picture[25:45, 35:65]).any()


def test_what_a_fixed_graph_sees_beyond_a_segmentor_s_image(write, picture):
    """The last row and column again, here by a graph whose labels depend on neighbors."""
    seen = []
    model = runtime.load(write('segmentation', size=[128, 160]))
    run = model.session.run

    def note(inputs):
        seen.append(inputs['images'])
        return run(inputs)

    model.session = SimpleNamespace(run=note)
    model(picture)
    expected = np.pad(picture, ((0, 38), (0, 30), (0, 0)), mode='edge')
    np.testing.assert_array_equal(seen[0][0], expected)
