import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = next(
    line.split("'")[1]
    for line in (HERE / 'mmspanet' / '__init__.py').read_text().splitlines()
    if line.startswith('__version__')
)


class BuildWithMim(build_py):
    """Puts what MIM looks for into ``mmspanet/.mim``: configs, tools and model-index.yml.

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
                compiled = shutil.ignore_patterns('__pycache__')
                shutil.copytree(HERE / name, mim / name, ignore=compiled)
            else:
                shutil.copy(HERE / name, mim / name)


setup(
    name='mmspanet',
    version=VERSION,
    description='SPANetV2 backbones for MMDetection, MMSegmentation and MMPretrain',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['mmspanet', 'mmspanet.*']),
    cmdclass=dict(build_py=BuildWithMim),
    python_requires='>=3.10',
    install_requires=['torch>=2.4', 'numpy', 'orjson'],
    # Two lines of the OpenMMLab libraries share their import names and exclude each other, and a
    # requirement can't say "or": the user names one. mmcv itself needs care, see docs/install.md.
    extras_require=dict(
        # What mmspanet.analysis needs more: figures, and Grad-CAM (with opencv-python-headless).
        analysis=['matplotlib', 'scipy', 'grad-cam>=1.5.4'],
        onedl=[
            'onedl-mmengine>=0.10.12',
            'onedl-mmcv>=2.3.6',
            'onedl-mmdetection>=3.5.1',
            'onedl-mmsegmentation>=1.4.2',
            'onedl-mmpretrain>=1.3.6',
            'ftfy',
            'regex',
        ],
        upstream=[
            'mmengine>=0.10.7',
            'mmcv>=2.1.0,<2.2',
            'mmdet>=3.3.0',
            'mmsegmentation>=1.2.2',
            'mmpretrain>=1.2.0',
            'ftfy',
            'regex',
        ],
        # tools/deployment/export_onnx.py; the graphs themselves need a runtime only.
        deploy=['onnx>=1.23.2', 'onnxscript>=0.7.2', 'onnxruntime>=1.23.2'],
    ),
)
