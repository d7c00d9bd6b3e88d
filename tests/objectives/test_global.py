import pytest
import torch
from test_local import SHAPES, features

import oracles
from deepinfomax.objectives import Facts, GlobalInfoMax


@pytest.mark.parametrize("name", ["infonce", "jsd", "dv", "smile"])
def test_the_loss_is_minus_the_bound_over_all_pairs_of_images(name: str) -> None:
    torch.manual_seed(0)
    objective = GlobalInfoMax(Facts(SHAPES), bound=name, units=8)
    made, batch = features()
    terms = objective(made, batch)
    loss = terms["loss"]
    anchors = []
    for i in range(4):
        scores = []
        for j in range(4):
            whole, glob = objective.critic(made.conv[j].flatten().view(1, 1, -1), made.y[i].view(1, 1, -1))
            scores.append(objective.critic.pair(whole[0], glob[0])[0])
        anchors.append(([scores[i]], [scores[j] for j in range(4) if j != i]))
    torch.testing.assert_close(terms.measured["bound"], oracles.bound(name, anchors).detach())
    torch.testing.assert_close(loss, -oracles.bound("jsd" if name == "smile" else name, anchors))
    loss.backward()
    assert made.conv.grad.abs().sum() > 0
    assert made.y.grad.abs().sum() > 0
    assert made.local.grad is None
