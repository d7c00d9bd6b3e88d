"""Data: from whatever the user points at to uint8 arrays, and from those to batches on the device."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
