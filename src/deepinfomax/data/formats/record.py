"""The record of a data format, and the columns and windows that a user names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote

from deepinfomax.data.stored import Parts
from deepinfomax.errors import UserError, first_line, listed

IMAGE_COLUMNS = ("image", "img")
PATH_COLUMNS = ("path", "image", "file", "filename", "file_name")
AGAIN = "copy it here again, or save it anew"
LABEL_COLUMNS = ("label", "labels", "fine_label")


def unreadable(file: Path | str, what: str, why: Exception | str) -> UserError:
    """The line for a file that is damaged, or something else than its name says: "x.h5 cannot be read as HDF5: ..."."""
    said = why if isinstance(why, str) else first_line(why)
    if "allow_pickle" in said or "Python objects" in said:  # NumPy's ways to say that it would have to unpickle
        said = (
            "it holds objects, as an array of items of several lengths does: cut or pad them to one length; words are "
            "saved by .astype(str)"
        )
    else:
        said = f"{said.rstrip('.')}; {AGAIN}"
    return UserError(f"{file} cannot be read as {what}: {said}")


def damaged(file: Path | str, why: Exception) -> UserError:
    """The line for a file that began well and then breaks off."""
    return UserError(f"{file} is damaged: {first_line(why)}; {AGAIN}")


@dataclass(frozen=True)
class Columns:
    """What the user says of how a file is read: the columns of a table, the windows of recordings."""

    image: str | None = None  #: column (or array) of the images; None: the first one with a usual name
    label: str | None = None  #: of the labels
    window: float | None = None  #: seconds of the pieces that recordings are cut into; None: they stay whole

    @property
    def named(self) -> bool:
        """Whether the user named any column."""
        return self.image is not None or self.label is not None

    def refused(self, what: str) -> UserError:
        """The line for data without columns; `what` says which. A run may have them from its own data."""
        given = [name for name in ("image", "label") if getattr(self, name) is not None]
        mend = " ".join(f"data.{name} none" for name in given)
        return UserError(f"{what}; data.image and data.label name the columns of a table: {mend} reads it without")

    def in_small_letters(self) -> "Columns":
        """The same, with names in small letters: for tables whose column names are changed to small letters."""
        return replace(self, image=self.image and self.image.lower(), label=self.label and self.label.lower())

    def choose(self, names: list[str], where: str, usual_images: tuple[str, ...] = ()) -> tuple[str, str]:
        """Names of the image column and of the label column in a table; "" if there is none.

        Raises:
            UserError: the table has no column of the name that the user gave.
        """
        for setting, name in (("data.image", self.image), ("data.label", self.label)):
            if name is not None and name not in names:
                raise UserError(f"{where} has no column {name} ({setting}); it has: {listed(names)}")
        image = self.image or next((name for name in usual_images if name in names), "")
        label = self.label or next((name for name in LABEL_COLUMNS if name in names and name != image), "")
        return image, label


USUAL = Columns()


def commands_for_numbers(file: str) -> str:
    """The end of a message about a file that holds numbers and no images: which commands take those."""
    mine = quote(file)
    return f"; numbers are for `deepinfomax estimate-mi {mine}`, embeddings for `deepinfomax evaluate {mine}`"


def unused_columns(names: list[str], used: set[str]) -> tuple[str, ...]:
    """The note on columns that are not read; none where all are."""
    others = [name for name in names if name not in used]
    if not others:
        return ()
    return (f"columns not used: {listed(others, 8)}; data.label NAME makes one of them the label",)


def no_classes(column: str) -> str:
    """The note on a column of labels that `labels.are_quantities`."""
    return f"{column} holds numbers with fractions, no classes: read without labels; give words to have classes"


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
    columns: bool = False  #: whether the names of columns in `Columns` mean something

    def __post_init__(self) -> None:
        named = f"the format {self.name!r}"
        if not callable(self.read) or not (self.suffixes or self.folder is not None):
            raise UserError(f"{named} needs a function that reads it, and suffixes of files or a function for folders")
        if not isinstance(self.suffixes, tuple) or any(s[:1] != "." or s != s.lower() for s in self.suffixes):
            raise UserError(
                f'{named} needs suffixes as a tuple of endings in small letters, such as (".raw",), not '
                f"{self.suffixes!r}"
            )
        if self.folder is not None and not callable(self.folder):
            raise UserError(f"{named} needs as `folder` a function that says whether a folder has this format")


@dataclass(frozen=True)
class Layout:
    """The files of a published data set as its authors pack them."""

    name: str  #: of the set: "cifar10"; a set may have several layouts
    title: str  #: of the layout, for documentation: "CIFAR-10, Python version"
    holds: Callable[[Path], bool]  #: whether a folder has files of this layout directly in it
    read: Callable[[Path, Columns], Parts]  #: reads the folder that `holds` says yes to; UserError names a missing file
    folders: tuple[str, ...] = ()  #: where the files may lie in a folder that holds the whole set
    archives: tuple[str, ...] = ()  #: the set as it is downloaded, with its folder in it
    members: tuple[str, ...] = ()  #: archives and compressed files that are only a piece of the set
    sizes: Mapping[str, int] = field(default_factory=dict)  #: images in each published part
    columns: bool = False  #: whether `data.label` chooses among several kinds of labels


def one_of(files: Sequence[str], least: int = 1) -> Callable[[Path], bool]:
    """A `Layout.holds`: at least so many files of these names lie in the folder."""
    return lambda folder: sum((folder / name).is_file() for name in files) >= least


def require(folder: Path, files: Sequence[str], title: str, mend: str) -> None:
    """Refuse a copy of a published set that lacks a file.

    Raises:
        UserError: the line names the first of them and says how to mend it.
    """
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
        raise UserError(f"{folder} lacks {missing[0]}{more} of {title}: {mend}")
