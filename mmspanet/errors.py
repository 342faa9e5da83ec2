"""Errors whose message is for the user: the tools print it as one line, without a traceback."""


class InputError(ValueError):
    """A path, a config or an option that can't work, with what to do about it."""


class CheckpointError(RuntimeError):
    """A checkpoint that is damaged, holds foreign code, or is not of the model it is meant for."""


class WriteError(OSError):
    """A file that the disk did not take; what stood there before is untouched."""


class DivergedError(RuntimeError):
    """A training whose weights are no longer numbers."""
