import pytest
import torch

from deepinfomax.information.vector_critics import JointCritic, SeparableCritic, score_all_pairs


@pytest.mark.parametrize("kind", [SeparableCritic, JointCritic])
def test_critics_score_every_combination(kind):
    torch.manual_seed(0)
    critic = kind(3, 2, hidden=(8, 8))
    x, y = torch.randn(5, 3), torch.randn(4, 2)
    scores = critic(x, y).detach()
    assert scores.shape == (5, 4)
    for i in range(5):
        for j in range(4):
            torch.testing.assert_close(scores[i, j], critic(x[i : i + 1], y[j : j + 1]).detach().squeeze())
    torch.testing.assert_close(score_all_pairs(critic, x, y, pairs=8), scores)
