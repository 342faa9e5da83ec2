"""The published tables: what the metafiles claim, what is counted, what is rendered."""

import json
import re
from dataclasses import asdict

import pytest
import yaml
from mmengine.config import Config

from leaderboard.rows import TABLES, read_rows
from mmspanet.analysis.costs import count_config
from mmspanet.apis.config_files import claimed_metrics, read_models
from mmspanet.errors import InputError
from tests.helpers import ROOT
from tools import reproduce

MODELS = {model['Name']: model for model in read_models(ROOT / 'configs')}


def test_every_config_has_its_row_and_every_row_its_config():
    files = [*(ROOT / 'configs').glob('*/*spanetv2*.py')]
    configs = {path.stem for path in files if path.parent.name in ('det', 'seg', 'cls')}
    front_doors = {'maskrcnn_spanetv2', 'upernet_spanetv2', 'spanetv2'}
    assert set(MODELS) == configs - front_doors
    assert all((ROOT / model['Config']).is_file() for model in MODELS.values())


def test_the_index_lists_every_metafile():
    listed = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert sorted(listed) == sorted(
        path.relative_to(ROOT).as_posix() for path in ROOT.glob('configs/*/metafile.yml')
    )


@pytest.mark.parametrize('name', MODELS)
def test_costs_are_the_counted_ones(name):
    pytest.importorskip('mmpretrain')
    meta = MODELS[name]['Metadata']
    shape = tuple(int(side) for side in meta['Input Size'].split('x'))
    whole = count_config(Config.fromfile(ROOT / MODELS[name]['Config']), shape)[0]
    assert (meta['Parameters'], meta['MACs']) == (whole.params, whole.macs)


# The authors' tables, typed from their source and not from the metafiles.
PUBLISHED = {
    'mask-rcnn_spanetv2-s18-pure_': (48.0, 42.9),
    'mask-rcnn_spanetv2-s18-hybrid_': (49.6, 44.3),
    'cascade-mask-rcnn_spanetv2-s18-pure_': (51.6, 44.7),
    'cascade-mask-rcnn_spanetv2-s18-hybrid_': (52.8, 45.7),
    'cascade-mask-rcnn_spanetv2-s36-pure_': (53.1, 45.9),
    'cascade-mask-rcnn_spanetv2-s36-hybrid_': (53.8, 46.4),
    'fpn_spanetv2-s18-pure_': (46.7,),
    'fpn_spanetv2-s18-hybrid_': (47.8,),
    'fpn_spanetv2-s36-pure_': (47.9,),
    'fpn_spanetv2-s36-hybrid_': (48.6,),
    'upernet_spanetv2-s18-pure_': (48.7,),
    'upernet_spanetv2-s18-hybrid_': (49.1,),
    'upernet_spanetv2-s36-pure_': (49.8,),
    'upernet_spanetv2-s36-hybrid_': (51.6,),
    'spanetv2-s18-pure_': (83.4,),
    'spanetv2-s18-hybrid_': (83.9,),
    'spanetv2-s36-pure_': (84.4,),
    'spanetv2-s36-hybrid_': (84.7,),
    'spanetv2-m36-pure_': (84.9,),
    'spanetv2-m36-hybrid_': (85.3,),
    'spanetv2-b36-pure_': (85.0,),
    'spanetv2-b36-hybrid_': (85.6,),
    'spanetv2-s18-pure-scaled-sigmoid_': (83.5,),
    'spanetv2-s36-hybrid-scaled-sigmoid_': (84.9,),
}


def test_claims_are_the_published_ones():
    from_paper = [name for name, model in MODELS.items() if model['Status'] == 'paper']
    for name in from_paper:
        (start,) = [s for s in PUBLISHED if name.startswith(s)]
        assert tuple(claimed_metrics(ROOT / 'configs', name).values()) == PUBLISHED[start]
    for start in PUBLISHED:
        assert any(name.startswith(start) for name in from_paper), start


def test_what_is_ours_claims_figures_only_on_our_own_data():
    for name, model in MODELS.items():
        if model['Status'] == 'ours' and 'Results' in model:
            assert name.endswith('_shapes')


@pytest.mark.parametrize(
    ('name', 'said'), [('no-such-config', 'is in no metafile'), ('retinanet', 'claims no result')]
)
def test_no_claim(name, said):
    full = next((n for n in MODELS if n.startswith(name)), name)
    with pytest.raises(InputError, match=said):
        claimed_metrics(ROOT / 'configs', full)


def test_rows():
    rows = read_rows(ROOT)
    assert {row.table for row in rows} == set(TABLES)
    assert all(row.source.startswith('https://') for row in rows if row.status in ('peer', 'paper'))
    best = next(row for row in rows if row.table == 'mask-rcnn')
    assert (best.name, best.status) == ('TransNeXt-Tiny', 'peer')  # better is shown as better


def test_rendered_files_are_up_to_date():
    from leaderboard import config_pages
    from leaderboard import render as leaderboard

    rows = read_rows(ROOT)
    folder = ROOT / 'leaderboard'
    stale = 'run python -m leaderboard.render'
    assert (folder / 'README.md').read_text() == leaderboard.INTRO + leaderboard.markdown(rows), (
        stale
    )
    assert (folder / 'index.html').read_text() == leaderboard.page(rows), stale
    text = (ROOT / 'README.md').read_text()
    assert leaderboard.readme(text, rows) == text, stale
    for name in config_pages.TITLES:
        page = ROOT / f'configs/{name}/README.md'
        assert page.read_text() == config_pages.page(page.parent), stale


def test_the_readme_has_every_published_row_and_the_two_nearest_peers():
    from leaderboard import render as leaderboard

    rows = read_rows(ROOT)
    lines = leaderboard.published(rows).split('\n\n')[0].splitlines()[2:]
    shown = [[cell.strip() for cell in line.split('|')[1:3]] for line in lines]
    ours = {'SPANetV2-s18-pure', 'SPANetV2-s18-hybrid'}
    assert ours <= {name for name, _ in shown}
    peers = [row for row in rows if (row.table, row.status) == ('mask-rcnn', 'peer')]
    gaps = sorted(abs(row.metrics['box AP'] - 49.6) for row in peers)  # 49.6: the S18-hybrid
    assert sorted(abs(float(ap) - 49.6) for name, ap in shown if name not in ours) == gaps[:2]


def test_the_page_loads_nothing_from_elsewhere():
    html = (ROOT / 'leaderboard/index.html').read_text()
    before, data, after = re.split(r'id="data">(.*?)</script>', html, flags=re.DOTALL)
    assert json.loads(data)['rows'] == [asdict(row) for row in read_rows(ROOT)]
    assert '<' not in data  # no name can end the script
    assert not re.search(r'(src|href)="(https?:)?//', before + after)


def test_comparison():
    measured = {'coco/bbox_mAP': 0.4812, 'coco/segm_mAP': 0.4271}
    result = reproduce.compare({'box AP': 48.0, 'mask AP': 42.9}, measured, 0.15)
    assert result['box AP'] == dict(claimed=48.0, measured=48.12, difference=0.12)
    assert result['mask AP']['difference'] == -0.19
    with pytest.raises(InputError, match='measured no mIoU'):
        reproduce.compare({'mIoU': 1.0}, measured, 0.1)


def test_a_printed_cost_that_is_not_met_is_explained():
    """To the last printed digit, by the rule that the leaderboard states."""
    printed = [row for row in read_rows(ROOT) if row.recounted is not None]
    assert len(printed) == 22
    for row in printed:
        digits = len(str(row.printed).partition('.')[2])
        assert round(row.recounted, digits) == row.printed or row.notes, row.name
