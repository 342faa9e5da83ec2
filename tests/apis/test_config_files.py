"""Configs by their file name."""

from pathlib import Path

import pytest

from mmspanet.apis import config_files
from mmspanet.errors import InputError

OURS = Path(__file__).parents[2] / 'configs/det/maskrcnn_spanetv2_shapes.py'


@pytest.mark.parametrize('name', ['maskrcnn_spanetv2_shapes', 'maskrcnn_spanetv2_shapes.py'])
def test_ours_by_file_name_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(config_files.find_config(name)).samefile(OURS)


def test_a_path_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('maskrcnn_spanetv2_shapes.py').write_text('')
    assert config_files.find_config('maskrcnn_spanetv2_shapes.py') == 'maskrcnn_spanetv2_shapes.py'


def test_a_misspelled_name_is_answered_with_those_like_it():
    with pytest.raises(InputError, match='maskrcnn_spanetv2_shapes'):
        config_files.find_config('mask_rcnn_spanet_shapes')


def test_fragments_of_configs_are_not_offered():
    with pytest.raises(InputError):
        config_files.find_config('coco_1x')
