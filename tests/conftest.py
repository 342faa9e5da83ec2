"""What no test may leave to the next."""

import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def own_default_scope():
    """Scopes are set for the whole process, and would decide what a name means in later tests."""
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)
