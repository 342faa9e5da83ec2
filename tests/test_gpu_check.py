"""The order of the GPU checks goes on after one that fails or hangs, and the page says so."""

import json

from dev import gpu_check
from dev.gpu_check import Step, all_steps, page, run


def test_how_a_step_ends(tmp_path):
    done = run(Step('a', ['python', '-c', 'print("7 passed")'], 1, figures=str.strip), 1, tmp_path)
    assert (done.state, done.figures, done.end) == ('passed', '7 passed', '')
    done = run(Step('b', ['python', '-c', 'raise SystemExit("no ops")'], 1), 1, tmp_path)
    assert (done.state, done.end) == ('failed', 'no ops')
    done = run(Step('c', ['sleep', '600'], 0.001), 1, tmp_path)
    assert done.state == 'out of time'
    assert run(Step('d', ['none'], 1), 0.1, tmp_path).state == 'not run'
    assert run(Step('e', ['none'], 1, skip='one GPU'), 1, tmp_path).end == 'one GPU'
    figures = gpu_check.rows_of(tmp_path / 'missing.json')
    assert run(Step('f', ['true'], 1, figures=figures), 1, tmp_path).state == 'failed'


def test_a_training_with_a_loss_that_is_not_a_number_fails(tmp_path):
    scalars = tmp_path / 'work/1/vis_data/scalars.json'
    scalars.parent.mkdir(parents=True)
    step = Step('t', ['true'], 1, figures=gpu_check.training_figures(tmp_path / 'work'))
    scalars.write_text(json.dumps(dict(loss=1.5)) + '\n' + json.dumps(dict(mIoU=33.0)))
    assert run(step, 1, tmp_path).figures == 'loss 1.5, mIoU 33'
    scalars.write_text(json.dumps(dict(loss=float('nan'))))
    assert run(step, 1, tmp_path).state == 'failed'


def test_all_goes_on_after_a_failure_and_the_page_has_it_in_red(tmp_path, monkeypatch, capsys):
    steps = [Step('first', ['false'], 1), Step('second', ['true'], 1)]
    monkeypatch.setattr(gpu_check, 'all_steps', lambda device, out: steps)
    monkeypatch.setattr(
        'sys.argv',
        ['gpu_check.py', '--device', 'cpu', '--out', str(tmp_path), '--set-up', '0', '9'],
    )
    assert gpu_check.main() == 1
    record = json.loads((tmp_path / 'gpu_check.json').read_text())
    assert [s['state'] for s in record['steps']] == ['passed', 'failed', 'passed']
    text = (tmp_path / 'gpu_check.md').read_text()
    assert '| first | <span style="color:red">**failed**</span> |' in text
    assert page(record) == text


def test_the_steps_fit_into_an_hour_with_the_set_up(tmp_path):
    """Compiling mmcv for one GPU takes some 10 minutes."""
    assert sum(step.minutes for step in all_steps('cuda', tmp_path) if not step.skip) <= 52
