"""The record of a data format, and the columns of a table that a user names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepinfomax.data.stored import Parts
from deepinfomax.errors import UserError

IMAGE_COLUMNS = ("image", "img")
PATH_COLUMNS = ("path", "image", "file", "filename", "file_name")
LABEL_COLUMNS = ("label", "labels", "fine_label")


@dataclass(frozen=True)
class Columns:
    """The columns of a table that hold the images and the labels; None: the first one with a usual name."""

    image: str | None = None
    label: str | None = None

    def choose(self, names: list[str], where: str, usual_images: tuple[str, ...] = ()) -> tuple[str, str]:
        """Names of the image column and of the label column in a table; "" where there is none.

        Raises:
            UserError: the table has no column of the name that the user gave.
        """
        for setting, name in (("data.image", self.image), ("data.label", self.label)):
            if name is not None and name not in names:
                raise UserError(f"{where} has no column {name} ({setting}); it has: {', '.join(names)}")
        image = self.image or next((name for name in usual_images if name in names), "")
        label = self.label or next((name for name in LABEL_COLUMNS if name in names and name != image), "")
        return image, label


USUAL = Columns()


def unused_columns(names: list[str], used: set[str]) -> tuple[str, ...]:
    """The note on columns that are not read; none where all are."""
    others = [name for name in names if name not in used]
    if not others:
        return ()
    more = f" and {len(others) - 8} more" if len(others) > 8 else ""
    return (f"columns not used: {', '.join(others[:8])}{more}; data.label NAME makes one of them the label",)


@dataclass(frozen=True)
class Format:
    """A kind of file or folder that images are read from.

    `read` takes the path and the columns that the user named, and returns the parts under their own names (train, val,
    ...); each is read when its function is called. It raises UserError, in one line, where the path is not what it
    says.
    """

    name: str  #: "npz"
    title: str  #: what is read, for documentation: "arrays called images and labels"
    read: Callable[[Path, Columns], Parts]
    suffixes: tuple[str, ...] = ()  #: endings of the files, in lower case; () for a format of folders
    folder: Callable[[Path], bool] | None = None  #: whether a folder has this format; None for a format of files
    columns: bool = False  #: whether the names in `Columns` mean something
