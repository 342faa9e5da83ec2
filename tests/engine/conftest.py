"""Data for short trainings."""

import pytest

from mmspanet.datasets import shapes


@pytest.fixture(scope='package')
def data_root(tmp_path_factory):
    """Eight images to train on and four to validate, in ImageNet's layout."""
    root = tmp_path_factory.mktemp('shapes')
    shapes.write_imagenet(root, 'train', 8)
    shapes.write_imagenet(root, 'val', 4)
    return root
