"""What ends a training, and what a resumed one goes on with: short runs of a small classifier."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.hooks import Hook
from torch.utils.data import DataLoader, Dataset

from mmspanet.checkpoints import newest_whole_checkpoint
from mmspanet.checkpoints.reader import read_checkpoint
from mmspanet.checkpoints.safe import guard_process, release_process
from mmspanet.engine import run as runs
from mmspanet.engine.lock import NAME, lock_work_dir
from mmspanet.errors import InputError, Stopped, WorkerError
from tests.engine.test_training import make_runner
from tests.helpers import ROOT, is_alive

PATIENCE = 300  # seconds; nothing here takes nearly as long


class Ask(Hook):
    """Sends this process a signal at a moment of the training."""

    priority = 'VERY_HIGH'

    def __init__(self, moment, count, number=signal.SIGTERM):
        self.count, self.number = count, number
        setattr(self, moment, self.see)

    def see(self, *_, **__):
        self.count -= 1
        if self.count == 0:
            os.kill(os.getpid(), self.number)

    def get_triggered_stages(self):
        return []


def asked(runner, *args):
    runner.register_hook(Ask(*args))
    with pytest.raises(Stopped) as stopped:
        runs.train(runner, save_on_signal=True)
    return stopped.value


def by_iterations(cfg):
    cfg.train_cfg = dict(by_epoch=False, max_iters=6, val_interval=3)
    return runs.build(cfg)


ITERATIONS = {
    'build': by_iterations,
    'default_hooks.checkpoint.by_epoch': False,
    'default_hooks.checkpoint.interval': 6,
    'custom_hooks': [],
}


@pytest.mark.parametrize(
    ('moment', 'options', 'name', 'epoch', 'iteration'),
    [
        (('before_train_iter', 1), {}, 'epoch_0_iter_1', 0, 1),
        (('before_train_iter', 3, signal.SIGUSR1), {}, 'epoch_1_iter_3', 1, 3),
        (('before_train_iter', 2), {}, 'epoch_1', 1, 2),
        (('before_val_iter', 1), {'default_hooks.checkpoint.interval': 9}, 'epoch_1', 1, 2),
        (('before_train_iter', 2), ITERATIONS, 'iter_2', 0, 2),
        (('before_val_iter', 1), ITERATIONS, 'iter_3', 0, 3),
        (('before_val_epoch', 1), ITERATIONS, 'iter_3', 0, 3),
        (('after_val_epoch', 1), {'default_hooks.checkpoint.interval': 9}, 'epoch_1', 1, 2),
    ],
)
def test_a_signal_ends_a_training_after_its_iteration(
    data_root,
    tmp_path,
    moment,
    options,
    name,
    epoch,
    iteration,
):
    runner = make_runner(data_root, tmp_path, 3, **options)
    stop = asked(runner, *moment)
    assert f'{name}.pth' in str(stop)
    assert stop.status == 128 + (moment[2:] or (signal.SIGTERM,))[0]
    meta = read_checkpoint(tmp_path / f'{name}.pth')['meta']
    assert (meta['epoch'], meta['iter']) == (epoch, iteration)
    assert newest_whole_checkpoint(str(tmp_path)) == str(tmp_path / f'{name}.pth')
    resumed = make_runner(data_root, tmp_path, 3, **options)
    runs.train(resumed)
    assert resumed.epoch == 3 or resumed.iter == 6


class Validations(Hook):
    """Notes when the run validates."""

    def __init__(self):
        self.seen = []

    def before_val_epoch(self, runner):
        self.seen.append((runner.epoch, runner.iter))


@pytest.mark.parametrize(
    ('moment', 'options', 'expected'),
    [
        (('before_train_iter', 5), {}, [(3, 7)]),  # within the third epoch, which begins anew
        (('before_val_iter', 2), {}, [(2, 4), (3, 6)]),
        (('before_train_iter', 2), ITERATIONS, [(0, 3), (0, 6)]),
        (('before_val_iter', 1), ITERATIONS, [(0, 3), (0, 6)]),
    ],
)
def test_a_resumed_run_validates_what_was_not_validated(
    data_root, tmp_path, moment, options, expected, monkeypatch
):
    """And no weights in between: they would be the best of an epoch that they are not of."""
    scores = iter(range(90, 0, -10))  # the first validation is the best
    monkeypatch.setattr(
        'mmpretrain.evaluation.metrics.Accuracy.compute_metrics',
        lambda *_: dict(top1=float(next(scores))),
    )
    asked(make_runner(data_root, tmp_path, 3, **options), *moment)
    resumed, noted = make_runner(data_root, tmp_path, 3, **options), Validations()
    resumed.register_hook(noted)
    runs.train(resumed)
    assert noted.seen == expected


def test_a_signal_in_a_validation_keeps_the_weights_that_are_trained(data_root, tmp_path):
    """The averaged ones of an EMAHook are in the model's place at that time."""
    options = {
        'custom_hooks': [dict(type='mmspanet.EpochSeedHook'), dict(type='EMAHook', momentum=0.5)]
    }
    make_runner(data_root, tmp_path / 'whole', 1, **options).train()
    cut = make_runner(
        data_root, tmp_path / 'cut', 2, **options, **{'default_hooks.checkpoint.interval': 9}
    )
    asked(cut, 'before_val_iter', 1)
    whole, cut = (read_checkpoint(tmp_path / folder / 'epoch_1.pth') for folder in ('whole', 'cut'))
    for key in ('state_dict', 'ema_state_dict'):
        for weight, value in whole[key].items():
            assert torch.equal(value, cut[key][weight]), (key, weight)


def test_a_signal_that_comes_twice(data_root, tmp_path, monkeypatch):
    """At once, as Slurm and torchrun send it, it is one; later it ends the run as it is."""

    def ended(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, ended)
    try:
        for wait, end in ((60.0, Stopped), (0.0, KeyboardInterrupt)):
            monkeypatch.setattr(runs, 'REPEATS', wait)
            runner = make_runner(data_root, tmp_path / str(wait), 3)
            for _ in range(2):
                runner.register_hook(Ask('before_train_iter', 1))
            with pytest.raises(end):
                runs.train(runner, save_on_signal=True)
            assert (tmp_path / str(wait) / 'epoch_0_iter_1.pth').is_file() == (end is Stopped)
            assert signal.getsignal(signal.SIGTERM) is ended
    finally:
        signal.signal(signal.SIGTERM, before)


def test_no_process_ends_before_the_checkpoint_is_written(data_root, tmp_path, monkeypatch):
    """srun --kill-on-bad-exit ends all with the first."""
    found = []
    monkeypatch.setattr(runs, 'barrier', lambda: found.extend(tmp_path.glob('epoch_*.pth')))
    asked(make_runner(data_root, tmp_path, 3), 'before_train_iter', 1)
    assert [path.name for path in found] == ['epoch_0_iter_1.pth']


def test_several_processes_end_after_a_validation(data_root, tmp_path, monkeypatch):
    """Within one they do not wait for each other: the first to end would leave the others."""
    monkeypatch.setattr(runs, 'is_distributed', lambda: True)
    monkeypatch.setattr(runs, 'all_reduce', lambda *_: None)
    runner, ended = make_runner(data_root, tmp_path, 3), Validations()
    ended.after_val_epoch = lambda runner, metrics: ended.seen.append(metrics)
    runner.register_hook(ended)
    asked(runner, 'before_val_iter', 1)
    assert len(ended.seen) == 2  # its begin and its end
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_processes_that_begin_with_other_checkpoints_are_refused(data_root, tmp_path, monkeypatch):
    make_runner(data_root, tmp_path, 1).train()
    monkeypatch.setattr(runs, 'all_gather_object', lambda name: [name, 'no checkpoint'])
    with pytest.raises(InputError, match=r'with epoch_1\.pth, others with no'):
        make_runner(data_root, tmp_path, 2, build=runs.build)


def test_a_signal_saves_over_the_checkpoint_of_an_earlier_run(data_root, tmp_path):
    runner = make_runner(data_root, tmp_path, 3, **{'default_hooks.checkpoint.interval': 9})
    earlier = tmp_path / 'epoch_1.pth'
    torch.save(dict(), earlier)
    asked(runner, 'before_val_iter', 1)
    assert read_checkpoint(earlier)['meta']['iter'] == 2
    assert (tmp_path / 'last_checkpoint').read_text() == str(earlier)


def test_an_earlier_run_in_the_folder_is_not_gone_on_with(tmp_path):
    def write(name, seconds):
        torch.save(dict(), tmp_path / f'{name}.pth')
        os.utime(tmp_path / f'{name}.pth', (seconds, seconds))

    for epoch in (10, 11, 12):
        write(f'epoch_{epoch}', epoch)
    for epoch in (1, 2, 3):
        write(f'epoch_{epoch}', 100 + epoch)
    (tmp_path / 'last_checkpoint').write_text(f'/moved/since/{tmp_path.name}/epoch_3.pth')
    os.utime(tmp_path / 'last_checkpoint', (103, 103))
    assert newest_whole_checkpoint(tmp_path) == str(tmp_path / 'epoch_3.pth')
    write('epoch_4', 104)  # and killed before the note
    assert newest_whole_checkpoint(tmp_path) == str(tmp_path / 'epoch_4.pth')


def test_a_mid_epoch_checkpoint_is_newer_than_its_epochs_and_older_than_the_next(tmp_path):
    for name in ('epoch_5', 'epoch_5_iter_537', 'epoch_6', 'epoch_4_iter_900'):
        torch.save(dict(), tmp_path / f'{name}.pth')
    assert newest_whole_checkpoint(str(tmp_path)) == str(tmp_path / 'epoch_6.pth')
    (tmp_path / 'epoch_6.pth').unlink()
    assert newest_whole_checkpoint(str(tmp_path)) == str(tmp_path / 'epoch_5_iter_537.pth')


def rates(runner):
    """The learning rate in each iteration."""
    seen = []

    class See(Hook):
        def before_train_iter(self, runner, **_):
            seen.append(runner.optim_wrapper.get_lr()['lr'][0])

    runner.register_hook(See())
    runs.train(runner)
    return seen


def schedule(lr, end=8):
    warm_up = dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=3)
    steps = dict(type='MultiStepLR', by_epoch=True, milestones=[2, 3], gamma=0.5)
    cosine = dict(type='CosineAnnealingLR', by_epoch=False, T_max=end)
    return {'optim_wrapper.optimizer.lr': lr, 'param_scheduler': [warm_up, steps, cosine]}


def with_hook(lr_from):
    return {'custom_hooks': [dict(type='mmspanet.ResumeHook', lr_from=lr_from)]}


@pytest.mark.parametrize('lr_from', ['checkpoint', 'config'])
def test_whose_learning_rate_a_resumed_run_has(data_root, tmp_path, lr_from):
    """Against runs that had the one or the other from their first iteration."""
    whole = schedule(1e-3) if lr_from == 'checkpoint' else schedule(1e-4, 20)
    expected = rates(make_runner(data_root, tmp_path / 'whole', 4, **whole))
    assert len(expected) == 8
    asked(make_runner(data_root, tmp_path / 'cut', 4, **schedule(1e-3)), 'before_train_iter', 4)
    resumed = rates(
        make_runner(data_root, tmp_path / 'cut', 4, **schedule(1e-4, 20), **with_hook(lr_from))
    )
    assert resumed == pytest.approx(expected[4:], rel=1e-12)


def test_the_schedule_of_a_run_that_goes_on_with_longer_epochs(data_root, tmp_path):
    """As on fewer GPUs: against a run that had them from its first iteration."""
    longer = schedule(1e-4, 20) | {'train_dataloader.batch_size': 2, 'log_level': 'INFO'}
    expected = rates(make_runner(data_root, tmp_path / 'whole', 3, **longer))
    assert len(expected) == 12
    asked(make_runner(data_root, tmp_path / 'cut', 3, **schedule(1e-4)), 'before_train_iter', 2)
    resumed = rates(make_runner(data_root, tmp_path / 'cut', 3, **longer, **with_hook('config')))
    assert resumed == pytest.approx(expected[4:], rel=1e-12)
    assert 'an epoch has 4 iterations' in log_of(tmp_path / 'cut')


def log_of(tmp_path):
    return max(tmp_path.glob('*/*.log'), key=os.path.getmtime).read_text()


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        ({'optim_wrapper.optimizer.lr': 1e-5}, 'learning rate 0.001 of the checkpoint'),
        ({'optim_wrapper.optimizer.weight_decay': 0.5}, 'weight_decay 0.05 of the checkpoint'),
        ({'train_dataloader.batch_size': 2}, 'batch size 2 of the config, instead of 4'),
        ({'train_cfg.max_epochs': 3}, 'end after 3 of the config, instead of 1'),
        (schedule(1e-3, 20), 'param_scheduler.2.T_max 8 of the checkpoint'),
    ],
)
def test_what_differs_is_said(data_root, tmp_path, change, expected):
    first = schedule(1e-3) | {'log_level': 'INFO', 'optim_wrapper.optimizer.weight_decay': 0.05}
    make_runner(data_root, tmp_path, 1, **first).train()
    epochs = change.get('train_cfg.max_epochs', 1)
    again = first | with_hook('checkpoint') | change
    runs.train(make_runner(data_root, tmp_path, epochs, **again))
    assert f'resume: {expected}' in log_of(tmp_path)


def test_what_differs_is_said_where_every_file_is_read_by_our_reader(data_root, tmp_path):
    """As in tools/train.py."""
    make_runner(data_root, tmp_path, 1).train()
    changes = with_hook('checkpoint') | {'log_level': 'INFO', 'train_dataloader.batch_size': 2}
    again = make_runner(data_root, tmp_path, 1, **changes)
    guard_process()
    try:
        runs.train(again)
    finally:
        release_process()
    assert 'resume: batch size 2 of the config, instead of 4' in log_of(tmp_path)


def test_a_finished_run_says_so(data_root, tmp_path):
    make_runner(data_root, tmp_path, 1).train()
    again = make_runner(data_root, tmp_path, 1, **with_hook('checkpoint'), **{'log_level': 'INFO'})
    runs.train(again)
    assert 'after 1 of 1 epochs: nothing is left to do' in log_of(tmp_path)
    assert 'resume: ' not in log_of(tmp_path)


@pytest.mark.parametrize(
    'change',
    [
        {'optim_wrapper.optimizer': dict(type='SGD', lr=0.1, _delete_=True)},
    ],
)
def test_another_optimizer_is_refused(data_root, tmp_path, change):
    make_runner(data_root, tmp_path, 1).train()
    with pytest.raises(InputError, match='another optimizer'):
        runs.train(make_runner(data_root, tmp_path, 2, **with_hook('checkpoint'), **change))


@pytest.mark.parametrize('key', ['decoupled_weight_decay', 'fused'])
def test_another_version_of_pytorch_is_no_other_optimizer(data_root, tmp_path, key):
    make_runner(data_root, tmp_path, 1).train()
    content = read_checkpoint(tmp_path / 'epoch_1.pth')
    for group in content['optimizer']['param_groups']:
        group.pop(key, None)
    torch.save(content, tmp_path / 'epoch_1.pth')
    runs.train(make_runner(data_root, tmp_path, 2, **with_hook('checkpoint')))
    assert (tmp_path / 'epoch_2.pth').exists()


def test_weights_alone_are_no_training(data_root, tmp_path):
    make_runner(data_root, tmp_path, 1).train()
    content = read_checkpoint(tmp_path / 'epoch_1.pth')
    torch.save({key: content[key] for key in ('state_dict', 'meta')}, tmp_path / 'epoch_1.pth')
    with pytest.raises(InputError, match='weights alone'):
        runs.train(make_runner(data_root, tmp_path, 2, **with_hook('checkpoint')))


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        ({'train_cfg.max_epochs': 'many'}, 'many'),
        ({'optim_wrapper.optimizer.lr': -1.0}, 'Invalid learning rate'),
        ({'optim_wrapper.optimizer.type': 'Nope'}, 'Nope'),
        ({'train_dataloader.batch_size': 0}, 'batch_size'),
        ({'param_scheduler': [dict(type='NoLR')]}, 'NoLR'),
        ({'default_hooks.logger.type': 'NoHook'}, 'NoHook'),
        ({'model.backbone.arch': 'nope'}, 'nope'),
    ],
)
def test_what_can_not_begin_says_so(data_root, tmp_path, change, named):
    def begin():
        runs.train(make_runner(data_root, tmp_path, 1, build=runs.build, **change))

    with pytest.raises(InputError, match=named) as caught:
        begin()
    assert '\n' not in str(caught.value)


def test_an_error_in_the_middle_keeps_its_type(data_root, tmp_path):
    class Fail(Hook):
        def before_train_iter(self, *_, **__):
            raise KeyError('a bug')

    runner = make_runner(data_root, tmp_path, 1)
    runner.register_hook(Fail())
    with pytest.raises(KeyError, match='a bug'):
        runs.train(runner)


def workers(pid):
    """The processes of data loaders below a process: forks, whose command is its own."""
    found = []
    command = Path(f'/proc/{pid}/cmdline').read_bytes()
    for path in os.listdir('/proc'):
        try:
            fields = Path(f'/proc/{path}/stat').read_text().rpartition(')')[2].split()
            own = Path(f'/proc/{path}/cmdline').read_bytes()
        except (OSError, ValueError):
            continue
        if fields[1] == str(pid) and fields[0] != 'Z' and own == command:
            found.append(int(path))
    return found


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, 'it did not happen'
        time.sleep(0.05)


@pytest.fixture
def start(data_root):
    """Start a training with two loader workers, which lasts until it is ended: it and its log."""
    started = []

    def begin(work_dir, *options):
        command = [sys.executable, 'tools/train.py', 'configs/cls/spanetv2_shapes.py']
        command += ['--work-dir', str(work_dir), '--no-report', *options, '--cfg-options']
        command += [f'{part}_dataloader.dataset.data_root={data_root}' for part in ('train', 'val')]
        command += ['train_dataloader.batch_size=4', 'train_dataloader.num_workers=2']
        command += ['train_cfg.max_epochs=100000', 'train_cfg.val_interval=100000']
        command += ['default_hooks.logger.interval=10']
        log = work_dir.with_name(f'{time.monotonic_ns()}.log')
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | dict(PYTHONPATH=str(ROOT)),
            stdout=log.open('w'),
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process, log

    yield begin
    for process in started:
        process.kill()
        process.wait(PATIENCE)


def wait_for_training(process, log):
    def is_training():
        assert process.poll() is None, log.read_text()
        return 'Epoch(train)' in log.read_text()

    wait_for(is_training)
    found = workers(process.pid)
    assert len(found) == 2
    return found


def says_once(log, words):
    """Whether one line has the words. Other processes may write behind it."""
    return sum(words in line for line in log.read_text().splitlines()) == 1


def has_traceback(log):
    """Whether the training ended in one.

    A worker that is asked for a batch while its main process ends shows how the connection broke.
    """
    return 'train.py", line' in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ('number', 'options', 'status', 'says'),
    [
        (signal.SIGKILL, [], -9, ''),
        (signal.SIGTERM, [], 143, 'stopped by SIGTERM'),
        (signal.SIGUSR1, ['--save-on-signal'], 138, 'is written, go on with --resume'),
    ],
)
def test_no_worker_is_left(start, tmp_path, number, options, status, says):
    process, log = start(tmp_path / 'work', *options)
    left = wait_for_training(process, log)
    process.send_signal(number)
    assert process.wait(PATIENCE) == status
    wait_for(lambda: not any(map(is_alive, left)))
    assert not says or says_once(log, says), log.read_text()
    assert not has_traceback(log), log.read_text()


@pytest.mark.slow
def test_a_killed_worker_is_one_sentence(start, tmp_path):
    process, log = start(tmp_path / 'work')
    os.kill(wait_for_training(process, log)[0], signal.SIGKILL)
    assert process.wait(PATIENCE) == 1
    assert says_once(log, 'lower num_workers'), log.read_text()
    assert not has_traceback(log), log.read_text()


@pytest.mark.parametrize(
    ('text', 'remedy'),
    [
        ('DataLoader worker (pid 7) is killed by signal: Killed. ', 'memory limit'),
        ('DataLoader worker (pid 7) is killed by signal: Bus error. It is', 'shared memory'),
        ('DataLoader worker (pid(s) 7, 8) exited unexpectedly', 'memory limit'),
    ],
)
def test_pytorchs_words_for_a_dead_worker(text, remedy):
    with pytest.raises(WorkerError, match=remedy):
        runs._name_killed_worker(RuntimeError(text))


@pytest.mark.parametrize(
    'where', ['yapflib.yapf_api.FormatCode', 'pytree.pytree_utils.ParseCodeToTree']
)
@pytest.mark.parametrize(
    ('error', 'named'),
    [
        (Stopped(signal.SIGTERM), Stopped),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. '), WorkerError),
    ],
)
def test_what_comes_while_mmengine_formats_the_config(
    data_root, tmp_path, monkeypatch, where, error, named
):
    """The first checkpoint holds the config as text."""

    def fail(*_, **__):
        raise error

    runner = make_runner(data_root, tmp_path, 1)
    monkeypatch.setattr(f'yapf.{where}', fail)
    with pytest.raises(named):
        runs.train(runner)


class _Zeros(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.zeros(3)


@pytest.fixture
def dying_worker(monkeypatch):
    """Batches of a worker that has closed its connections and that the system still calls alive."""
    batches = iter(DataLoader(_Zeros(), num_workers=1))
    next(batches)
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    worker = batches._workers[0]
    assert batches._data_queue._reader.poll(PATIENCE)  # the next batch is on its way
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    with monkeypatch.context() as patch:
        patch.setattr(worker, 'is_alive', lambda: True)
        yield batches
    batches._shutdown_workers()
    signal.signal(signal.SIGCHLD, before)


def test_a_worker_that_is_dying_is_named(dying_worker):
    with pytest.raises((ConnectionError, EOFError)) as caught:
        next(dying_worker)
    with pytest.raises(WorkerError, match='signal: unknown'):
        runs._name_killed_worker(caught.value)


@pytest.mark.parametrize(
    'error', [ConnectionResetError('of a file server'), EOFError(), RuntimeError('another error')]
)
def test_other_errors_are_no_dead_workers(error):
    runs._name_killed_worker(error)


@pytest.mark.slow
def test_one_training_in_a_work_dir(start, tmp_path):
    """The second says whose folder it is; after a SIGKILL of the first, another takes it over."""
    first, log = start(tmp_path / 'work')
    wait_for_training(first, log)
    second, log = start(tmp_path / 'work', '--resume')
    assert second.wait(PATIENCE) == 1
    assert f'process {first.pid} on ' in log.read_text().splitlines()[-1]
    assert 'Traceback' not in log.read_text()
    first.kill()
    first.wait(PATIENCE)
    assert (tmp_path / 'work' / NAME).is_file()
    third, log = start(tmp_path / 'work')
    wait_for_training(third, log)
    third.terminate()
    third.wait(PATIENCE)
    assert not (tmp_path / 'work' / NAME).exists()


def test_a_lock_of_another_machine(tmp_path, monkeypatch):
    (tmp_path / NAME).write_text('{"host": "elsewhere", "pid": 7, "job": "42"}')
    with pytest.raises(InputError, match='process 7 on elsewhere') as caught:
        lock_work_dir(tmp_path)
    assert str(tmp_path / NAME) in str(caught.value)
    monkeypatch.setenv('SLURM_JOB_ID', '42')  # the job was started again on this one
    lock_work_dir(tmp_path)
    with pytest.raises(InputError, match=f'process {os.getpid()} on'):
        lock_work_dir(tmp_path)


def ask_one_of_two(rank, rendezvous):
    """What each of the two processes does: the signal came to the second one alone."""
    dist.init_process_group('gloo', f'file://{rendezvous}', rank=rank, world_size=2)
    hook = runs._RunHook()
    hook.may_be_asked = True
    hook.asked_by = signal.SIGTERM if rank == 1 else None
    assert hook._all_asked()
    assert hook.asked_by == signal.SIGTERM
    hook.asked_by = None
    assert not hook._all_asked()
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_a_signal_to_one_of_several_processes_is_one_to_all(tmp_path):
    torch.multiprocessing.spawn(ask_one_of_two, (str(tmp_path / 'rendezvous'),), nprocs=2)
