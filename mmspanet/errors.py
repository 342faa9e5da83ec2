"""Errors whose message is for the user: the tools print it as one line, without a traceback."""

from signal import Signals


class InputError(ValueError):
    """A path, a config or an option that can't work, with what to do about it."""


class CheckpointError(RuntimeError):
    """A checkpoint that is damaged, holds foreign code, or is not of the model it is meant for."""


class WriteError(OSError):
    """A file that the disk did not take; what stood there before is untouched."""


class DivergedError(RuntimeError):
    """A training whose weights are no longer numbers."""


class WorkerError(RuntimeError):
    """A run one of whose data loader's workers was killed."""


class Stopped(KeyboardInterrupt):
    """The end of a run that a signal asked for.

    Args:
        signal: Which one.
        detail: What there is to know beside that.
    """

    def __init__(self, signal: Signals, detail: str = '') -> None:
        super().__init__(f'stopped by {signal.name}{": " if detail else ""}{detail}')
        self.status = 128 + signal  # as shells have it
