"""Critics of maps, layer by layer against the network that the docstring describes."""

import pytest
import torch
from torch import nn
from torch.nn.functional import layer_norm

from deepinfomax.information.critics import ConcatAndConvolve, EmbedRows, EncodeAndDot, GlobalCritic, Mlp


@pytest.mark.parametrize(("inputs", "units"), [(3, 5), (5, 5), (6, 4)])
def test_the_shortcut_begins_near_identity_where_it_can(inputs: int, units: int) -> None:
    torch.manual_seed(0)
    weight = EmbedRows(inputs, units).shortcut.weight.detach()
    diagonal = torch.zeros(units, inputs, dtype=torch.bool)
    if units >= inputs:
        diagonal.fill_diagonal_(True)
        assert torch.equal(weight[diagonal], torch.ones(inputs))
    assert weight[~diagonal].abs().max() <= 0.01
    assert weight[~diagonal].abs().max() > 0.004
    assert weight[~diagonal].min() < 0 < weight[~diagonal].max()


def test_embedding_of_rows_by_its_layers() -> None:
    torch.manual_seed(0)
    embed = EmbedRows(3, 5).double().eval()
    nn.init.normal_(embed.norm.running_mean)
    nn.init.uniform_(embed.norm.running_var, 0.5, 2.0)
    x = torch.randn(2, 4, 3, dtype=torch.double)
    for i in range(2):
        for k in range(4):
            hidden = embed.hidden.weight @ x[i, k]
            hidden = (hidden - embed.norm.running_mean) / (embed.norm.running_var + 1e-5).sqrt()
            hidden = torch.relu(hidden * embed.norm.weight + embed.norm.bias)
            total = embed.out.weight @ hidden + embed.out.bias + embed.shortcut.weight @ x[i, k]
            expected = layer_norm(total, (5,), embed.layer_norm.weight, embed.layer_norm.bias)
            torch.testing.assert_close(embed(x)[i, k], expected)
    assert embed.hidden.bias is None
    assert embed.shortcut.bias is None


def test_encode_and_dot_embeds_each_side_and_scales_the_score_once() -> None:
    torch.manual_seed(0)
    critic = EncodeAndDot(3, 6, units=5, scale=0.25).eval()
    local, glob = torch.randn(2, 4, 3), torch.randn(2, 1, 6)
    a, b = critic(local, glob)
    torch.testing.assert_close(a, critic.local(local))
    torch.testing.assert_close(b, 0.25 * critic.glob(glob))
    assert EncodeAndDot(3, 6).scale == 1.0
    assert EncodeAndDot(3, 6).local.out.out_features == 2048


@pytest.mark.parametrize("kind", [ConcatAndConvolve, GlobalCritic])
def test_the_concatenating_critic_has_two_hidden_layers_of_its_units(kind: type[ConcatAndConvolve]) -> None:
    critic = kind(3, 6)
    assert [critic.local.out_features, critic.score[1].in_features, critic.score[1].out_features] == [512] * 3
    assert critic.score[3].out_features == 1
    assert critic.local.bias is not None
    assert critic.glob.bias is None  # one bias for both halves of the first layer
    assert critic.pair(torch.randn(7, 512), torch.randn(7, 512)).shape == (7,)


def test_mlp_has_no_nonlinearity_behind_its_last_layer() -> None:
    network = Mlp(4)
    widths = [(layer.in_features, layer.out_features) for layer in network if isinstance(layer, nn.Linear)]
    assert widths == [(4, 1000), (1000, 200), (200, 1)]
    assert [type(layer) for layer in network] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert Mlp(4, (3,), 2)[-1].out_features == 2
