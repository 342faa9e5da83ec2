"""The study on photographs: converters of the public layouts, and contestants of equal cost."""

import importlib
import json
import re
import shlex
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmspanet.analysis.tables import append_csv, read_csv
from mmspanet.errors import InputError
from projects.side_by_side.photographs import (
    camvid,
    facades,
    figures,
    inside,
    intervals,
    kinds,
    nuclei,
    pictures,
    resampling,
    sweep,
    tables,
    training,
)

mask_utils = pytest.importorskip('pycocotools.mask')
pytest.importorskip('mmcv')
from mmspanet.analysis.inside.srf_gain import HeadGain  # noqa: E402
from projects.side_by_side.photographs import boundary_iou, noise  # noqa: E402
from projects.side_by_side.photographs.contestants import RATES  # noqa: E402


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
    held_out = sorted(nuclei.HELD_OUT)[:3]
    names = [f'{name}{48 * "0"}' for name in (*held_out, 'ab' * 8, 'cd' * 8)]
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
    assert [name[:16] for name in files['val']] == held_out
    for part, content in parts.items():
        assert sorted(path.name for path in (out / part).iterdir()) == files[part]
        assert len(content['annotations']) == 2 * len(content['images'])
        first = content['annotations'][0]
        assert first['bbox'] == [2, 1, 5, 3]
        assert first['area'] == 15
        assert (mask_utils.decode(first['segmentation']) == mask // 255).all()


@pytest.mark.slow
@pytest.mark.parametrize('data', ['nuclei', 'camvid', 'facades'])
def test_equal_cost(data):
    """Whole models within 5 % of each other's MACs, backbones within 15 % of the parameters."""
    pytest.importorskip('mmdet')
    pytest.importorskip('mmpretrain')
    from mmspanet.analysis.costs import count_config
    from projects.side_by_side.photographs import backbones  # noqa: F401
    from projects.side_by_side.photographs.contestants import SMALL

    macs, params = {}, {}
    for model in SMALL:
        cfg = training.read_config(training.Run(data, model, 1e-3))
        costs = {cost.name: cost for cost in count_config(cfg, training.CROP)}
        macs[model] = sum(costs[''].macs.values())
        params[model] = costs['backbone'].params
    assert max(macs.values()) < 1.05 * min(macs.values())
    ours = params['spanetv2-pure']
    assert all(abs(count / ours - 1) < 0.15 for count in params.values())


def facade(folder):
    polygon = [10, 20, 30, 20, 30, 60]
    box = dict(id=5, image_id=7, category_id=3, bbox=[10, 20, 20, 40], area=400, iscrowd=0)
    content = dict(
        images=[dict(id=7, file_name='a.jpg', height=1280, width=960)],
        annotations=[box | dict(segmentation=[polygon])],
        categories=[dict(id=0, name='facade'), dict(id=3, name='facade')],
    )
    write(folder / 'a.jpg', np.zeros((1280, 960, 3), np.uint8))
    (folder / '_annotations.coco.json').write_text(json.dumps(content))


def test_facades(tmp_path):
    source, out = tmp_path / 'repository', tmp_path / 'out'
    for part in ('train', 'valid', 'test'):
        facade(source / part)
    content = facades.convert(source, out)['val']
    assert cv2.imread(str(out / 'val/a.jpg')).shape == (640, 480, 3)
    assert (content['images'][0]['height'], content['images'][0]['width']) == (640, 480)
    found = content['annotations'][0]
    assert (found['bbox'], found['area']) == ([5, 10, 10, 20], 100)
    assert found['segmentation'] == [[5, 10, 15, 10, 15, 30]]
    assert found['id'] == 1
    assert [category['id'] for category in content['categories']] == [3]
    assert json.loads((out / 'val.json').read_text()) == content


@pytest.mark.parametrize('converter', [nuclei, camvid, facades])
def test_converters_refuse_another_folder(tmp_path, converter):
    with pytest.raises(InputError, match='give '):
        converter.convert(tmp_path / 'source', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def commands():
    """Those of the README: modules with their arguments."""
    text = (Path(camvid.__file__).parent / 'README.md').read_text()
    (block,) = re.findall(r'```shell\n(.*?)```', text, re.DOTALL)
    return [shlex.split(line)[2:] for line in block.splitlines()]


@pytest.mark.parametrize('command', commands(), ids=' '.join)
def test_the_commands_of_the_readme(command, monkeypatch):
    monkeypatch.setattr('sys.argv', command)
    module = importlib.import_module(command[0])
    if len(command) > 1:
        module.parse_args()


def test_a_boundary_is_near_the_contour():
    """Against SciPy's distances by the chessboard's metric, to positions outside of the mask."""
    ndimage = pytest.importorskip('scipy.ndimage')
    mask = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((80, 100)), 6) > 0
    distance = ndimage.distance_transform_cdt(np.pad(mask, 1), 'chessboard')[1:-1, 1:-1]
    for width in (1, 2, 5):
        expected = mask & (distance <= width)
        assert (boundary_iou.boundary(mask, width) == expected).all()
        assert expected.sum() < mask.sum()


def test_boundary_iou_of_a_shifted_square():
    """On 100 x 100 positions the boundary is three wide; void counts for nothing."""
    truth, predicted = np.zeros((2, 100, 100), np.uint8)
    truth[20:60, 20:60] = 1
    predicted[22:62, 20:60] = 1
    (_, inside), (_, union) = boundary_iou.areas(predicted, truth, 2)
    ring = 40**2 - 34**2
    rings = [(np.abs(np.arange(100) - 39.5 - shift) <= 20) for shift in (0, 2)]
    inner = [(np.abs(np.arange(100) - 39.5 - shift) <= 17) for shift in (0, 2)]
    squares = [
        np.outer(side, rings[0]) & ~np.outer(core, inner[0])
        for side, core in zip(rings, inner, strict=True)
    ]
    assert squares[0].sum() == ring
    assert inside == (squares[0] & squares[1]).sum()
    assert union == (squares[0] | squares[1]).sum()
    truth[:, 40:50] = 255
    inside, union = boundary_iou.areas(np.where(truth == 255, 1, truth), truth, 2)
    assert inside.tolist() == union.tolist()  # whatever is found in void
    truth[:] = 255
    assert boundary_iou.areas(predicted, truth, 2)[1].tolist() == [0, 0]


@pytest.mark.parametrize('band', noise.BANDS)
@pytest.mark.parametrize('shape', [(64, 48, 3), (31, 45, 3)])
def test_noise_of_one_band(band, shape):
    found = noise.band_noise(shape, band, np.random.default_rng(0))
    assert np.sqrt((found**2).mean()) == pytest.approx(1)
    radius = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    power = (np.abs(np.fft.fft2(found, axes=(0, 1))) ** 2).sum(-1)
    low, high = noise.BANDS[band]
    inside = (radius >= low) & (radius < high)
    assert power[inside].sum() == pytest.approx(power.sum())
    assert power[0, 0] < 1e-12 * power.sum()


def test_noise_is_the_same_for_every_model():
    results = dict(img=np.full((32, 32, 3), 3, np.uint8), img_path='data/val/a.jpg')
    first, second = (noise.BandNoise('high', 8.0)(dict(results))['img'] for _ in range(2))
    assert (first == second).all()
    other = noise.BandNoise('high', 8.0)(results | dict(img_path='data/val/b.jpg'))['img']
    assert (first != other).any()
    assert np.sqrt(((first - 3) ** 2).mean()) == pytest.approx(8)


def test_the_sweep_measures_on_other_images(tmp_path):
    content = dict(
        images=[dict(id=i) for i in range(11)],
        annotations=[dict(id=i, image_id=i // 2) for i in range(22)],
        categories=[dict(id=1)],
    )
    (tmp_path / 'train.json').write_text(json.dumps(content))
    dataset = dict(type='CocoDataset', ann_file='train.json', data_prefix=dict(img='train/'))
    cfg = Config(
        dict(
            data_root=str(tmp_path),
            train_dataloader=dict(dataset=dataset),
            val_dataloader=dict(dataset=dataset | dict(ann_file='val.json')),
            val_evaluator=[dict(ann_file='val.json')],
        )
    )
    sweep.hold_out_training_images(cfg, tmp_path / 'parts')
    fit, tune = (
        json.loads(Path(loader.dataset.ann_file).read_text())
        for loader in (cfg.train_dataloader, cfg.val_dataloader)
    )
    assert cfg.val_evaluator[0].ann_file == cfg.val_dataloader.dataset.ann_file
    images = [{image['id'] for image in part['images']} for part in (fit, tune)]
    assert images[1] == {0, 5, 10}
    assert images[0] == set(range(11)) - images[1]
    for part, of_part in zip((fit, tune), images, strict=True):
        assert {a['image_id'] for a in part['annotations']} == of_part
        assert len(part['annotations']) == 2 * len(of_part)


def test_mean_iou_of_resampled_images():
    generator = np.random.default_rng(0)
    truths = list(generator.integers(0, 3, (4, 6, 5)))
    predictions = list(generator.integers(0, 3, (4, 6, 5)))
    truths[1][0] = 255
    areas = resampling.Areas.of_maps(predictions, truths, 3)
    chosen = [0, 1, 1]
    truth = np.concatenate([truths[i] for i in chosen])
    predicted = np.concatenate([predictions[i] for i in chosen])
    known = truth != 255
    ious = [
        (known & (truth == c) & (predicted == c)).sum()
        / (known & ((truth == c) | (predicted == c))).sum()
        for c in range(3)
    ]
    assert areas.percent(np.bincount(chosen, minlength=4)) == pytest.approx(100 * np.mean(ious))


def test_mask_ap_of_resampled_images(tmp_path):
    """The AP of a sample in which images come twice is that of a file that has them twice."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    generator = np.random.default_rng(0)

    def box(image, category, x, **more):
        polygon = [x, 10, x + 20, 10, x + 20, 30, x, 30]
        found = dict(image_id=image, category_id=category, segmentation=[polygon])
        return found | dict(bbox=[x, 10, 20, 20], area=400, iscrowd=0) | more

    # Image 3 has no instance, image 4 no detection.
    places = [(image, 1 + x % 2, 30 * x) for image in (0, 1, 2, 4) for x in range(4)]
    truth = [box(*place) for place in places]
    found = [
        box(image, category, x + int(generator.integers(6)), score=generator.random())
        for image, category, x in [*places[:12] * 2, (3, 1, 30), (3, 2, 60)]
    ]

    def files(sample):
        content = dict(
            info={},
            images=[dict(id=new, height=64, width=128) for new, _ in enumerate(sample)],
            annotations=[
                one | dict(image_id=new)
                for new, old in enumerate(sample)
                for one in truth
                if one['image_id'] == old
            ],
            categories=[dict(id=number, name=str(number)) for number in (1, 2, 3)],
        )
        for number, one in enumerate(content['annotations']):
            one['id'] = number + 1
        detections = [
            one | dict(image_id=new)
            for new, old in enumerate(sample)
            for one in found
            if one['image_id'] == old
        ]
        paths = tmp_path / 'truth.json', tmp_path / 'found.json'
        for path, of in zip(paths, (content, detections), strict=True):
            path.write_text(json.dumps(of))
        return paths

    counts = resampling.Counts(resampling.ByClass.of_files(*files(range(5)), 100), np.arange(5))
    counts.save(tmp_path / 'results' / 'counts.npz')
    again = resampling.Counts.load(tmp_path / 'results' / 'counts.npz')
    for sample in ([0, 1, 2, 3, 4], [1, 1, 2, 3, 3], [0, 0, 0, 4, 2], [4, 0, 3, 1, 4]):
        truth_file, found_file = files(sample)
        coco = COCO(str(truth_file))
        evaluation = COCOeval(coco, coco.loadRes(str(found_file)), 'segm')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert 0.2 < evaluation.stats[0] < 0.9
        times = np.bincount(sample, minlength=5)
        assert counts.metric.percent(times) == pytest.approx(100 * evaluation.stats[0])
        assert again.metric.percent(times) == counts.metric.percent(times)


def mean_of(values, block):
    """Counts whose metric is the mean of the images' values."""
    return resampling.Counts(
        resampling.Areas(values[:, None] / 100, np.ones((len(values), 1))), block
    )


def test_an_interval_of_differences():
    values = np.random.default_rng(1).normal(5, 1, 400)
    alone = np.arange(400)
    ours, constant = mean_of(values, alone), mean_of(0 * values + 5, alone)
    assert intervals.interval(mean_of(values + 1, alone), ours, 200) == pytest.approx((1, 1, 1))
    difference, low, high = intervals.interval(ours, constant, 1000)
    assert difference == pytest.approx(values.mean() - 5)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((difference - half, difference + half), abs=0.02)


def test_blocks_of_neighbors():
    names = [f'a_{i}' for i in range(5)] + [f'b_{i}' for i in range(4)]
    assert intervals.video_blocks(names, 2).tolist() == [0, 0, 1, 1, 2, 3, 3, 4, 4]
    # Blocks of ten equal values are ten times fewer draws.
    values = np.repeat(np.random.default_rng(1).normal(5, 1, 400), 10)
    block = np.repeat(np.arange(400), 10)
    found = intervals.interval(mean_of(values, block), mean_of(0 * values + 5, block), 1000)
    half = 1.96 * values.std() / 20
    assert found[1:] == pytest.approx((found[0] - half, found[0] + half), abs=0.02)


def test_intervals_stay_where_nothing_is_counted_anew(tmp_path, monkeypatch):
    """Counts of two runs give one interval; that of a run without counts is kept."""
    pytest.importorskip('torch')
    pytest.importorskip('mmpretrain')
    monkeypatch.chdir(tmp_path)  # work_dirs
    ours, other, gone = (
        training.Run('camvid', model, 1e-3) for model in ('spanetv2-pure', 'resnet', 'convnext')
    )
    for run in (ours, other, gone):
        append_csv(tmp_path / 'runs.csv', asdict(run) | dict(at_end=30.0))
    for run, values in ((ours, np.arange(4.0)), (other, np.arange(4.0) + 2)):
        mean_of(values, np.arange(4)).save(tmp_path / 'counts' / f'{run.name}.npz')
    keys = ('run', 'against', 'blocks', 'resamples', 'difference', 'low', 'high')
    for run in (gone.name, other.name, 'camvid_removed'):
        row = dict(zip(keys, (run, ours.name, 4, 1000, 9, 8, 10), strict=True))
        append_csv(tmp_path / 'intervals.csv', row)
    monkeypatch.setattr('sys.argv', ['intervals', '--out-dir', str(tmp_path)])
    intervals.main()
    found = {row['run']: row['difference'] for row in read_csv(tmp_path / 'intervals.csv')}
    assert found == {gone.name: '9', other.name: '2.0'}


def test_a_sweep_ends_where_the_highest_rate_is_not_the_best():
    scores = dict.fromkeys(RATES, 1.0)
    assert training.rates_to_sweep({}) == list(RATES)
    assert training.rates_to_sweep(scores) == list(RATES)
    scores[RATES[-1]] = 2.0
    assert training.rates_to_sweep(scores) == [*RATES, 2 * RATES[-1]]
    scores[2 * RATES[-1]] = 1.5
    assert training.rates_to_sweep(scores) == [*RATES, 2 * RATES[-1]]


def test_the_best_rate_of_a_family(tmp_path):
    scores = dict(zip(RATES, (0.2, 0.3, 0.3, 0.1), strict=True))
    for run, score in (
        *((training.Run('nuclei', 'convformer', rate), score) for rate, score in scores.items()),
        (training.Run('nuclei', 'spanetv2-pure', 2e-3), 0.9),
        (training.Run('camvid', 'convformer', 2e-3), 50.0),
    ):
        append_csv(tmp_path / 'rates.csv', asdict(run) | dict(at_end=score))
    assert training.best_rate(tmp_path / 'rates.csv', 'nuclei', 'metaformer') == 1e-3
    with pytest.raises(InputError, match=r'spanetv2 on nuclei at 0\.0005, 0\.001, 0\.004'):
        training.best_rate(tmp_path / 'rates.csv', 'nuclei', 'spanetv2')


def test_a_run_is_claimed_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # work_dirs
    table, run = tmp_path / 'runs.csv', training.Run('nuclei', 'convformer', 1e-3)
    with training.claim(run, table) as first, training.claim(run, table) as second:
        assert first
        assert not second
    append_csv(table, asdict(run) | dict(at_end=0.1))
    with training.claim(run, table) as again:
        assert not again
    with training.claim(training.Run('nuclei', 'convformer', 2e-3), table) as other:
        assert other


def test_kinds_of_microscopy_images():
    """Light cells on black, dark cells on white, and purple ones on pink."""
    cells = np.zeros((32, 32, 1), bool)
    cells[8:16, 8:16] = True
    assert kinds.kind_of(np.where(cells, np.uint8(200), np.uint8([5, 5, 5]))) == 'dark'
    assert kinds.kind_of(np.where(cells, np.uint8(40), np.uint8([230, 230, 230]))) == 'bright'
    pink, purple = np.uint8([220, 180, 210]), np.uint8([110, 60, 140])
    assert kinds.kind_of(np.where(cells, purple, pink)) == 'stained'


def test_tests_without_padding_stand_by_seed(tmp_path):
    for seed, score in ((0, 30.0), (1, 32.0)):
        run = training.Run('camvid', 'resnet', 1e-3, seed)
        row = dict(at_end=score, best=score, epochs=12, peak_memory_mib=100 + seed)
        row |= dict(backbone_params_m=1, macs_m=1000, machine='m', versions='v')
        append_csv(tmp_path / 'runs.csv', asdict(run) | row)
        append_csv(training.log_path(tmp_path / 'runs.csv', run), dict(boundary_mIoU=20.0))
    append_csv(tmp_path / 'unpadded.csv', dict(run=run.name, padded=32.0, unpadded=33.0))
    table = tables.results(tmp_path, 'camvid')
    assert '| seed 1: 33.0 ' in table
    assert '| 100 to 101 ' in table


def test_ranges_of_gains():
    """A filter of one frequency: cycles per position on each axis, and the sign does not count."""
    gain = np.full((8, 6), 0.5)
    gain[2, 3] = 0.625  # (1/4, 1/2) cycles per position
    gain[7, 0] = 0.375  # (-1/8, 0)
    (row,) = inside.gain_ranges([HeadGain(3, 2, 5, gain, np.zeros_like(gain))])
    assert row == dict(
        stage=3,
        head=2,
        kernel_size=5,
        lowest=0.375,
        lowest_at=0.125,
        highest=0.625,
        highest_at=0.559,
    )


def test_the_figure_of_the_runs(tmp_path):
    for run, score in (
        (training.Run('nuclei', 'spanetv2-pure', 1e-3), 0.25),
        (training.Run('nuclei', 'spanetv2-pure', 1e-3, seed=1), 0.35),
        (training.Run('nuclei', 'convformer', 1e-3), 0.5),
        (training.Run('nuclei', 'convformer', 1e-3, init='cifar10'), 0.9),
        (training.Run('camvid', 'convformer', 1e-3), 40.0),
    ):
        append_csv(tmp_path / 'runs.csv', asdict(run) | dict(at_end=score))
    figure = figures.draw_runs(figures.run_rows(tmp_path / 'runs.csv'))
    nuclei_panel, camvid_panel = figure.axes
    assert [label.get_text() for label in nuclei_panel.get_yticklabels()] == [
        'spanetv2-pure',
        'convformer',
    ]
    dots = [(list(line.get_xdata()), list(line.get_ydata())) for line in nuclei_panel.get_lines()]
    assert dots == [([25, 35], [0, 0]), ([50], [1])]
    assert list(camvid_panel.get_lines()[0].get_xdata()) == [40]


def test_predictions_are_colored():
    labels = np.array([[0, 1, 255]], np.uint8)
    colored = pictures.color_classes(labels, [(1, 2, 3), (200, 0, 9)])
    assert colored.tolist() == [[[1, 2, 3], [200, 0, 9], [0, 0, 0]]]
    image = np.full((1, 3, 3), 90, np.uint8)
    first, second = np.array([[1, 0, 0]]), np.array([[0, 1, 0]])
    colored = pictures.color_instances(image, [first, second])
    assert (colored[0, 2] == 90).all()
    assert (colored[0, 0] != colored[0, 1]).any()
    assert (colored[0, 0] != 90).any()


def test_detections_beyond_a_hundred_count(tmp_path):
    """150 instances of an image, all found: COCO's own AP counts 100 of them."""
    torch = pytest.importorskip('torch')
    pytest.importorskip('mmdet')
    from projects.side_by_side.photographs.crowded import CrowdedCocoMetric

    boxes = [[30 * (i % 15), 30 * (i // 15), 20, 20] for i in range(150)]
    content = dict(
        images=[dict(id=1, height=300, width=450)],
        annotations=[
            dict(id=i + 1, image_id=1, category_id=1, bbox=box, area=400, iscrowd=0)
            for i, box in enumerate(boxes)
        ],
        categories=[dict(id=1, name='nucleus')],
    )
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(content))
    corners = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes], dtype=torch.float32)
    found = dict(bboxes=corners, scores=torch.linspace(1, 0.5, 150), labels=torch.zeros(150).int())
    metric = CrowdedCocoMetric(str(path), 'bbox', proposal_nums=(100, 300, 400))
    metric.dataset_meta = dict(classes=('nucleus',))
    metric.process({}, [dict(img_id=1, ori_shape=(300, 450), pred_instances=found)])
    assert metric.evaluate(size=1)['coco/bbox_mAP'] == 1


@pytest.mark.parametrize('model', ['convformer', 'spanetv2-pure', 'hornet-gf'])
def test_maps_are_contiguous(model):
    """mmcv's RoIAlign reads the memory of a map as if it were."""
    torch = pytest.importorskip('torch')
    pytest.importorskip('mmpretrain')
    from mmspanet.registry import MODELS
    from projects.side_by_side.photographs import backbones  # noqa: F401
    from projects.side_by_side.photographs.contestants import ALL

    maps = MODELS.build(ALL[model].backbone)(torch.zeros(1, 3, 64, 64))
    assert all(feature.is_contiguous() for feature in maps)
