"""Exported models without PyTorch: needs numpy, OpenCV, and onnxruntime or OpenVINO.

``load(path)(image)`` of a file that ``tools/deployment/export.py --end2end`` wrote.
"""

from mmspanet.runtime.models import Classifier, Detector, Segmentor, load
from mmspanet.runtime.results import Classes, Detections, LabelMap
from mmspanet.runtime.tiles import TiledDetector

__all__ = [
    'Classes',
    'Classifier',
    'Detections',
    'Detector',
    'LabelMap',
    'Segmentor',
    'TiledDetector',
    'load',
]
