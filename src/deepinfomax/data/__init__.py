"""Data: from what the user points at to arrays of bytes or other numbers, and from those to batches on the device."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
