from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split("'")[1]
    for line in (HERE / 'mmspanet' / '__init__.py').read_text().splitlines()
    if line.startswith('__version__')
)

setup(
    name='mmspanet',
    version=VERSION,
    description='SPANetV2 backbones for MMDetection, MMSegmentation and MMPretrain',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['mmspanet', 'mmspanet.*']),
    python_requires='>=3.10',
    install_requires=['torch>=2.1', 'numpy'],
    # Two lines of the OpenMMLab libraries share their import names and exclude each other, and a
    # requirement can't say "or": the user names one. mmcv itself needs care, see the README.
    extras_require=dict(
        # What mmspanet.analysis needs more: figures, and Grad-CAM (with opencv-python-headless).
        analysis=['matplotlib', 'grad-cam>=1.5.4'],
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
    ),
)
