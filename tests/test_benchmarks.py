"""What the benchmarks share: nothing is timed that computes something else, ratios are right."""

import argparse
import json
import math

import pytest
import torch
from torch import nn

pytest.importorskip('timm')


from benchmarks import activation_memory, gpu_peers, models, roofline, tables, timing
from dev import gpu_parity


def test_another_function_is_not_timed():
    expected = [torch.ones(2), torch.tensor([1.0, 2.0])]
    assert timing.check_equal('a', [torch.ones(2), torch.tensor([1.0, 2.0001])], expected) < 1e-4
    for wrong in (torch.tensor([1.0, 2.1]), torch.tensor([1.0, float('nan')])):
        with pytest.raises(SystemExit, match='nothing was timed'):
            timing.check_equal('a', [torch.ones(2), wrong], expected)
    with pytest.raises(ValueError, match='argument'):
        timing.check_equal('a', [torch.ones(2)], expected)  # a map is missing


def test_models_run_in_turn_and_the_first_round_is_left_out():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in ('ours', 'peer')}
    times = timing.time_in_turn(runs, 3, 'title')
    assert calls == ['ours', 'peer'] * 4
    assert [len(times[name]) for name in runs] == [3, 3]


def test_a_spread_needs_two_rounds():
    parser = argparse.ArgumentParser()
    timing.add_options(parser, 9)
    assert parser.parse_args(['--rounds', '2']).rounds == 2
    with pytest.raises(SystemExit):
        parser.parse_args(['--rounds', '1'])


def test_ratios_are_of_medians():
    rows = timing.summary(dict(ours=[1.0, 2.0, 9.0], peer=[4.0, 4.0, 5.0]), 'peer')
    assert [row['ratio'] for row in rows] == [0.5, 1.0]
    assert [row['median'] for row in rows] == [2.0, 4.0]
    table = tables.timings([dict(title='1x3x8x8', rows=rows)])
    cells = [cell.strip() for cell in table.splitlines()[2].split('|')[1:-1]]
    assert cells == ['1x3x8x8', 'ours', '2000.0', '1000.0-9000.0', '0.50']


def test_small_kinds_of_layers_are_one_row():
    """Those under a hundredth of every graph; the sums of the columns stay."""
    layers = dict(
        ours=dict(Convolution=0.9, Reorder=0.0005, Split=0.0015),
        peer=dict(Convolution=0.5, Transpose=0.2, Reorder=0.0025),
    )
    lines = tables.layer_times(dict(tables=[dict(title='1x3x8x8', layers=layers)])).splitlines()
    rows = {cells[1]: cells[2:4] for cells in ([c.strip() for c in x.split('|')] for x in lines)}
    assert rows['Convolution'] == ['900.0', '500.0']
    assert rows['Transpose'] == ['0.0', '200.0']
    assert rows['others'] == ['2.0', '2.5']
    assert rows['all'] == ['902.0', '702.5']
    assert 'Split' not in rows


def test_the_best_way_of_a_step_is_bold_at_each_map():
    timed = {'8x8': {'P1: 1': 2e-3, 'P1: 4': 1e-3, 'P10: 1': 5e-4}, '4x4': {'P1: 1': 3e-3}}
    rows = [
        dict(title=title, rows=[dict(model=name, median=value) for name, value in medians.items()])
        for title, medians in timed.items()
    ]
    lines = tables.operator_variants(dict(tables=rows)).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert cells == [
        ['P1: 1', '2.0', '**3.0**'],
        ['P1: 4', '**1.0**', ''],
        ['P10: 1', '**0.5**', ''],
    ]


@pytest.mark.parametrize('arch', models.PEERS)
def test_peers_give_maps_of_one_shape(arch):
    image = torch.randn(1, 3, 64, 96)
    model = models.ours(arch)
    with torch.no_grad():
        maps = model(image)
        timing.check_equal('oracle', models.OracleModel(model)(image), maps)
        timing.check_equal('deployed', models.deployed(model)(image), maps)
        assert [m.shape for m in models.peer(arch)(image)] == [m.shape for m in maps]
    assert not model.deployed


def test_hornets_give_the_maps_of_four_stages():
    """The twins differ by the filter alone: as wide, as deep."""
    pytest.importorskip('mmpretrain')
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        shapes = {name: [m.shape for m in model(image)] for name, model in models.hornets().items()}
        strides = [m.shape[2:] for m in models.ours('s18-pure')(image)]
    assert [shape[2:] for shape in shapes['hornet_t_gf']] == strides
    assert shapes['hornet_t_gf'] == shapes['hornet_t_7x7']
    filters = [n for n, _ in models.hornet('hornet_t_gf').named_parameters() if 'complex' in n]
    assert filters
    assert not any('complex' in n for n, _ in models.hornet('hornet_t_7x7').named_parameters())


def test_gradients_of_the_training_step_say_something():
    """The mean square of a normed map is constant: its gradients would be rounding alone."""
    model = models.ours('s18-pure').train()
    images = torch.randn(1, 3, 64, 64)
    models.training_step(model, images, models.directions(model, images))
    assert model.stages[3][0].mlp.fc1.weight.grad.abs().max() > 1e-6


def test_memory_of_a_whole_model_by_part():
    """The backbone keeps in the model what it keeps alone, and the loss little beside it."""
    model_memory = pytest.importorskip('benchmarks.model_memory')
    model, sample = model_memory.build('cls/spanetv2_shapes.py')
    size, backbone = (activation_memory.SIDE,) * 2, model.backbone
    counted = model_memory.bytes_per_image(model, sample, size, autocast=False)
    three, two = (activation_memory.saved_bytes(backbone, n, autocast=False) for n in (3, 2))
    assert counted['backbone'] == three - two
    assert 0 < counted['rest'] < counted['backbone'] / 100


def test_least_bytes_of_a_layer():
    layer = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    with torch.no_grad(), roofline.Traffic() as traffic:
        layer(torch.zeros(1, 3, 10, 10)).mul(2)  # elementwise steps are free
    assert traffic.bytes == [4 * (3 * 100 + 3 * 8 * 9 + 8 * 100)]


def test_needs_of_the_roofline():
    need = roofline.needs((1, 3, 224, 224))
    assert round(need['operations'] / 2e9, 1) == 4.2  # as printed, MACs
    assert need['layer_bytes'] > need['whole_bytes'] > 4 * 26e6  # the weights alone


def test_parity_with_a_gpu_is_of_both_forms_and_of_gradients(tmp_path, monkeypatch):
    """Here the CPU is compared with itself; a difference is written down before it is an error."""
    out = tmp_path / 'parity.json'
    argv = ['gpu_parity.py', '--device', 'cpu', '--archs', 's18-hybrid', '--out', str(out)]
    monkeypatch.setattr('sys.argv', argv)
    monkeypatch.setattr(gpu_parity, 'SIZES', ((65, 50),))
    gpu_parity.main()
    found = {name: float(value) for name, value in json.loads(out.read_text()).items()}
    both = {'s18-hybrid', 's18-hybrid, deployed', 's18-hybrid, gradients'}
    assert both <= found.keys()
    assert 0 < found['s18-hybrid, deployed'] < gpu_parity.MAPS
    out.unlink()
    monkeypatch.setattr(gpu_parity, 'MAPS', 0.0)
    with pytest.raises(SystemExit, match='s18-hybrid, deployed'):
        gpu_parity.main()
    assert both <= json.loads(out.read_text()).keys()


def test_a_difference_that_is_no_number_is_none_of_the_smaller():
    good, bad = torch.ones(2), torch.tensor([1.0, float('nan')])
    for actual in ([good, bad], [bad, good]):
        assert math.isnan(timing.difference(actual, [good, good]))
        with pytest.raises(SystemExit):
            timing.check_equal('maps', actual, [good, good])
    assert timing.difference([2 * good, good], [good, good]) == 1


def test_peers_on_a_gpu_go_on_after_an_error(tmp_path, monkeypatch):
    def broken(*_):
        raise AssertionError

    out = tmp_path / 'peers.json'
    argv = ['gpu_peers.py', '--device', 'cpu', '--models', 'SPANetV2-S18-pure', '--rounds', '1',
            '--shape', '1', '3', '32', '32', '--dtypes', 'fp32', 'bf16',
            '--out', str(out)]  # fmt: skip
    monkeypatch.setattr('sys.argv', argv)
    monkeypatch.setattr(gpu_peers.torch, 'compile', broken)
    with pytest.raises(SystemExit) as ended:
        gpu_peers.main()
    assert ended.value.code == 1
    rows = json.loads(out.read_text())['rows']
    assert [row['type'] for row in rows] == ['fp32', 'bf16']
    for row in rows:
        assert row['error'].startswith('compiled: AssertionError')
        assert min(row['eager'], row['training']) > 0
