from .authors import (
    backbone_from_authors,
    backbone_to_authors,
    classifier_from_authors,
    model_from_authors,
    model_to_authors,
)
from .release import load_from_release

__all__ = [
    'backbone_from_authors',
    'backbone_to_authors',
    'classifier_from_authors',
    'load_from_release',
    'model_from_authors',
    'model_to_authors',
]
