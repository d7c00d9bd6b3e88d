"""Seeds that every generator behind the library takes."""

import operator

from deepinfomax.errors import UserError

LAST_SEED = 2**63 - 1


def check_seed(seed: int) -> int:
    """The seed as a plain int, which numpy and torch accept, as well as the seeds that follow it.

    Raises:
        UserError: it is not a whole number, is negative, or is above `LAST_SEED`.
    """
    try:
        whole = -1 if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        whole = -1
    if not 0 <= whole <= LAST_SEED:
        raise UserError(f"seed must be a whole number from 0 to 2^63 - 1, not {seed!r}")
    return whole


def random_state(seed: int) -> int:
    """The seed as scikit-learn takes it, which has none above 2^32 - 1: `random_state=random_state(seed)`."""
    return seed % 2**32
