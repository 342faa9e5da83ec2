from .authors import (
    backbone_from_authors,
    backbone_to_authors,
    classifier_from_authors,
    model_from_authors,
    model_to_authors,
)
from .loading import best_checkpoint, load, load_backbone, newest_whole_checkpoint
from .release import load_from_release

__all__ = [
    'backbone_from_authors',
    'backbone_to_authors',
    'best_checkpoint',
    'classifier_from_authors',
    'load',
    'load_backbone',
    'load_from_release',
    'model_from_authors',
    'model_to_authors',
    'newest_whole_checkpoint',
]
