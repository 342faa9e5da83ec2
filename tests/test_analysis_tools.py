"""The commands of tools/analysis_tools as users run them, on a few images of Shapes."""

import csv

import pytest

from tests.helpers import run

CONFIG = 'configs/cls/spanetv2_shapes.py'

pytestmark = pytest.mark.slow


@pytest.fixture(scope='session')
def data(shapes_root):
    """A few Shapes images in ImageNet layout."""
    return shapes_root / 'imagenet'


@pytest.fixture(scope='session')
def checkpoint(trained):
    """The Shapes classifier after one epoch of 16 images."""
    return trained('cls') / 'epoch_1.pth'


def tool(script, *arguments, status=0):
    return run([f'tools/analysis_tools/{script}', *arguments], status=status)


def rows(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def test_feature_spectrum_of_several_models(data, checkpoint, tmp_path):
    log = tool(
        'feature_spectrum.py', f'{CONFIG}={checkpoint}', CONFIG, 'timm:convnext_atto',
        '--images', data / 'val', '--profile', 'diagonal', '--out-dir', tmp_path,
    )  # fmt: skip
    assert '4 images of 64 x 64 pixels (crop), diagonal profile' in log
    drawn = rows(tmp_path / 'feature_spectrum.csv')
    models = [
        'spanetv2_shapes',
        'spanetv2_shapes (random weights)',
        'convnext_atto (random weights)',
    ]
    assert list(dict.fromkeys(row['model'] for row in drawn)) == models
    assert {p.suffix for p in tmp_path.iterdir()} == {'.png', '.svg', '.csv'}


def test_feature_spectrum_of_chosen_modules_at_their_own_size(data, tmp_path):
    log = tool(
        'feature_spectrum.py', CONFIG, '--images', data / 'val', '--policy', 'keep',
        '--blocks', r'downsample_layers\.\d', '--out-dir', tmp_path,
    )  # fmt: skip
    assert '4 images of their own size' in log
    paths = {row['path'] for row in rows(tmp_path / 'feature_spectrum.csv')}
    assert paths == {f'downsample_layers.{i}' for i in range(4)}


def test_inside(data, checkpoint, tmp_path):
    tool('inside.py', CONFIG, checkpoint, '--images', data / 'val', '--out-dir', tmp_path)
    names = ('srf_gains', 'modulators', 'receptive_field', 'grad_cam')
    assert {p.name for p in tmp_path.iterdir()} == {
        f'{name}.{kind}' for name in names for kind in ('png', 'svg', 'csv')
    }
    assert len(rows(tmp_path / 'modulators.csv')) == 4 * (16**2 + 8**2 + 4**2 + 2**2)


def test_report(data, checkpoint, tmp_path):
    page = tmp_path / 'report.html'
    tool('spectral_report.py', CONFIG, checkpoint, '--images', data / 'val', '--out', page)
    text = page.read_text()
    assert 'convnext-tiny (random weights)' in text
    assert 'swin-tiny (random weights)' in text
    assert text.count('<h2>') == text.count('download=')  # every section drew something
    assert 'http' not in text.replace('http://www.w3.org/', '')


def test_report_of_a_detector_with_random_weights(data, tmp_path):
    page = tmp_path / 'report.html'
    tool(
        'spectral_report.py', 'configs/det/maskrcnn_spanetv2_shapes.py', '--images', data / 'val',
        '--peers', 'timm:vit_tiny_patch16_224', '--out', page,
    )  # fmt: skip
    text = page.read_text()
    assert '<h1>Inside maskrcnn_spanetv2_shapes (random weights)</h1>' in text
    assert 'Grad-CAM: the weights are random' in text


def test_graph_spectrum(tmp_path):
    options = (
        *('--grid', 8, '--windows', 3, 5, '--kernels', 9, '--heads', 2),
        *('--out-dir', tmp_path),
    )
    tool('graph_spectrum.py', CONFIG, *options)
    names = ('windows', 'summaries', 'signs', 'eigenbasis', 'spam')
    assert {p.name for p in tmp_path.iterdir()} == {
        f'{name}.{kind}' for name in names for kind in ('png', 'svg', 'csv')
    }
    operators = {row['operator'] for row in rows(tmp_path / 'signs.csv')}
    assert 'of the model, random weights' in operators


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['feature_spectrum.py', 'timm:nothing', '--images', '{data}'], 'timm can not build'),
        (['feature_spectrum.py', 'timm:vgg11', '--images', '{data}'], 'has no block told by'),
        (['feature_spectrum.py', 'timm:resnet18'], 'Name a folder of images'),
        (['feature_spectrum.py', CONFIG, '--images', '/nowhere'], 'no images in /nowhere'),
        (['inside.py', CONFIG, 'nowhere.pth', '--images', '{data}'], 'nowhere.pth does not exist'),
        (['spectral_report.py', 'nowhere.py', '--images', '{data}'], 'nowhere.py does not exist'),
    ],
)
def test_errors_are_one_line(arguments, said, data):
    log = tool(*(a.format(data=data) for a in arguments), status=1)
    assert said in log
    assert 'Traceback' not in log


def test_windows_are_odd():
    log = tool('graph_spectrum.py', '--windows', 4, status=1)
    assert log == 'error: --windows 4 must be odd, from 3 to less than --grid 28.\n'


@pytest.mark.parametrize(
    'script',
    [
        'feature_spectrum.py',
        'get_flops.py',
        'graph_spectrum.py',
        'inside.py',
        'spectral_report.py',
        '../make_shapes.py',
    ],
)
def test_help_loads_no_torch(script):
    log = run(['-X', 'importtime', f'tools/analysis_tools/{script}', '--help'])
    loaded = {line.split('|')[-1].strip() for line in log.splitlines()}
    assert 'argparse' in loaded
    assert 'torch' not in loaded


def test_numbers_start_at_one():
    assert '0 must be at least 1' in tool('inside.py', CONFIG, '--count', 0, status=2)
