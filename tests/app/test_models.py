"""The models that a page keeps."""

from types import SimpleNamespace

import pytest

from mmspanet.app import models as app_models
from mmspanet.app.models import MOST_BUILT, Models, Run
from mmspanet.errors import InputError


def test_the_least_recently_used_model_is_given_up(monkeypatch):
    built = []

    def build(self, run):
        built.append(run.name)
        return SimpleNamespace(name=run.name)

    monkeypatch.setattr(app_models.Models, '_build', build)
    names = [str(number) for number in range(MOST_BUILT + 1)]
    models = Models([Run(name, 'config.py') for name in names], 'cpu')
    for name in names[:-1]:
        assert models.get(name).name == name
    models.get(names[0])  # used again
    models.get(names[-1])  # in the place of the second
    assert built == names
    for name in (names[0], *names[2:]):
        models.get(name)
    assert built == names
    models.get(names[1])
    assert built == [*names, names[1]]
    with pytest.raises(InputError, match='no such run'):
        models.get('other')
