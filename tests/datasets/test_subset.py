from mmspanet.datasets.subset import subsample


def test_items_at_equal_distances():
    assert subsample(range(10), 3) == [0, 3, 6]
    assert subsample(range(10), 99) == list(range(10))
    assert subsample([], 3) == []
