"""What tools/deployment/benchmark.py puts together: scores, turns, tables."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmspanet.deployment import benchmark, contestants
from mmspanet.errors import InputError
from mmspanet.runtime import masks
from tests.helpers import ROOT, SHAPES_CONFIGS
from tests.runtime import graphs


def truth(sample) -> dict:
    """The answer that nothing can be better than."""
    if 'gt_instances' in sample:
        found = sample.gt_instances
        return dict(
            bboxes=np.asarray(found.bboxes.tensor), labels=np.asarray(found.labels),
            scores=np.ones(len(found.labels), np.float32),
            masks=[masks.encode(mask.astype(bool)) for mask in found.masks.to_ndarray()],
        )  # fmt: skip
    if 'gt_sem_seg' in sample:
        return dict(label_map=sample.gt_sem_seg.data[0].numpy().astype(np.uint8))
    return dict(probabilities=np.eye(5, dtype=np.float32)[sample.gt_label.item()])


@pytest.mark.slow
@pytest.mark.parametrize('task', SHAPES_CONFIGS)
def test_the_truth_scores_100_on_some_of_the_images(task, shapes_root):
    pytest.importorskip('mmpretrain')
    cfg = Config.fromfile(ROOT / SHAPES_CONFIGS[task])
    layout = shapes_root / dict(det='coco', seg='ade', cls='imagenet')[task]
    cfg.test_dataloader.dataset.data_root = str(layout)
    if task == 'det':
        cfg.test_evaluator.ann_file = str(layout / 'annotations/instances_val2017.json')
    test_set = benchmark.TestSet(cfg, 3)
    assert len(set(test_set.paths())) == 3
    assert all(Path(path).is_file() for path in test_set.paths())
    answers = [truth(test_set.dataset[i]['data_samples']) for i in test_set.indexes]
    found = benchmark.headline(test_set.score(iter(answers)))
    names = dict(det={'box AP', 'mask AP'}, seg={'mIoU'}, cls={'top-1'})[task]
    assert found == pytest.approx(dict.fromkeys(names, 100), abs=0.1)
    wrong = dict(answers[0])  # of one of the three images
    name = dict(det='labels', seg='label_map', cls='probabilities')[task]
    wrong[name] = np.roll(wrong[name], 1) if task == 'cls' else (wrong[name] + 1) % 5
    worse = benchmark.headline(test_set.score(iter([wrong, *answers[1:]])))
    assert all(worse[name] < 99 for name in names)


def entry(file: Path) -> contestants.Entry:
    return contestants.Entry('onnx-fp32', file, '', '', 'cpu', 1)


@pytest.mark.slow
def test_contestants_take_turns_in_processes_of_their_own(tmp_path):
    image = str(tmp_path / 'a.png')
    cv2.imwrite(image, graphs.picture())
    processes = {
        name: benchmark.Process(entry(make(tmp_path / f'{name}.onnx')))
        for name, make in graphs.MAKERS.items()
    }
    try:
        times = benchmark.time_in_turn(processes, [image], 4)
        assert {name: len(taken) for name, taken in times.items()} == dict.fromkeys(processes, 4)
        assert all(taken > 0 for taken in times['detection'])
        answers = {name: process.answer(image) for name, process in processes.items()}
        assert answers['detection']['labels'].tolist() == [1, 2]
        assert len(answers['detection']['masks']) == 2
        assert answers['segmentation']['label_map'].shape == (90, 130)
        assert answers['classification']['probabilities'].argmax() == 2
        for name, process in processes.items():
            assert process.size() == (tmp_path / f'{name}.onnx').stat().st_size
            assert 20e6 < process.peak_memory() < 300e6  # numpy, OpenCV, the runtime; no PyTorch
    finally:
        for process in processes.values():
            process.close()


@pytest.mark.slow
def test_what_a_form_can_not_run_is_said_by_its_process(tmp_path):
    (tmp_path / 'a.onnx').write_bytes(b'no graph')
    with pytest.raises(InputError, match='can not be opened'):
        benchmark.Process(entry(tmp_path / 'a.onnx'))


ROWS = [
    dict(form='pytorch', bytes=12_340_000, metrics={'box AP': 50.04, 'mask AP': 49.0}, peak=900e6,
         seconds=[0.010, 0.011, 0.012, 0.013, 0.5], fault=None),
    dict(form='onnx-int8', bytes=4_000_000, metrics={'box AP': 48.0, 'mask AP': 47.5}, peak=200e6,
         seconds=[0.006] * 5, fault='error: AP is 48.00 instead of 50.04.'),
    dict(form='aoti-fp32', bytes=None, metrics={}, peak=None, seconds=[], fault='no compiler'),
]  # fmt: skip


def cells(table: str, form: str) -> list[str]:
    (line,) = (line for line in table.splitlines() if line.startswith(f'| {form} |'))
    return [cell.strip() for cell in line.strip('|').split('|')]


@pytest.mark.parametrize('device', ['cpu', 'cuda:0'])
def test_a_runtime_gets_the_device(monkeypatch, device):
    calls = []

    def open_session(file, device, threads):
        calls.append(device)
        raise LookupError

    monkeypatch.setattr(contestants, 'open_session', open_session)
    entry = contestants.Entry('onnx', Path('a.onnx'), 'a.py', 'a.pth', device, threads=1)
    with pytest.raises(LookupError):
        contestants.Exported(entry)
    assert calls == [device]


def test_a_file_for_the_cpu_is_refused_on_a_gpu():
    entry = contestants.Entry('aoti', Path('a.pt2'), 'a.py', 'a.pth', 'cuda:0', threads=1)
    with pytest.raises(InputError, match='give --device cpu'):
        contestants.Exported(entry)


def test_the_table_has_a_row_for_each_form_and_says_what_failed():
    table = benchmark.markdown(dict(rows=ROWS))
    assert cells(table, 'pytorch') == [
        'pytorch', '12.3', '50.0', '49.0', '900', '12.0', '10.5 to 256.5'
    ]  # fmt: skip
    assert cells(table, 'aoti-fp32') == ['aoti-fp32', *['-'] * 6]
    assert '- onnx-int8: error: AP is 48.00 instead of 50.04.' in table
    assert '- aoti-fp32: no compiler' in table


def test_figures_that_were_not_taken_have_no_column():
    table = benchmark.markdown(dict(rows=[row | dict(seconds=[]) for row in ROWS]))
    assert cells(table, 'pytorch') == ['pytorch', '12.3', '50.0', '49.0', '900']


def test_the_plot_shows_what_its_csv_says(tmp_path):
    rows = ROWS[:2]
    paths = benchmark.draw(dict(rows=rows), tmp_path / 'a')
    assert [path.suffix for path in paths] == ['.png', '.svg', '.csv']
    lines = (tmp_path / 'a.csv').read_text().splitlines()
    assert lines[0] == 'form,"ms per image, median",box AP'
    assert lines[1].startswith('pytorch,12')
    benchmark.draw(dict(rows=[row | dict(seconds=[]) for row in rows]), tmp_path / 'b')
    assert 'pytorch,12.34,' in (tmp_path / 'b.csv').read_text()
    assert benchmark.draw(dict(rows=ROWS[2:]), tmp_path / 'c') == []
