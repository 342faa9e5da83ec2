"""Where this package's configs are, in a checkout and in an installed wheel."""

from difflib import get_close_matches
from pathlib import Path

from mmspanet.errors import InputError

_PACKAGE = Path(__file__).parent
_FOR_MIM = _PACKAGE / '.mim'
# Holds configs/, tools/ and model-index.yml: a wheel has them inside, a checkout beside it.
ROOT = _FOR_MIM if _FOR_MIM.is_dir() else _PACKAGE.parent


def find_config(name: str) -> str:
    """The path of a config: ``name`` itself if that is a file, else ours of that file name.

    Ours are those right below det, seg, cls, tutorial and analysis.

    Args:
        name: A path, or the file name of one of our configs, with or without ``.py``.

    Raises:
        InputError: If there is neither; names those of ours that are spelt like it.
    """
    if Path(name).is_file():
        return name
    ours = {path.stem: path for path in (ROOT / 'configs').glob('[!_]*/*.py')}
    stem = name.removesuffix('.py')
    if stem in ours:
        return str(ours[stem])
    alike = get_close_matches(stem, ours, n=3, cutoff=0.5)
    hint = f'of ours, {" and ".join(alike)} are spelt like it' if alike else f'see {ROOT}/configs'
    raise InputError(f'The config {name} is no file and none of our configs: {hint}.')
