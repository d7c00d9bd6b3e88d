import torch
from torch import nn

from deepinfomax.objectives.players import normalise_spectrally, read, squared_slope


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1))


def test_read_gives_the_same_scores_and_leaves_the_network_alone():
    critic, x = network(), torch.randn(8, 4, requires_grad=True)
    before = {k: v.clone() for k, v in critic.state_dict().items()}
    score = read(critic, x)
    score.sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None for p in critic.parameters())
    assert all(torch.equal(v, before[k]) for k, v in critic.state_dict().items())
    torch.testing.assert_close(score, critic(x))


def test_read_does_not_move_the_vectors_of_spectral_norm():
    critic = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1))
    normalise_spectrally(critic)
    before = {k: v.clone() for k, v in critic.state_dict().items()}
    read(critic, torch.randn(8, 4))
    assert all(torch.equal(v, before[k]) for k, v in critic.state_dict().items())


def test_squared_slope_is_that_of_each_sample():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 1))
    x, z = torch.randn(6, 4, requires_grad=True), torch.randn(6, 3, requires_grad=True)
    expected = []
    for i in range(6):
        pair = torch.cat([x[i], z[i]]).detach().requires_grad_(True)
        critic(pair).squeeze().backward()
        expected.append(pair.grad.square().sum())
    torch.testing.assert_close(squared_slope(critic(torch.cat([x, z], 1)), x, z), torch.stack(expected))


def test_spectral_norm_bounds_every_layer():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5))
    with torch.no_grad():
        for p in critic.parameters():
            p.mul_(10)
    normalise_spectrally(critic)
    for _ in range(50):  # power iterations, one a forward
        critic(torch.randn(2, 1, 8, 8))
    critic.eval()
    for layer in (critic[0], critic[2]):
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() < 1.001
