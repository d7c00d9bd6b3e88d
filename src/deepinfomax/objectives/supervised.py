"""Supervised: the same encoder trained with labels, the upper control of the paper's Tables 1 and 2."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.information.pairs import at_least_float32, gather_with_gradient
from deepinfomax.objectives.protocol import Batch, Facts, Terms
from deepinfomax.settings import checked


@checked
class Supervised(nn.Module):
    """Cross-entropy of a linear classifier, in nats. Images with the label -1 (no label) are ignored.

    The classifier reads y, so that every level that probes read is trained. y is linear in fc, so if there are more
    classes than units in y, the classifier is restricted by the size of y. `level` = "fc" avoids that, but then y is
    not trained.

    Args:
        facts: the shapes of the encoder's features, and the number of classes.
        level: the classifier's input.
        multi_label: labels are (N, classes) of 0 and 1, as CelebA's attributes, and each is predicted separately.

    Raises:
        UserError: the data have no labels, or labels of the other kind.
    """

    uses_labels = True
    compares_processes = False

    def __init__(
        self,
        facts: Facts,
        *,
        level: Literal["y", "fc"] = "y",
        multi_label: bool = False,
    ) -> None:
        super().__init__()
        shapes, classes = facts.shapes, facts.classes
        if classes is None or classes < 2 - multi_label:
            raise UserError("supervised needs labels: use a data set with two classes or more, or another objective")
        self.classes, self.level, self.multi_label = classes, level, multi_label
        if getattr(shapes, level) is None:
            raise UserError(f"supervised.level is {level}, which this encoder has not: use y")
        self._looked = False  #: whether labels on a device have been checked
        self.head = nn.Linear(torch.Size(getattr(shapes, level)).numel(), classes)

    def forward(self, features: Features, batch: Batch) -> Terms:
        labels = self.checked(batch.labels)
        logits = self.head(getattr(features, self.level).flatten(1))
        logits = at_least_float32(logits)
        known = labels >= 0
        # The mean over the labels of all processes. A batch without labels has a loss of 0, not 0/0.
        counts = gather_with_gradient(known.sum().view(1))
        labelled = counts.sum().clamp(min=1) / len(counts)
        if self.multi_label:
            right = ((logits > 0) == (labels > 0)) & known
            target = labels.clamp(min=0).to(logits.dtype)
            loss = binary_cross_entropy_with_logits(logits, target, known.to(logits.dtype), reduction="sum")
        else:
            right = logits.argmax(1) == labels
            loss = cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
        return Terms({"loss": loss / labelled}, {"accuracy": right.sum() / known.sum().clamp(min=1)})

    def checked(self, labels: Tensor | None) -> Tensor:
        """The labels, if their shape and values fit `multi_label`; raises UserError otherwise."""
        if labels is None:
            raise UserError("supervised needs labels and this data set has none: use another objective")
        if self.multi_label and (labels.ndim != 2 or labels.shape[1] != self.classes):
            raise UserError(
                f"supervised.multi_label needs labels of shape (N, {self.classes}), not {tuple(labels.shape)}: "
                "set multi_label to false"
            )
        if not self.multi_label and labels.ndim != 1:
            raise UserError(f"labels of shape {tuple(labels.shape)} are multi-hot: set supervised.multi_label to true")
        if not self.multi_label and (labels.is_floating_point() or labels.is_complex()):
            raise UserError(f"labels are {labels.dtype}: supervised needs whole numbers from 0, and -1 for none")
        labels = labels if self.multi_label else labels.long()
        # Checking values would split a compiled step in two; `train` has checked all labels before.
        if self._looked or torch.compiler.is_compiling():
            return labels
        # On a GPU the check waits for the device, so only the first batch is checked.
        self._looked = labels.device.type != "cpu"
        least, most = labels.min().item(), labels.max().item()
        if self.multi_label and not -1 <= least <= most <= 1:
            raise UserError(f"labels run from {least:g} to {most:g}: with multi_label they are 0, 1, and -1 for none")
        if not self.multi_label and not -1 <= least <= most < self.classes:
            raise UserError(
                f"labels run from {least} to {most} but supervised.classes is {self.classes}: "
                "labels are 0 to classes - 1, and -1 for none"
            )
        return labels
