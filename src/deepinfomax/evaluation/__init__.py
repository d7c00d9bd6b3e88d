"""Evaluation: what a frozen encoder, ours or not, is worth. One file per measure; `evaluate` runs them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
