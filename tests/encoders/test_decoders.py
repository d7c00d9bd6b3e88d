import pytest
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from deepinfomax import encoders
from deepinfomax.encoders.decoders import Decoder, decode
from deepinfomax.errors import UserError

IMAGES = [(3, 32, 32), (1, 28, 28), (3, 48, 48), (3, 64, 64), (2, 32, 64), (1, 8, 8), (3, 37, 50), (4, 9, 31)]
SERIES = [(1, 8), (2, 41), (12, 32), (1, 427)]
VOLUMES = [(1, 8, 8, 8), (1, 16, 16, 16), (2, 17, 23, 30)]


@pytest.mark.parametrize("shape", IMAGES + SERIES + VOLUMES)
def test_images_of_any_size_and_rank_in_range(shape):
    torch.manual_seed(0)
    images = Decoder(5, shape, width=4)(torch.randn(3, 5) * 10)
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    assert images.std() > 0.01


def test_without_bounds_numbers_go_as_far_as_they_must():
    torch.manual_seed(0)
    decoder, y = Decoder(2, (1, 16), width=4, bounded=False), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    far = torch.tensor([-5.0, 5.0]).view(2, 1, 1).expand(2, 1, 16)
    adam = torch.optim.Adam(decoder.parameters(), lr=3e-2)
    for _ in range(150):
        adam.zero_grad()
        (decoder(y) - far).square().mean().backward()
        adam.step()
    assert (decoder(y) - far).abs().max() < 1


def test_maps_are_those_of_the_authors_decoders():
    def channels(decoder):
        return [layer.in_channels for layer in decoder.layers if isinstance(layer, nn.ConvTranspose2d | nn.Conv2d)]

    assert Decoder(64, (3, 32, 32)).first_map == (256, 4, 4)
    assert channels(Decoder(64, (3, 32, 32))) == [256, 128, 64, 64]
    assert channels(Decoder(64, (3, 32, 32), first=512)) == [512, 256, 128, 64]  # of the MS-SSIM evaluation
    assert Decoder(64, (1, 28, 28)).first_map == (128, 7, 7)
    assert Decoder(64, (3, 64, 64)).first_map == (512, 4, 4)


@pytest.mark.parametrize(("name", "shape"), [("sequence", (1, 427)), ("volume", (1, 32, 32, 32))])
def test_decoders_of_series_and_volumes_mirror_their_encoders(name, shape):
    encoder = encoders.build(name, shape, width=4)
    convolutions = [m for m in encoder.convolutions.modules() if isinstance(m, _ConvNd)]
    decoder = Decoder(64, shape, width=4)
    transposed = [m for m in decoder.layers if isinstance(m, _ConvTransposeNd)]
    assert [m.kernel_size for m in transposed] == [m.kernel_size for m in convolutions]
    assert decoder.first_map == encoders.shapes_of(encoder, shape).conv


def test_every_parameter_and_the_vector_get_a_gradient():
    torch.manual_seed(0)
    decoder, vectors = Decoder(5, (3, 16, 16), width=4), torch.randn(4, 5, requires_grad=True)
    decoder(vectors).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())
    assert vectors.grad.abs().sum() > 0


def test_decode_only_looks():
    torch.manual_seed(0)
    decoder = Decoder(5, (1, 8, 8), width=4)
    decoder(torch.randn(4, 5))
    before = {k: v.clone() for k, v in decoder.state_dict().items()}
    vectors = torch.randn(4, 5, requires_grad=True)
    together, alone = decode(decoder, vectors), decode(decoder, vectors[:1])
    assert decoder.training
    assert not together.requires_grad
    assert all(torch.equal(v, before[k]) for k, v in decoder.state_dict().items())
    torch.testing.assert_close(together[:1], alone)  # in eval mode an image does not depend on its company


@pytest.mark.parametrize("shape", [(3, 7, 32), (2, 7), (9,), (1, 8, 8, 8, 8)])
def test_images_it_cannot_make(shape):
    with pytest.raises(UserError, match="cannot be decoded"):
        Decoder(5, shape)
