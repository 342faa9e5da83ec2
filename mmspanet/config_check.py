"""Settings of a config that can't work, found before the libraries fail at them."""

import math
import numbers
import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmspanet.errors import (
    CheckpointError,
    DivergedError,
    InputError,
    WriteError,
)
from mmspanet.processes import LAUNCHERS

PACKAGE = Path(__file__).parent
TASKS = dict(mmdet='detection', mmseg='segmentation', mmpretrain='classification')
LIBRARIES = tuple(TASKS)


def input_size(backbone: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the images that a backbone's config is for: 224 where it says none."""
    size = backbone.get('input_size') or backbone.get('img_size') or 224
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def check_launcher(name: str) -> None:
    """Check that a launcher's processes were started by it.

    Raises:
        InputError: Names what is missing, and the launcher.
    """
    if name == 'none':
        return
    variables, start = LAUNCHERS[name]
    missing = [variable for variable in variables if variable not in os.environ]
    if missing:
        raise InputError(
            f'--launcher {name} is for processes that {start} starts: {", ".join(missing)} '
            'is not set; leave the option out for one process.'
        )


def check_model(cfg: Config, path: str) -> None:
    """Check that there is a model.

    Raises:
        InputError: If the config has none, or something else in its place.
    """
    model = cfg.get('model')
    if not isinstance(model, dict) or not model.get('type'):
        raise InputError(f'The config {path} has no model, a dict with its type.')


def check_scope(cfg: Config) -> None:
    """Check that the library of a config's ``default_scope`` is installed.

    Raises:
        InputError: Names the library.
    """
    scope = cfg.get('default_scope')
    if scope is not None and (not isinstance(scope, str) or find_spec(scope) is None):
        raise InputError(f'default_scope of the config is {scope!r}: there is no such library.')


def library_of(cfg: Config) -> str:
    """The one of our three libraries that a config is for.

    Raises:
        InputError: If it is for none.
    """
    scope = cfg.get('default_scope')
    if scope not in LIBRARIES:
        raise InputError(f'The config needs a default_scope: one of {", ".join(LIBRARIES)}.')
    return scope


def check_backbone(cfg: Config, path: str) -> None:
    """Check that a config is of a model with a backbone, in one of our three libraries.

    Raises:
        InputError: Names what is missing.
    """
    library_of(cfg)
    check_model(cfg, path)
    if not isinstance(cfg.model.get('backbone'), dict):
        raise InputError(f'The model of the config {path} has no backbone, a dict with its type.')


@contextmanager
def building_errors(what: str) -> Iterator[None]:
    """Say in one sentence what keeps the libraries from building what a config asks for.

    Args:
        what: The beginning of the sentence.

    Raises:
        InputError: For errors of the libraries, and those that our own code raises on purpose;
            others of our code are bugs, and pass.
    """
    try:
        yield
    except (CheckpointError, DivergedError, InputError, MemoryError, WriteError):
        raise
    except Exception as error:
        if _is_bug(error):
            raise
        # A KeyError shows its text in quotes.
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        first, *_ = re.split(r'[.!?] (?=[A-Z])', ' '.join(str(text).split()))
        raise InputError(
            f'{what}: {type(error).__name__}: {first[:600] or "without a message"} '
            '(MMSPANET_TRACEBACK=1 shows where).'
        ) from error


def _is_bug(error: BaseException) -> bool:
    """Whether an error came from our code, but not from a ``raise`` statement of it."""
    while error.__cause__ or error.__context__:  # libraries raise another with the class's name
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    *_, last = traceback.extract_tb(error.__traceback__)
    return Path(last.filename).is_relative_to(PACKAGE) and not (last.line or '').startswith('raise')


def check_numbers(cfg: Config) -> None:
    """Check the numbers that a run takes from a config.

    Raises:
        InputError: Names the setting, its value and what it has to be.
    """
    for setting, fits, wanted in _rules():
        value: Any = cfg
        for key in setting.split('.'):
            value = value.get(key) if isinstance(value, (dict, Config)) else None
        if value is not None and not fits(value):
            raise InputError(f'{setting} of the config is {value!r}: it has to be {wanted}.')


def _rules() -> Iterator[tuple[str, Callable[[Any], bool], str]]:
    count = (_is_count, 'a whole number from 1 up')
    amount = (_is_amount, 'a number from 0 up')
    for part in ('train', 'val', 'test'):
        yield f'{part}_dataloader.batch_size', *count
        yield f'{part}_dataloader.num_workers', _is_whole_amount, 'a whole number from 0 up'
        yield f'{part}_dataloader.dataset.indices', _is_choice, 'a count or a list of indexes'
    for name in ('max_epochs', 'max_iters', 'val_interval'):
        yield f'train_cfg.{name}', *count
    for name in ('lr', 'weight_decay'):
        yield f'optim_wrapper.optimizer.{name}', *amount
    yield 'optim_wrapper.accumulative_counts', *count
    yield 'default_hooks.logger.interval', *count
    yield 'default_hooks.checkpoint.interval', _is_interval, 'a count, or -1 for never'


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_whole(value) and value > 0


def _is_whole_amount(value: Any) -> bool:
    return _is_whole(value) and value >= 0


def _is_amount(value: Any) -> bool:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value >= 0


def _is_interval(value: Any) -> bool:
    return _is_whole(value) and (value > 0 or value == -1)


def _is_choice(value: Any) -> bool:
    """MMEngine takes the last images for a negative count."""
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(map(_is_whole_amount, value))
    return _is_whole(value) and value != 0
