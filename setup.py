"""The one build step that pyproject.toml can not say: what MIM looks for goes into the package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
# These make or start an environment of the checkout, and compiled files are of one Python.
NOT_IN_WHEELS = ('__pycache__', 'setup_env.sh', 'set_up', 'run_tests.sh', 'quickstart.sh')


class BuildWithMim(build_py):
    """Puts configs, tools and model-index.yml into ``mmspanet/.mim``.

    Every way of installing runs this command, also PEP 660's, which leaves the package in the
    checkout: there, links to the real folders stay up to date.
    """

    def run(self) -> None:
        super().run()
        package = HERE if self.editable_mode else Path(self.build_lib)
        mim = package / 'mmspanet' / '.mim'
        shutil.rmtree(mim, ignore_errors=True)  # of an earlier build
        mim.mkdir(parents=True)
        for name in ('configs', 'tools', 'model-index.yml'):
            if self.editable_mode:
                (mim / name).symlink_to(Path('../..') / name)
            elif (HERE / name).is_dir():
                ignored = shutil.ignore_patterns(*NOT_IN_WHEELS)
                shutil.copytree(HERE / name, mim / name, ignore=ignored)
            else:
                shutil.copy(HERE / name, mim / name)


setup(cmdclass=dict(build_py=BuildWithMim))
