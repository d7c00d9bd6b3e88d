"""Data: reading files into arrays of bytes or other numbers, and making batches of them on the device."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
