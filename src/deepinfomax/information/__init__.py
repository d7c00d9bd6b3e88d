"""Mutual information: bounds on it, the pairs and critics they need, and its estimation between any two arrays."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
