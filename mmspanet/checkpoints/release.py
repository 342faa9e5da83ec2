"""The authors' published ImageNet files, as ``spanetv2://<arch>``."""

from pathlib import Path
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader, load_from_http, load_from_local

from mmspanet.errors import InputError

SCHEME = 'spanetv2://'
FOLDER = Path('checkpoints')
URL = 'https://github.com/DoranLyong/SPANetV2-official/releases/download/ImageNet-1K/'

# As the authors' configs name them; of M36 and B36-hybrid, whose names were not seen, by analogy.
FILES = {
    f'{size}-{family}': f'spanetv2_{size}_{infix}_res-scale_Full-ExSPAM.pth'
    for size in ('s18', 's36', 'm36', 'b36')
    for family, infix in (('pure', 'pure'), ('hybrid', 'hybrid_k7'))
}


@CheckpointLoader.register_scheme(prefixes=SCHEME)
def load_from_release(filename: str, map_location: Any = None) -> dict:
    """Load ``spanetv2://<arch>`` from ``checkpoints/`` or, where it is not there, from the release.

    Raises:
        InputError: If no file is known for the arch.
        FileNotFoundError: If the file is not there and can't be downloaded.
    """
    arch = filename.removeprefix(SCHEME)
    if arch not in FILES:
        raise InputError(f'{filename} is not published: there are files for {", ".join(FILES)}.')
    local = FOLDER / FILES[arch]
    if local.is_file():
        return load_from_local(str(local), map_location)
    url = URL + FILES[arch]
    try:
        return load_from_http(url, map_location)
    except OSError as error:  # URLError is one
        raise FileNotFoundError(
            f'{url} could not be fetched ({error}): download it and put it at {local}, or train '
            'from scratch with --cfg-options model.backbone.init_cfg=None.'
        ) from error
