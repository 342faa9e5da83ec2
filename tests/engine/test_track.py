"""Trackers: curves and pictures arrive, and a resumed run goes on with its own."""

import json

import pytest

from mmspanet.engine import track
from tests.helpers import SHAPES_CONFIGS, run, shapes_options
from tools import train

TAGS = {'accuracy/top1', 'loss'}


def test_trackers_of_the_command_are_those_of_the_module():
    assert set(train.TRACKERS) == set(track.TRACKERS)


def test_a_name_is_kept_for_resumed_runs_only(tmp_path):
    first = track._name(tmp_path, 'wandb', is_new=True, keep=True)
    assert track._name(tmp_path, 'wandb', is_new=False, keep=True) == first
    track._name(tmp_path, 'mlflow', is_new=False, keep=True)  # the first of this tracker
    assert track._name(tmp_path, 'wandb', is_new=False, keep=True) == first
    assert track._name(tmp_path, 'wandb', is_new=True, keep=True) != first
    assert set(json.loads((tmp_path / track.NAMES).read_text())) == {'wandb', 'mlflow'}


def test_the_first_of_several_processes_names_the_run(tmp_path):
    """Before any of them knows of a group."""
    track._name(tmp_path, 'wandb', is_new=True, keep=False)
    assert not (tmp_path / track.NAMES).exists()
    first = track._name(tmp_path, 'wandb', is_new=True, keep=True)
    assert track._name(tmp_path, 'wandb', is_new=False, keep=False) == first


def test_the_backends_of_the_config_stay(monkeypatch, tmp_path):
    from mmengine.config import Config

    monkeypatch.setattr(track, 'find_spec', lambda name: True)
    own = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    for settings in (
        dict(visualizer=dict(type='Visualizer', vis_backends=own)),
        dict(vis_backends=own, visualizer=dict(type='Visualizer', vis_backends=own)),
        dict(vis_backends=own),
    ):
        cfg = Config(dict(work_dir=str(tmp_path), default_hooks=dict(), **settings))
        track.track(cfg, 'mlflow')
        kinds = [backend['type'] for backend in cfg.visualizer.vis_backends]
        assert kinds[:2] == ['LocalVisBackend', 'TensorboardVisBackend']
        assert len(kinds) == 3


def test_a_missing_package_is_said(monkeypatch, tmp_path):
    from mmengine.config import Config

    monkeypatch.setattr(track, 'find_spec', lambda name: None)
    with pytest.raises(track.InputError, match='pip install mlflow'):
        track.track(Config(dict(work_dir=str(tmp_path))), 'mlflow')


@pytest.fixture
def trained_twice(shapes_root, tmp_path):
    """``trained_twice(tracker)``: the work dir of a classifier's two epochs, resumed between."""

    def train_with(tracker):
        folder = tmp_path / 'run'
        options = [*shapes_options('cls', shapes_root), 'train_cfg.val_interval=1']
        for epochs, more in ((1, []), (2, ['--resume'])):
            run(
                ['tools/train.py', SHAPES_CONFIGS['cls'], '--work-dir', folder, '--no-report',
                 '--track', tracker, *more, *options, f'train_cfg.max_epochs={epochs}'],
            )  # fmt: skip
        return folder

    return train_with


@pytest.mark.slow
def test_tensorboard(trained_twice):
    accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    (folder,) = (trained_twice('tensorboard') / 'tensorboard').iterdir()
    events = accumulator.EventAccumulator(str(folder), {'images': 0, 'scalars': 0}).Reload()
    assert set(events.Tags()['scalars']) >= TAGS
    steps = [event.step for event in events.Scalars('loss')]
    assert steps == sorted(set(steps))
    assert len(events.Scalars('accuracy/top1')) == 2
    assert events.Tags()['images']


@pytest.mark.slow
def test_mlflow(trained_twice):
    mlflow = pytest.importorskip('mlflow')
    folder = trained_twice('mlflow') / 'mlflow'
    client = mlflow.MlflowClient(f'sqlite:///{folder / "mlflow.db"}')
    (experiment,) = [e for e in client.search_experiments() if e.name == 'run']
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == 'FINISHED'
    assert set(found.data.metrics) >= TAGS
    steps = [m.step for m in client.get_metric_history(found.info.run_id, 'loss')]
    assert steps == sorted(set(steps))
    assert len(client.get_metric_history(found.info.run_id, 'accuracy/top1')) == 2
    assert list((folder / 'artifacts').rglob('pictures/*.png'))


def wandb_records(path):
    """The records of a log of LevelDB's format, behind a header of 7 bytes."""
    log, at, whole = path.read_bytes(), 7, b''
    while at + 7 <= len(log):
        left = 32768 - at % 32768  # of the block
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(log[at + 4 : at + 6], 'little'), log[at + 6]
        whole += log[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b''


@pytest.mark.slow
def test_wandb(trained_twice):
    pytest.importorskip('wandb')
    from wandb.proto.wandb_internal_pb2 import Record

    folder = trained_twice('wandb') / 'wandb'
    files = sorted(folder.rglob('*.wandb'))
    records = [Record.FromString(data) for path in files for data in wandb_records(path)]
    ids = {r.run.run_id for r in records if r.WhichOneof('record_type') == 'run'}
    history = [r.history for r in records if r.WhichOneof('record_type') == 'history']
    assert len(files) == 2
    assert len(ids) == 1  # two folders of one run, which `wandb sync` joins
    steps = [entry.step.num for entry in history]
    assert steps == sorted(set(steps))
    keys = {'/'.join(item.nested_key) or item.key for entry in history for item in entry.item}
    assert keys >= TAGS
    assert list(folder.rglob('media/images/**/*.png'))
