"""Until every measure has its record."""

from deepinfomax.errors import UserError

LEAST = {
    "mine": (100, 50),
    "ndm": (100, 50),
    "rank": (0, 3),
    "reconstruction": (2, 1),
    "svm": (10, 1),
}


def check_counts(name: str, measure: str, train: int, test: int) -> None:
    """Raises UserError where `measure`, asked for as `name`, has fewer images than `LEAST`."""
    for which, least, count in zip(("training", "test"), LEAST.get(measure, (0, 0)), (train, test), strict=True):
        if count < least:
            raise UserError(f"{name} needs {least} {which} images or more, not {count:,}")
