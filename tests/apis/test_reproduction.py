"""Which checkpoint a claim is compared with, how it was picked, and when the claim holds."""

import json

import pytest

from mmspanet.apis import reproduction
from mmspanet.apis.config_files import ROOT, metrics_of, read_models
from mmspanet.checkpoints.published import PUBLISHED
from mmspanet.errors import InputError


@pytest.fixture
def run(tmp_path):
    """The work dir of a run that was resumed: its second log repeats the validation of epoch 2."""
    for name, steps in (('20260101_000000', (1, 2)), ('20260102_000000', (2, 3))):
        log = tmp_path / name / 'vis_data/scalars.json'
        log.parent.mkdir(parents=True)
        lines = [dict(loss=0.5, step=7), *(dict(mIoU=40.0 + s, step=s) for s in steps)]
        log.write_text('\n'.join(map(json.dumps, lines)) + '\n{"mIoU": 4')  # a kill cut it
    for name in ('epoch_2.pth', 'epoch_3.pth', 'best_mIoU_epoch_2.pth'):
        (tmp_path / name).touch()
    (tmp_path / 'last_checkpoint').write_text('/where/it/was/trained/epoch_3.pth')
    return tmp_path


def test_the_best_of_a_run(run):
    found = reproduction.of_run(run, 'best')
    assert found.source == str(run / 'best_mIoU_epoch_2.pth')
    assert found.picked == 'best of 3 validations on the reporting set'


def test_the_last_of_a_run(run):
    found = reproduction.of_run(run, 'last')
    assert (found.source, found.picked) == (str(run / 'epoch_3.pth'), 'last')


@pytest.mark.parametrize('pick', reproduction.PICKS)
def test_a_run_without_checkpoints(pick, tmp_path):
    with pytest.raises(InputError, match=f'no {pick} checkpoint'):
        reproduction.of_run(tmp_path, pick)


def test_two_bests_are_none(run):
    (run / 'best_aAcc_epoch_3.pth').touch()
    with pytest.raises(InputError, match=r'best_aAcc_epoch_3.pth and best_mIoU_epoch_2.pth'):
        reproduction.of_run(run, 'best')


def test_every_published_row_has_its_file():
    for model in read_models(ROOT / 'configs'):
        if model['Status'] == 'paper':
            source = reproduction.published(model['Name']).source
            assert model['Name'] in PUBLISHED[source.removeprefix('spanetv2://')].configs
        elif metrics_of(model):
            with pytest.raises(InputError, match='No file is published for'):
                reproduction.published(model['Name'])


def test_a_claim_holds_within_its_metrics_tolerance():
    measured = {'coco/bbox_mAP': 0.4812, 'coco/segm_mAP': 0.4271}
    tolerance = {'box AP': 0.12, 'mask AP': 0.18}
    box, mask = reproduction.compare({'box AP': 48.0, 'mask AP': 42.9}, measured, tolerance)
    assert (box.claimed, box.measured, box.difference, box.holds) == (48.0, 48.12, 0.12, True)
    assert (mask.measured, mask.difference, mask.holds) == (42.71, -0.19, False)
    with pytest.raises(InputError, match='measured no mIoU'):
        reproduction.compare({'mIoU': 1.0}, measured, {'mIoU': 0.1})


def test_a_new_run_may_differ_more_than_the_same_weights():
    for name, same in reproduction.SAME_WEIGHTS.items():
        assert 0.05 < same < reproduction.NEW_RUN[name]  # the printed digit alone is 0.05
