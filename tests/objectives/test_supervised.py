import math

import pytest
import torch
from torch import nn
from torch.nn.functional import log_softmax, logsigmoid

from deepinfomax.errors import UserError
from deepinfomax.features import Features, Shapes
from deepinfomax.objectives import Batch, Facts, LocalInfoMax
from deepinfomax.objectives.supervised import Supervised
from deepinfomax.training.building import uses_labels

SHAPES = Shapes(image=(1, 8, 8), local=(4, 2, 2), conv=(4, 2, 2), fc=(6,), y=(3,))


def features(n: int = 5) -> Features:
    torch.manual_seed(1)
    return Features(*(torch.randn(n, *shape, requires_grad=True) for shape in SHAPES[1:]))


def batch(labels) -> Batch:
    n = 5 if labels is None else len(labels)
    return Batch(torch.zeros(n, 1, 8, 8), labels, torch.arange(n))


@pytest.mark.parametrize("level", ["y", "fc"])
def test_cross_entropy_and_accuracy_of_the_labelled(level):
    torch.manual_seed(0)
    objective, f = Supervised(Facts(SHAPES, classes=4), level=level), features()
    labels = torch.tensor([3, -1, 0, 2, -1])
    terms = objective(f, batch(labels))
    loss = terms["loss"]
    logits = objective.head(getattr(f, level))
    expected = [-log_softmax(logits[i], 0)[labels[i]] for i in (0, 2, 3)]
    torch.testing.assert_close(loss, sum(expected) / 3)
    right = [int(logits[i].argmax()) == int(labels[i]) for i in (0, 2, 3)]
    assert terms.measured["accuracy"].item() == pytest.approx(sum(right) / 3)
    loss.backward()
    assert getattr(f, level).grad[0].abs().sum() > 0
    assert getattr(f, level).grad[1].abs().sum() == 0


def test_a_batch_without_labels_has_no_loss():
    loss = Supervised(Facts(SHAPES, classes=4))(features(), batch(torch.full((5,), -1)))["loss"]
    assert loss.item() == 0
    loss.backward()


def test_a_single_labelled_image_counts_as_one():
    objective, f = Supervised(Facts(SHAPES, classes=4)), features()
    logits = objective.head(f.y)[3]
    best = int(logits.argmax())
    terms = objective(f, batch(torch.tensor([-1, -1, -1, best, -1])))
    torch.testing.assert_close(terms["loss"], -log_softmax(logits, 0)[best])
    assert terms.measured["accuracy"] == 1


def test_one_attribute_is_yes_or_no():
    objective, f = Supervised(Facts(SHAPES, classes=1), multi_label=True), features(2)
    u = objective.head(f.y)[:, 0]
    terms = objective(f, batch(torch.tensor([[1], [0]])))
    torch.testing.assert_close(terms["loss"], -(logsigmoid(u[0]) + logsigmoid(-u[1])) / 2)


def test_it_asks_for_labels_and_deep_infomax_does_not():
    assert uses_labels(Supervised)
    assert not uses_labels(LocalInfoMax)


def test_several_labels_an_image():
    torch.manual_seed(0)
    objective, f = Supervised(Facts(SHAPES, classes=2), multi_label=True), features()
    labels = torch.tensor([[1, 0], [0, 0], [1, 1], [0, 1], [0, 0]])
    terms = objective(f, batch(labels))
    loss = terms["loss"]
    logits = objective.head(f.y)
    expected = [
        -logsigmoid(u if yes else -u)
        for row, ls in zip(logits, labels, strict=True)
        for u, yes in zip(row, ls, strict=True)
    ]
    torch.testing.assert_close(loss, sum(expected) / 10)


def test_of_several_labels_some_may_be_missing():
    torch.manual_seed(0)
    objective, f = Supervised(Facts(SHAPES, classes=2), multi_label=True), features(3)
    labels = torch.tensor([[1, -1], [-1, -1], [0, 1]])
    terms = objective(f, batch(labels))
    loss = terms["loss"]
    logits = objective.head(f.y)
    known = [(logits[0, 0], 1), (logits[2, 0], 0), (logits[2, 1], 1)]
    torch.testing.assert_close(loss, sum(-logsigmoid(u if yes else -u) for u, yes in known) / 3)
    assert terms.measured["accuracy"].item() == pytest.approx(sum((u > 0) == bool(yes) for u, yes in known) / 3)


def test_an_untrained_head_costs_about_log_classes_and_a_trained_one_little():
    torch.manual_seed(0)
    objective = Supervised(Facts(SHAPES, classes=3))
    labels = torch.arange(60) % 3
    y = torch.eye(3)[labels] * 4 + torch.randn(60, 3) * 0.1
    f = Features(*(torch.zeros(60, *shape) for shape in SHAPES[1:4]), y)
    nn.init.zeros_(objective.head.weight)
    nn.init.zeros_(objective.head.bias)
    assert objective(f, batch(labels))["loss"].item() == pytest.approx(math.log(3), abs=1e-6)
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        terms = objective(f, batch(labels))
        terms["loss"].backward()
        optimizer.step()
    assert terms.measured["accuracy"] == 1


@pytest.mark.parametrize(
    ("settings", "labels", "message"),
    [
        ({}, None, "needs labels"),
        ({}, torch.zeros(5, 4, dtype=torch.long), "multi_label to true"),
        ({"multi_label": True}, torch.zeros(5, dtype=torch.long), "multi_label to false"),
        ({"multi_label": True}, torch.zeros(5, 3, dtype=torch.long), r"of shape \(N, 4\), not \(5, 3\)"),
        ({}, torch.tensor([0, 4, 1, 1, 1]), "from 0 to 4 but supervised.classes is 4"),
    ],
)
def test_labels_that_do_not_fit(settings, labels, message):
    with pytest.raises(UserError, match=message):
        Supervised(Facts(SHAPES, classes=4), **settings)(features(), batch(labels))


@pytest.mark.parametrize("classes", [None, 0, 1])
def test_no_classes(classes):
    with pytest.raises(UserError, match="needs labels"):
        Supervised(Facts(SHAPES, classes=classes))


def test_two_classes_are_enough_and_one_attribute_is():
    assert Supervised(Facts(SHAPES, classes=2)).head.out_features == 2
    assert Supervised(Facts(SHAPES, classes=1), multi_label=True).head.out_features == 1
    with pytest.raises(UserError, match="needs labels"):
        Supervised(Facts(SHAPES, classes=0), multi_label=True)


@pytest.mark.usefixtures("any_shape")
@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.bool])
def test_labels_may_be_whole_numbers_of_any_type(kind):
    torch.manual_seed(0)
    objective, f = Supervised(Facts(SHAPES, classes=2)), features(4)
    labels = torch.tensor([0, 1, 1, 0])
    assert objective(f, batch(labels.to(kind)))["loss"] == objective(f, batch(labels))["loss"]


@pytest.mark.usefixtures("any_shape")
def test_labels_that_are_none_are_told():
    with pytest.raises(UserError, match=r"labels are torch.float32: supervised needs whole numbers from 0"):
        Supervised(Facts(SHAPES, classes=2))(features(2), batch(torch.tensor([0.0, 1.0])))
    with pytest.raises(UserError, match="labels run from 0 to 2: with multi_label they are 0, 1, and -1 for none"):
        Supervised(Facts(SHAPES, classes=2), multi_label=True)(features(2), batch(torch.tensor([[0, 1], [2, 0]])))
