"""The five commands of docs/runtime.md, from a checkpoint to an int8 detector, on few images."""

import json
import re
import shlex

import pytest

from tests.helpers import ROOT, SHAPES_CONFIGS, run, shapes_options
from tests.runtime.test_command import without_torch


def commands() -> list[list[str]]:
    """The page's five lines, as the shell takes them apart."""
    page = (ROOT / 'docs/runtime.md').read_text()
    section = page.partition('int8 detector\n')[2]
    block = re.search(r'```shell\n(.*?)```', section, re.DOTALL)[1]
    return [shlex.split(line) for line in block.splitlines()]


@pytest.mark.slow
def test_a_checkpoint_becomes_an_int8_detector(tmp_path, trained, shapes_root):
    """The lines but those that install, with a config, a checkpoint and photographs put in."""
    pytest.importorskip('nncf')
    pytest.importorskip('mmdet')
    install, export, benchmark, install_too, predict = commands()
    assert install[0] == install_too[0] == 'pip'
    given = dict(
        CONFIG=SHAPES_CONFIGS['det'],
        CHECKPOINT=trained('det') / 'epoch_1.pth',
        PHOTOS=shapes_root / 'coco/val2017',
        results=tmp_path / 'results',
        **{'work_dirs/int8': tmp_path / 'int8'},
    )
    options = shapes_options('det', shapes_root)[1:]

    def filled(command: list[str]) -> list:
        assert command[0] == 'python'
        return [given.get(word, word) for word in command[1:]]

    run([*filled(export), '--check-count', 4, *options], status=None)  # too little trained
    run(
        [*filled(benchmark), '--count', 2, '--rounds', 2, '--threads', 1,
         '--out-dir', tmp_path / 'table', *options]
    )  # fmt: skip
    record = json.loads((tmp_path / 'table/maskrcnn_spanetv2_shapes.json').read_text())
    sizes = {row['form']: row['bytes'] for row in record['rows']}
    assert list(sizes) == ['pytorch', 'openvino-fp32', 'openvino-int8']
    assert sizes['openvino-int8'] < 0.5 * sizes['openvino-fp32']
    assert all(row['metrics'] and len(row['seconds']) == 2 for row in record['rows'])
    (model,) = (tmp_path / 'int8').glob('*.xml')
    _, module, _, *rest = filled(predict)
    without_torch(module, model, *rest)
    assert len(list((tmp_path / 'results/pictures').iterdir())) == 4
