"""Importing this module guards the process, for scripts that are not ours.

The launchers of MMDetection, MMSegmentation and MMPretrain, and any other script, run guarded as

    python -m mmspanet.checkpoints.guarded SCRIPT [ARGUMENTS]
    torchrun OPTIONS -m mmspanet.checkpoints.guarded SCRIPT [ARGUMENTS]

or by a line in the config, which MMEngine imports before it reads a checkpoint:

    custom_imports = dict(imports=['mmspanet.checkpoints.guarded'])

See :func:`mmspanet.checkpoints.safe.guard_process` for what it does.
"""

import runpy
import sys
from pathlib import Path

from mmspanet.checkpoints.safe import guard_process

guard_process()


def main() -> None:
    """Run the script of the command line as Python would."""
    if len(sys.argv) < 2:
        sys.exit('usage: python -m mmspanet.checkpoints.guarded SCRIPT [ARGUMENTS]')
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
    main()
