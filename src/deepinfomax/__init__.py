"""Deep InfoMax: image representations learned by maximising mutual information, and measured honestly.

The public names are listed in `__init__.pyi`. Each is imported when it is first used, so `deepinfomax --help` does not
have to wait for torch.
"""

from importlib.metadata import version

import lazy_loader

__version__ = version("deepinfomax")
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
