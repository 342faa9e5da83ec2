"""Where this package's configs are, in a checkout and in an installed wheel."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from mmspanet.errors import InputError

_PACKAGE = Path(__file__).parents[1]
_FOR_MIM = _PACKAGE / '.mim'
# Holds configs/, tools/ and model-index.yml: a wheel has them inside, a checkout beside it.
ROOT = _FOR_MIM if _FOR_MIM.is_dir() else _PACKAGE.parent


def find_config(name: str) -> str:
    """The path of a config: ``name`` itself if that is a file, else ours of that file name.

    Ours are those right below det, seg, cls and tutorial.

    Args:
        name: A path, or the file name of one of our configs, with or without ``.py``.

    Raises:
        InputError: If there is neither; names those of ours that are spelled like it.
    """
    if Path(name).is_file():
        return name
    ours = {path.stem: path for path in (ROOT / 'configs').glob('[!_]*/*.py')}
    stem = name.removesuffix('.py')
    if stem in ours:
        return str(ours[stem])
    alike = get_close_matches(stem, ours, n=3, cutoff=0.5)
    hint = f'of ours, {" and ".join(alike)} are spelled like it' if alike else f'see {ROOT}/configs'
    raise InputError(f'The config {name} is no file and none of our configs: {hint}.')


def read_models(configs: Path) -> Iterator[dict[str, Any]]:
    """The models of every metafile under the folder of configs, as the files write them."""
    for path in sorted(configs.glob('*/metafile.yml')):
        yield from yaml.safe_load(path.read_text())['Models']


def claimed_metrics(configs: Path, name: str) -> dict[str, float]:
    """The metrics that the metafiles claim for the config ``name`` (no path, no ending).

    Raises:
        InputError: If no metafile has the config, or none of its metrics.
    """
    for model in read_models(configs):
        if model['Name'] == name:
            metrics = metrics_of(model)
            if not metrics:
                raise InputError(f'The metafile claims no result for {name}: nothing to compare.')
            return metrics
    raise InputError(
        f'{name} is in no metafile.yml under {configs}: give the recipe that an alias names as its '
        '_base_, or add an entry with what is claimed.'
    )


def metrics_of(model: dict[str, Any]) -> dict[str, float]:
    """The metrics of a metafile's entry, in percent, by the name that the leaderboard uses."""
    names = {'Top 1 Accuracy': 'top-1'}
    return {
        names.get(name, name): value
        for result in model.get('Results', [])
        for name, value in result['Metrics'].items()
    }
