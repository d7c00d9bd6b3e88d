from itertools import permutations
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.functional import normalize

from deepinfomax import encoders
from deepinfomax.errors import UserError
from deepinfomax.features import Features, Shapes
from deepinfomax.objectives import Batch, Facts, Terms
from deepinfomax.objectives.nat import NoiseAsTargets

SHAPES = Shapes(image=(1, 8, 8), local=(4, 2, 2), conv=(4, 2, 2), fc=(6,), y=(3,))


def terms(objective: NoiseAsTargets, y: torch.Tensor, index: torch.Tensor | None) -> Terms:
    return objective(Features(y, y, y, y), Batch(torch.zeros(len(y), 1, 8, 8), index=index))


def step(objective: NoiseAsTargets, y: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return terms(objective, y, index)["loss"]


def test_targets_lie_on_the_sphere_in_every_direction_and_follow_the_seed():
    targets = NoiseAsTargets(Facts(SHAPES, images=4000), seed=3).targets
    torch.testing.assert_close(targets.norm(dim=1), torch.ones(4000))
    assert targets.mean(0).norm() < 0.05
    torch.testing.assert_close(targets.T @ targets / 4000, torch.eye(3) / 3, atol=0.02, rtol=0)
    assert torch.equal(targets, NoiseAsTargets(Facts(SHAPES, images=4000), seed=3).targets)
    assert not torch.equal(targets, NoiseAsTargets(Facts(SHAPES, images=4000), seed=4).targets)


@pytest.mark.parametrize("seed", range(5))
def test_assignment_is_the_best_of_all(seed):
    torch.manual_seed(seed)
    objective = NoiseAsTargets(Facts(SHAPES, images=20))
    y, index = torch.randn(6, 3), torch.randperm(20)[:6]
    points = objective.targets[objective.assignment[index]]
    unit = normalize(y, dim=1)
    costs = [(unit - points[list(order)]).square().sum(1).mean() for order in permutations(range(6))]
    torch.testing.assert_close(step(objective, y, index), min(costs))


def test_a_permutation_stays_one_and_batches_touch_their_own_images_only():
    torch.manual_seed(0)
    objective = NoiseAsTargets(Facts(SHAPES, images=30))
    for _ in range(20):
        index, before = torch.randperm(30)[:8], objective.assignment.clone()
        step(objective, torch.randn(8, 3), index)
        others = torch.ones(30, dtype=torch.bool)
        others[index] = False
        assert torch.equal(objective.assignment[others], before[others])
        assert sorted(objective.assignment[index].tolist()) == sorted(before[index].tolist())
    assert sorted(objective.assignment.tolist()) == list(range(30))
    assert not torch.equal(objective.assignment, torch.arange(30))


def test_an_image_that_comes_twice_keeps_one_point():
    torch.manual_seed(0)
    objective = NoiseAsTargets(Facts(SHAPES, images=10))
    for _ in range(10):
        index = torch.randint(10, (7,))
        y = torch.randn(7, 3)
        loss = step(objective, y, index)
        points = objective.targets[objective.assignment[index]]
        torch.testing.assert_close(loss, (normalize(y, dim=1) - points).square().sum(1).mean())
        assert sorted(objective.assignment.tolist()) == list(range(10))


def test_permutation_is_saved_and_loaded():
    torch.manual_seed(0)
    objective = NoiseAsTargets(Facts(SHAPES, images=12))
    step(objective, torch.randn(12, 3), torch.arange(12))
    again = NoiseAsTargets(Facts(SHAPES, images=12), seed=9)
    again.load_state_dict(objective.state_dict())
    assert torch.equal(again.assignment, objective.assignment)
    assert torch.equal(again.targets, objective.targets)


def test_only_training_moves_points():
    torch.manual_seed(0)
    objective = NoiseAsTargets(Facts(SHAPES, images=12)).eval()
    assert terms(objective, torch.randn(12, 3), torch.arange(12)).measured["moved"] == 0
    assert torch.equal(objective.assignment, torch.arange(12))


def test_loss_does_not_depend_on_the_length_of_y_and_pulls_it_to_its_point():
    torch.manual_seed(5)
    objective, y = NoiseAsTargets(Facts(SHAPES, images=12)), torch.randn(12, 3, requires_grad=True)
    loss = step(objective, y, torch.arange(12))
    torch.testing.assert_close(step(objective, 7 * y, torch.arange(12)), loss)
    loss.backward()
    points = objective.targets[objective.assignment]
    closer = normalize(y - 0.5 * y.grad, dim=1).mul(points).sum(1).mean()
    assert closer > normalize(y, dim=1).mul(points).sum(1).mean()


def test_encodings_come_to_cover_the_sphere():
    """Noise images have nothing in common, yet y learns its points: from a distance of 2, which is chance."""
    torch.manual_seed(0)
    images = torch.rand(128, 1, 8, 8) * 2 - 1
    encoder = encoders.build("dcgan", (1, 8, 8), width=8, fc=64, y=3)
    objective = NoiseAsTargets(Facts(encoders.shapes_of(encoder, (1, 8, 8)), images=128))
    optimizer = torch.optim.Adam([*encoder.parameters()], lr=3e-3)
    for _ in range(60):
        order = torch.randperm(128)
        for index in order.split(64):
            loss = objective(encoder(images[index]), Batch(images[index], None, index))["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert loss < 0.1
    with torch.no_grad():
        y = normalize(encoder(images).y, dim=1)
    torch.testing.assert_close(y.T @ y / 128, torch.eye(3) / 3, atol=0.1, rtol=0)


def half_a_batch(rank: int, meeting: str) -> None:
    """One of two processes: three steps on its half of each batch, and what it then knows of the permutation."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    objective = NoiseAsTargets(Facts(SHAPES, images=30))
    losses = [step(objective, y.chunk(2)[rank], index.chunk(2)[rank]).item() for y, index in shared_batches()]
    torch.save({"losses": losses, "assignment": objective.assignment}, f"{meeting}.{rank}")
    dist.destroy_process_group()


def shared_batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(7)
    return [(torch.randn(8, 3, generator=generator), torch.randperm(30, generator=generator)[:8]) for _ in range(3)]


def test_two_processes_keep_one_permutation(tmp_path: Path):
    mp.spawn(half_a_batch, args=(str(tmp_path / "meeting"),), nprocs=2)
    halves = [torch.load(tmp_path / f"meeting.{rank}", weights_only=True) for rank in (0, 1)]
    alone = NoiseAsTargets(Facts(SHAPES, images=30))
    losses = [step(alone, y, index).item() for y, index in shared_batches()]
    assert torch.equal(halves[0]["assignment"], alone.assignment)
    assert torch.equal(halves[1]["assignment"], alone.assignment)
    for whole, *parts in zip(losses, halves[0]["losses"], halves[1]["losses"], strict=True):
        assert sum(parts) / 2 == pytest.approx(whole, rel=1e-5)


def test_what_it_cannot_know():
    with pytest.raises(UserError, match="how many images"):
        NoiseAsTargets(Facts(SHAPES))
    with pytest.raises(UserError, match="position in the data set"):
        terms(NoiseAsTargets(Facts(SHAPES, images=5)), torch.randn(2, 3), None)
    with pytest.raises(UserError, match="targets for 5 images but met image 7"):
        step(NoiseAsTargets(Facts(SHAPES, images=5)), torch.randn(2, 3), torch.tensor([1, 7]))


def test_points_are_handed_out_in_float32_under_autocast():
    torch.manual_seed(0)
    objective, plain = (NoiseAsTargets(Facts(SHAPES, images=40)) for _ in range(2))
    y, index = torch.randn(40, 3), torch.arange(40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step(objective, y, index)
    step(plain, y, index)
    assert torch.equal(objective.assignment, plain.assignment)
