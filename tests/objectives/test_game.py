"""What the game shows its encoder, which pass each objective is given, and who trains what."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepinfomax import config, encoders, recipes
from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.objectives import Batch, Facts, Game, LocalInfoMax, PriorMatching, Terms, play, play_all
from deepinfomax.objectives.game import metric_name
from deepinfomax.objectives.occlusion import Occlusion
from deepinfomax.training.building import build_game


class RecordingEncoder(nn.Module):
    """Keeps what it was shown and what it made of it; every level is a pixel sum, so no two passes agree."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []
        self.made: list[Features] = []

    def forward(self, images: Tensor) -> Features:
        self.shown.append(images.clone())
        sums = images.sum((1, 2, 3)).unsqueeze(1)
        self.made.append(Features(local=images * 2, conv=images * 3, fc=sums, y=-sums))
        return self.made[-1]


class RecordingOcclusion(Occlusion):
    """Keeps which pixels it hid."""

    def hidden(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        self.last = super().hidden(count, generator)
        return self.last


class RecordingObjective(nn.Module):
    def forward(self, features: Features, batch: Batch) -> Terms:
        self.seen, self.batch = features, batch
        return Terms({"loss": features.y.sum()})


@pytest.fixture
def batch() -> Batch:
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) + 1  # nowhere the fill of 0
    return Batch(images, None, torch.arange(8))


def one_step(batch: Batch, occlusion: nn.Module | None) -> tuple[RecordingEncoder, list[RecordingObjective], Features]:
    encoder, objectives = RecordingEncoder(), [RecordingObjective(), RecordingObjective()]
    turn = Game(encoder, {"first": (1.0, objectives[0]), "second": (1.0, objectives[1])}, occlusion)(batch)
    return encoder, objectives, turn.features


def test_the_second_pass_sees_all_but_the_hidden_pixels(batch: Batch) -> None:
    torch.manual_seed(0)
    occlusion = RecordingOcclusion((3, 32, 32))
    images = batch.images.clone()
    encoder, _, _ = one_step(batch, occlusion)
    clean, occluded = encoder.shown  # two passes, no more
    assert torch.equal(clean, images)
    hidden = occlusion.last.unsqueeze(1).expand_as(images)
    assert hidden.any()
    assert not hidden.all()
    assert torch.equal(occluded != clean, hidden)


def test_maps_are_of_the_clean_pass_and_fc_and_y_of_the_occluded(batch: Batch) -> None:
    torch.manual_seed(0)
    encoder, objectives, features = one_step(batch, RecordingOcclusion((3, 32, 32)))
    clean, occluded = encoder.made
    assert not torch.equal(clean.y, occluded.y)
    # The features returned are those that the second player is shown.
    for seen in (*(o.seen for o in objectives), features):
        assert torch.equal(seen.local, clean.local)
        assert torch.equal(seen.conv, clean.conv)
        assert torch.equal(seen.fc, occluded.fc)
        assert torch.equal(seen.y, occluded.y)
    for objective in objectives:  # a reconstruction is compared with the image itself
        assert torch.equal(objective.batch.images, encoder.shown[0])


class OneWeight(nn.Module):
    """Every level is the image times one weight, so that the gradient of a sum over a level is the sum of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Features:
        levels = images * self.weight
        return Features(levels, levels, levels.flatten(1), levels.flatten(1))


@pytest.mark.parametrize("level", Features._fields)
def test_both_passes_train_the_encoder(batch: Batch, level: str) -> None:
    torch.manual_seed(0)
    encoder, occlusion = OneWeight(), RecordingOcclusion((3, 32, 32))
    features = Game(encoder, {}, occlusion)(batch).features
    getattr(features, level).sum().backward()
    hidden = occlusion.last.unsqueeze(1)
    seen = batch.images if level in ("local", "conv") else batch.images.masked_fill(hidden, 0.0)
    torch.testing.assert_close(encoder.weight.grad, seen.sum())


def test_without_occlusion_one_pass_gives_all(batch: Batch) -> None:
    encoder, objectives, features = one_step(batch, None)
    assert len(encoder.shown) == 1
    assert torch.equal(encoder.shown[0], batch.images)
    for seen in (*(o.seen for o in objectives), features):
        assert all(torch.equal(a, b) for a, b in zip(seen, encoder.made[0], strict=True))


def test_a_configuration_occludes_where_it_says_so() -> None:
    images = ImageSet(np.zeros((4, 3, 32, 32), dtype=np.uint8))
    plain = recipes.recipe("dim-local", "smoke")
    assert build_game(plain, (3, 32, 32), images).occlusion is None
    asked = config.override(plain, {"occlusion.fill": -0.5, "occlusion.block": 12})
    occlusion = build_game(asked, (3, 32, 32), images).occlusion
    assert isinstance(occlusion, Occlusion)
    assert (occlusion.fill, occlusion.block, occlusion.sides) == (-0.5, 12, (32, 32))


SHAPE = (3, 16, 16)


def small_game(**objectives: tuple[float, nn.Module]) -> Game:
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", SHAPE, width=4, fc=8, y=6)
    facts = Facts(encoders.shapes_of(encoder, SHAPE))
    own = {
        "fine": (1.0, LocalInfoMax(facts, units=8)),
        "coarse": (0.5, LocalInfoMax(facts, bound="jsd", units=8)),
        "prior": (0.1, PriorMatching(facts)),
    }
    return Game(encoder, own | objectives)


def small_batch(n: int = 6) -> Batch:
    return Batch(torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1)) * 2 - 1)


def test_losses_are_named_by_objective_and_term_and_weighted_in_the_total() -> None:
    turn = small_game()(small_batch())
    assert set(turn.losses) == {"fine/loss", "coarse/loss", "prior/loss"}
    assert {"fine/bound", "fine/cap", "coarse/bound", "prior/taken_for_prior"} <= set(turn.measured)
    losses = {name: loss.item() for name, loss in turn.losses.items()}
    expected = losses["fine/loss"] + 0.5 * losses["coarse/loss"] + 0.1 * losses["prior/loss"]
    assert turn.total.item() == pytest.approx(expected)
    assert not any(value.requires_grad for value in turn.measured.values())


def test_a_term_of_weight_0_is_told_and_changes_nothing_even_if_it_is_infinite() -> None:
    encoder = encoders.build("dcgan", SHAPE, width=2, fc=4, y=2)
    own = Returns(lambda y: Terms({"loss": y.square().mean()}))
    infinite = Returns(lambda y: Terms({"loss": (y * torch.inf).mean()}))
    game = Game(encoder, {"own": (1.0, own), "infinite": (0.0, infinite)})
    turn = play(game, small_batch(), {"encoder": torch.optim.SGD(encoder.parameters(), 0.1)})
    assert turn.total == turn.losses["own/loss"]
    assert not turn.losses["infinite/loss"].isfinite()
    assert all(weight.isfinite().all() for weight in encoder.parameters())


def test_two_objectives_of_one_kind_both_train() -> None:
    game = small_game()
    optimizers = {player: torch.optim.SGD(its, lr=0.1) for player, its in game.players().items()}
    before = {name: value.clone() for name, value in game.state_dict().items()}
    play(game, small_batch(), optimizers)
    for name in ("fine", "coarse"):
        key = f"objectives.{name}.critic.glob.out.weight"
        assert not torch.equal(game.state_dict()[key], before[key])


def test_each_player_has_parameters_of_its_own_and_together_they_have_all() -> None:
    game = small_game()
    players = game.players()
    numbers = {player: {id(p) for p in its} for player, its in players.items()}
    assert not numbers["encoder"] & numbers["opponents"]
    assert numbers["encoder"] | numbers["opponents"] == {id(p) for p in game.parameters()}
    assert numbers["opponents"] == {id(p) for p in game.objectives["prior"].critic.parameters()}
    assert not any("opponents" in name for name in game.state_dict())
    facts = Facts(encoders.shapes_of(game.encoder, SHAPE))
    alone = Game(game.encoder, {"local": (1.0, LocalInfoMax(facts, units=8))})
    assert alone.opponents is None
    assert set(alone.players()) == {"encoder"}


def test_a_step_is_both_players_turns_on_the_same_features() -> None:
    """Against the step written out by hand."""
    game, twin, batch = small_game(), small_game(), small_batch()
    torch.manual_seed(5)
    optimizers = {player: torch.optim.SGD(its, lr=0.1) for player, its in game.players().items()}
    turn = play(game, batch, optimizers)
    torch.manual_seed(5)
    prior = twin.objectives["prior"]
    first, second = (torch.optim.SGD(its, lr=0.1) for its in twin.players().values())
    features = twin.encoder(batch.images)
    losses = {name: twin.objectives[name](features, batch)["loss"] for name in ("fine", "coarse", "prior")}
    first.zero_grad()
    (losses["fine"] + 0.5 * losses["coarse"] + 0.1 * losses["prior"]).backward()
    first.step()
    second.zero_grad()
    sum(prior.adversary(features.detach(), batch).values()).backward()
    second.step()
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(game.state_dict()[name], value, msg=name)
    assert set(turn.losses) == {"fine/loss", "coarse/loss", "prior/loss", "prior/critic", "prior/penalty"}
    assert not turn.features.y.requires_grad
    assert not turn.total.requires_grad


def test_a_turn_changes_no_state_but_batchnorm() -> None:
    game = small_game().eval()
    before = {name: value.clone() for name, value in game.state_dict().items()}
    attributes = {name: set(vars(objective)) for name, objective in game.objectives.items()}
    game(small_batch())
    assert all(torch.equal(value, before[name]) for name, value in game.state_dict().items())
    assert attributes == {name: set(vars(objective)) for name, objective in game.objectives.items()}


def test_batches_may_come_from_anything_that_can_be_iterated() -> None:
    game = small_game()
    optimizers = {player: torch.optim.Adam(its, lr=1e-3) for player, its in game.players().items()}
    turns = list(play_all(game, (small_batch() for _ in range(30)), optimizers))
    assert len(turns) == 30
    assert turns[-1].measured["fine/bound"] > turns[0].measured["fine/bound"] + 0.1


def test_names_in_metrics() -> None:
    assert metric_name("local/loss") == "local"
    assert metric_name("prior/critic") == "prior_critic"
    assert metric_name("vae/reconstruction") == "vae_reconstruction"


def test_one_pass_is_asked_for_where_y_is_occluded_and_only_there(batch: Batch) -> None:
    class NeedsOnePass(RecordingObjective):
        one_pass: str | None = "it reads y and the map together"

    class Content(NeedsOnePass):
        one_pass = None

    occlusion = RecordingOcclusion((3, 32, 32))
    Game(RecordingEncoder(), {"needs": (1.0, NeedsOnePass())})
    Game(RecordingEncoder(), {"content": (1.0, Content()), "other": (1.0, RecordingObjective())}, occlusion)
    with pytest.raises(UserError, match="another pass than the maps, but it reads y and the map together"):
        Game(RecordingEncoder(), {"content": (1.0, Content()), "needs": (1.0, NeedsOnePass())}, occlusion)
    of_views = Batch(batch.images, views=2)
    Game(RecordingEncoder(), {"content": (1.0, Content())})(of_views)
    with pytest.raises(UserError, match="2 views of an image pass the encoder together, but it reads y"):
        Game(RecordingEncoder(), {"needs": (1.0, NeedsOnePass())})(of_views)


def test_frozen_opponents_ask_for_no_gradient_until_the_block_ends() -> None:
    game = small_game()
    assert game.opponents is not None
    with game.opponents.frozen():
        assert not any(parameter.requires_grad for parameter in game.opponents.parameters())
    assert all(parameter.requires_grad for parameter in game.opponents.parameters())


def test_steps_are_in_training_mode_and_each_by_its_own_gradient(batch: Batch) -> None:
    """Plain gradient descent on y = w: each step moves w by the rate, not by all gradients so far."""

    class Weight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(1, 1))

        def forward(self, images: Tensor) -> Features:
            assert self.training
            return Features(local=images, conv=None, fc=None, y=self.w.expand(len(images), 1) / len(images))

    encoder = Weight().eval()
    game = Game(encoder, {"sum": (1.0, RecordingObjective())}).eval()
    for _ in play_all(game, [batch] * 3, {"encoder": torch.optim.SGD(encoder.parameters(), lr=0.5)}):
        pass
    assert encoder.w.item() == pytest.approx(-1.5)


def test_hidden_images_leave_the_running_averages_to_whole_ones() -> None:
    torch.manual_seed(0)
    images = torch.rand(6, 3, 32, 32) * 2 - 1
    encoder = encoders.build("dcgan", (3, 32, 32), width=4, fc=16, y=8)
    plain = copy.deepcopy(encoder)
    facts = Facts(encoders.shapes_of(encoder, (3, 32, 32)))
    game = Game(encoder, {"local": (1.0, LocalInfoMax(facts, units=8))}, Occlusion((3, 32, 32)))
    turn = game(Batch(images))
    plain(images)
    averages = dict(plain.named_buffers())
    assert averages
    for name, buffer in encoder.named_buffers():
        assert torch.equal(buffer, averages[name]), name
    momenta = [(a, b) for a, b in zip(encoder.modules(), plain.modules(), strict=True) if hasattr(a, "momentum")]
    assert all(a.momentum == b.momentum for a, b in momenta)
    turn.total.backward()
    assert all(p.grad is not None for p in encoder.parameters())


class Returns(nn.Module):
    """An objective of another package that returns whatever it is told."""

    def __init__(self, make) -> None:
        super().__init__()
        self.make = make

    def forward(self, features: Features, batch: Batch) -> Terms:
        return self.make(features.y.square())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda y: y.mean(), r'the objective own returned a Tensor: return Terms\({"loss": loss}\)'),
        (lambda y: {"loss": y.mean()}, "the objective own returned a dict"),
        (lambda y: (Terms({"loss": y.mean()}), {}), "the objective own returned a tuple"),
        (lambda y: Terms({"loss": 0.5}), "the loss 'loss' is a float: give a tensor, which carries the gradient"),
        (lambda y: Terms({"loss": y.mean(1)}), r"'loss' has shape \(4,\): give one number, such as its mean\(\)"),
        (lambda y: Terms({"loss": y.mean()}, {"each": y.mean(1)}), r"'each' has shape \(4,\): give one number"),
        (lambda y: Terms({"a/b": y.mean()}), "'a/b' has a slash in its name"),
        (lambda y: Terms({"loss": y.mean()}, {"a/b": 1.0}), "'a/b' has a slash in its name"),
    ],
)
@pytest.mark.parametrize("views", [1, 2])
def test_what_an_objective_must_return_is_said_in_one_line(views: int, make, says: str) -> None:
    game = Game(RecordingEncoder(), {"own": (1.0, Returns(make))})
    with pytest.raises(UserError, match=says) as raised:
        game(Batch(torch.rand(4 * views, 1, 2, 2), views=views))
    assert "\n" not in str(raised.value)


def test_what_was_measured_may_be_any_number() -> None:
    y = torch.ones(3, requires_grad=True)
    terms = Terms({"loss": y.mean()}, {"plain": 0.25, "tensor": y.mean() * 2})
    assert {name: value.item() for name, value in terms.measured.items()} == {"plain": 0.25, "tensor": 2.0}
    assert not any(value.requires_grad for value in terms.measured.values())
    assert terms["loss"].requires_grad


def test_of_several_views_what_was_counted_is_averaged_too() -> None:
    counts = Returns(lambda y: Terms({"loss": y.mean()}, {"large": (y > 1).sum(), "any": (y > 1).any()}))
    images = torch.tensor([0.1, 0.1, 9.0, 9.0]).view(4, 1, 1, 1).requires_grad_()
    turn = Game(RecordingEncoder(), {"own": (1.0, counts)})(Batch(images, views=2))
    assert {name: value.item() for name, value in turn.measured.items()} == {"own/large": 1.0, "own/any": 0.5}


def test_a_loss_that_trains_nothing_is_refused_by_a_step() -> None:
    encoder = encoders.build("dcgan", (1, 16, 16), width=2, fc=4, y=3)
    batch = Batch(torch.rand(4, 1, 16, 16))
    raises = Returns(lambda y: Terms({"loss": y.mean()}))
    cut = Returns(lambda y: Terms({"loss": y.mean(), "aside": y.detach().mean()}))
    noise = PriorMatching(Facts.of(encoder, (1, 16, 16)), by="noise")
    for objectives, says in (
        ({"own": (1.0, raises), "cut": (0.0, cut)}, "the loss cut/aside carries no gradient"),
        ({"own": (0.0, raises), "prior": (1.0, noise)}, "all objectives that have a loss have a weight of 0"),
        ({"prior": (1.0, noise)}, r"no objective has a loss \(prior.by noise has none\)"),
    ):
        game = Game(encoder, objectives)
        game(batch)  # to look at it is no mistake
        with pytest.raises(UserError, match=says):
            play(game, batch, {"encoder": torch.optim.SGD(encoder.parameters(), 0.1)})


@pytest.mark.usefixtures("any_shape")
def test_a_weight_or_an_optimizer_that_is_missing_is_told(batch: Batch) -> None:
    encoder = encoders.build("dcgan", (1, 8, 8), width=2, fc=4, y=2)
    facts = Facts.of(encoder, (1, 8, 8))
    with pytest.raises(UserError, match=r"objective 'local' has no weight: give it as \(1.0, LocalInfoMax\(facts\)\)"):
        Game(encoder, {"local": LocalInfoMax(facts, units=4)})  # type: ignore[dict-item]
    game = Game(encoder, {"prior": (1.0, PriorMatching(facts))})
    with pytest.raises(UserError, match="the opponents have no optimizer"):
        play(game, batch, {"encoder": torch.optim.Adam(encoder.parameters())})


@pytest.mark.usefixtures("any_shape")
@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"views": 2}, "7 images are no 2 views of each of so many images"),
        ({"views": 0}, "7 images are no 0 views"),
        ({"labels": torch.zeros(6)}, "6 labels for 7 images: give one for each, not for each view"),
        ({"index": torch.arange(14)}, "14 index for 7 images"),
        ({"small": torch.zeros(8, 1, 2, 2)}, "8 small views of 7 images: give every image as many"),
    ],
)
def test_a_batch_whose_rows_do_not_fit_is_refused(rows: dict, says: str) -> None:
    """SimCLR would compare views of different images without a word."""
    with pytest.raises(UserError, match=says):
        Batch(torch.zeros(7, 1, 4, 4), **rows)
    views = Batch(torch.zeros(6, 1, 4, 4), torch.zeros(3), torch.arange(3), 2, torch.zeros(9, 1, 2, 2))
    assert len(views.of_view(1).images) == 3
