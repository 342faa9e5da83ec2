"""Near duplicates against a comparison of all pairs, and against images changed on purpose."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from mmspanet.analysis.data.duplicates import near_groups
from mmspanet.analysis.data.looks import look_at
from mmspanet.datasets.check import Sample


def groups_by_all_pairs(hashes, most):
    """Merge groups until nothing changes."""
    groups = [{k} for k in range(len(hashes))]
    for i in range(len(hashes)):
        for j in range(i):
            if bin(hashes[i] ^ hashes[j]).count('1') <= most:
                one, other = (next(g for g in groups if k in g) for k in (i, j))
                if one is not other:
                    one |= other
                    groups.remove(other)
    return {frozenset(group) for group in groups if len(group) > 1}


def test_groups_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    hashes = [int(value) for value in rng.integers(0, 2**64, 60, np.uint64)]
    for _ in range(80):  # copies of copies, some bits changed
        value = hashes[rng.integers(0, len(hashes))]
        for bit in rng.integers(0, 64, rng.integers(0, 7)):
            value ^= 1 << int(bit)
        hashes.append(value)
    for most in (0, 2, 4):
        found = near_groups(hashes, most)
        assert {frozenset(group) for group in found} == groups_by_all_pairs(hashes, most)
        assert [len(group) for group in found] == sorted(map(len, found), reverse=True)


def test_no_images_and_no_duplicates():
    assert near_groups([1, (1 << 64) - 1]) == []
    assert near_groups([7]) == []


def smooth(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((200, 150), Image.Resampling.BICUBIC)


def test_changed_images_are_found(tmp_path: Path):
    """Smaller, compressed, brighter: alike. Other images: not."""
    image = smooth(0)
    image.save(tmp_path / '0.png')
    image.resize((120, 90)).save(tmp_path / '1.png')
    image.save(tmp_path / '2.jpg', quality=40)
    ImageEnhance.Brightness(image).enhance(0.8).save(tmp_path / '3.png')
    for seed in range(4, 10):
        smooth(seed).save(tmp_path / f'{seed}.png')
    paths = sorted(tmp_path.iterdir())
    looks = [look_at(Sample(path))[1] for path in paths]
    assert [look.size for look in looks[:2]] == [(200, 150), (120, 90)]
    (group,) = near_groups([look.hash for look in looks])
    assert {paths[k].stem for k in group} == {'0', '1', '2', '3'}


def test_a_broken_image_is_a_finding(tmp_path: Path):
    (tmp_path / 'a.jpg').write_bytes(b'no image')
    findings, look = look_at(Sample(tmp_path / 'a.jpg'))
    assert [finding.kind for finding in findings] == ['broken image']
    assert look.size is None
