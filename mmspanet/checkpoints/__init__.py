from .authors import backbone_from_authors, backbone_to_authors, classifier_from_authors

__all__ = ['backbone_from_authors', 'backbone_to_authors', 'classifier_from_authors']
