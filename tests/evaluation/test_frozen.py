import pytest
import torch
from planted import images, make_encoder
from torch import nn

from deepinfomax.encoders import wrap
from deepinfomax.errors import UserError
from deepinfomax.evaluation.embeddings import embed
from deepinfomax.evaluation.frozen import EncoderChanged, digests, fingerprint, on_device, unchanged


def test_a_fingerprint_is_of_every_bit_of_weights_and_buffers() -> None:
    encoder = make_encoder()()
    first = fingerprint(encoder)
    assert fingerprint(encoder) == first
    for tensor in (encoder.y.weight, encoder.convolutions[0][1].running_mean):
        before = tensor.detach().clone()
        with torch.no_grad():
            tensor.view(-1)[0] = torch.nextafter(tensor.view(-1)[0], torch.tensor(torch.inf))
        assert fingerprint(encoder) != first
        with torch.no_grad():
            tensor.copy_(before)
    assert fingerprint(encoder) == first


def test_buffers_left_out_of_the_state_dict_count() -> None:
    module = nn.Linear(2, 2)
    module.register_buffer("hidden", torch.zeros(3), persistent=False)
    assert "hidden" in digests(module)


def test_looking_changes_nothing_and_restores_the_flags() -> None:
    encoder = make_encoder()()
    encoder.train()
    encoder.fc.eval()
    flags = {name: m.training for name, m in encoder.named_modules()}
    with unchanged(encoder):
        assert not any(m.training for m in encoder.modules())
        encoder(torch.zeros(2, 3, 16, 16))
    assert {name: m.training for name, m in encoder.named_modules()} == flags


def test_a_measure_that_trains_the_encoder_is_caught() -> None:
    encoder = make_encoder()()

    def cheat() -> None:
        with unchanged(encoder):
            sgd = torch.optim.SGD(encoder.y.parameters(), lr=1e-3)
            encoder(torch.randn(4, 3, 16, 16)).y.sum().backward()
            sgd.step()

    with pytest.raises(EncoderChanged, match=r"y\.bias"):
        cheat()


def test_a_measure_that_moves_batchnorm_statistics_is_caught() -> None:
    encoder = make_encoder()().eval()

    def cheat() -> None:
        with unchanged(encoder), torch.no_grad():
            encoder.train()
            encoder(torch.randn(4, 3, 16, 16))

    with pytest.raises(EncoderChanged, match="running_mean"):
        cheat()
    assert not encoder.training


def test_an_error_inside_is_not_hidden_and_flags_are_restored() -> None:
    encoder = make_encoder()().train()
    with pytest.raises(ZeroDivisionError), unchanged(encoder):
        raise ZeroDivisionError
    assert encoder.training


def test_embedding_leaves_a_batchnorm_encoder_bit_identical() -> None:
    encoder = make_encoder()().train()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    embed(encoder, images(50), batch_size=7)
    assert all(torch.equal(before[k], v) for k, v in encoder.state_dict().items())
    assert encoder.training


def test_an_encoder_returns_to_its_device() -> None:
    encoder = make_encoder()()
    with on_device(encoder, "meta") as where:
        assert where.type == "meta" == next(encoder.buffers()).device.type
        encoder.to_empty(device="cpu")
    assert next(encoder.parameters()).device.type == "cpu"
    with on_device(encoder, None) as where:
        assert where.type == "cpu"


def test_a_fingerprint_is_of_the_modules_around_the_weights_too() -> None:
    def network(activation: type[nn.Module]) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), activation(), nn.Flatten(), nn.Linear(4 * 36, 5), nn.Linear(5, 5))

    plain, other = network(nn.ReLU), network(nn.Tanh)
    assert digests(plain) == digests(other)
    assert fingerprint(plain) != fingerprint(other)
    levels = {"local": "0", "conv": "0"}
    one, exchanged = (wrap(plain, **levels, fc=fc, y=y) for fc, y in (("3", "4"), ("4", "3")))
    assert fingerprint(one) == fingerprint(wrap(network(nn.ReLU), **levels, fc="3", y="4"))
    assert fingerprint(one) != fingerprint(exchanged)


def test_an_encoder_without_weights_yet_is_told() -> None:
    with pytest.raises(UserError, match=r"has yet to make its weight 0\.weight: run it on one image"):
        fingerprint(nn.Sequential(nn.LazyLinear(3)))
