import numpy as np
import pytest
import torch
from torch import Tensor

from deepinfomax.data import Augmentation
from deepinfomax.data.augmentation import (
    random_amplitude,
    random_area,
    random_channels,
    random_colour,
    random_crop,
    random_flip,
    random_grey,
    random_noise,
    turned_hue,
)
from deepinfomax.errors import UserError

TYPES = pytest.mark.parametrize("images", ["float", "uint8"], indirect=True)


@pytest.fixture
def images(request: pytest.FixtureRequest) -> Tensor:
    raw = torch.randint(0, 256, (40, 3, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return raw if request.param == "uint8" else raw.float() / 127.5 - 1


def reflected(image: np.ndarray, padding: int) -> np.ndarray:
    return np.pad(image, ((0, 0), (padding, padding), (padding, padding)), mode="reflect")


def test_half_of_many_images_are_mirrored():
    torch.manual_seed(0)
    images = torch.tensor([0, 1]).repeat(4000, 1).view(4000, 1, 1, 2)
    mirrored = int((random_flip(images)[..., 0] == 1).sum())
    assert 1850 < mirrored < 2150  # of 4000; outside with probability 2e-6


@TYPES
def test_flip_mirrors_each_image_or_leaves_it(images: Tensor):
    torch.manual_seed(0)
    out = random_flip(images)
    flipped = 0
    for before, after in zip(images, out, strict=True):
        mirrored = torch.stack([before[:, :, 8 - column] for column in range(9)], -1)
        assert torch.equal(after, before) or torch.equal(after, mirrored)
        flipped += int(torch.equal(after, mirrored))
    assert 8 < flipped < 32  # of 40; outside with probability 1e-4


@TYPES
@pytest.mark.parametrize(("size", "padding"), [(9, 2), (5, 0), (12, 3)])
def test_crop_is_a_window_of_the_reflected_image(images: Tensor, size: int, padding: int):
    torch.manual_seed(0)
    out = random_crop(images, size, padding)
    assert out.shape == (40, 3, size, size)
    assert out.dtype == images.dtype
    places = 9 + 2 * padding - size + 1
    seen = set()
    for before, after in zip(images, out, strict=True):
        whole = reflected(before.numpy(), padding)
        found = [
            (top, left)
            for top in range(places)
            for left in range(places)
            if np.array_equal(whole[:, top : top + size, left : left + size], after.numpy())
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert {top for top, _ in seen} == {left for _, left in seen} == set(range(places))


@pytest.mark.parametrize(
    ("shape", "size", "padding"), [((2, 11), 11, 3), ((1, 12), 5, 0), ((2, 5, 6, 7), 4, 0), ((1, 4, 4, 5), 4, 2)]
)
def test_crops_of_series_and_volumes_are_where_a_loop_cuts_them(shape: tuple[int, ...], size: int, padding: int):
    items = torch.randn(50, *shape)
    torch.manual_seed(1)
    out = random_crop(items, size, padding)
    torch.manual_seed(1)
    corners = [torch.randint(side + 2 * padding - size + 1, (50,)) for side in shape[1:]]
    assert out.shape == (50, shape[0], *[size] * (len(shape) - 1))
    for n, item in enumerate(items):
        whole = np.pad(item.numpy(), [(0, 0), *[(padding, padding)] * (len(shape) - 1)], mode="reflect")
        for place in np.ndindex(*[size] * (len(shape) - 1)):
            there = tuple(int(c[n]) + p for c, p in zip(corners, place, strict=True))
            for channel in range(shape[0]):
                assert out[(n, channel, *place)] == whole[(channel, *there)]


def test_volumes_are_mirrored_along_each_axis_by_itself():
    volumes = torch.randn(200, 2, 3, 4, 5)
    torch.manual_seed(0)
    out = Augmentation(flip=True)(volumes)
    seen = []
    for before, after in zip(volumes, out, strict=True):
        found = [
            flips
            for flips in np.ndindex(2, 2, 2)
            if all(
                torch.equal(
                    after[:, d, h, w],
                    before[:, 2 - d if flips[0] else d, 3 - h if flips[1] else h, 4 - w if flips[2] else w],
                )
                for d, h, w in np.ndindex(3, 4, 5)
            )
        ]
        assert len(found) == 1
        seen.append(found[0])
    assert len(set(seen)) == 8
    assert all(70 < count < 130 for count in np.sum(seen, 0))
    both = Augmentation(flip=True, same_flip=True)(volumes, 2)
    torch.manual_seed(0)
    one, other = Augmentation(flip=True, same_flip=True)(volumes, 2).chunk(2)
    assert torch.equal(one, other)
    assert both.shape == (400, 2, 3, 4, 5)
    assert torch.equal(Augmentation(flip=True).eval()(volumes), volumes)


SERIES = torch.randn(300, 3, 10, generator=torch.Generator().manual_seed(4)) * 3 + 1


def test_amplitude_is_one_factor_for_each_channel():
    torch.manual_seed(2)
    out = random_amplitude(SERIES, 0.3)
    torch.manual_seed(2)
    draw = torch.rand(300, 3, 1)
    for n in range(50):
        for channel in range(3):
            factor = 0.7 + 0.6 * draw[n, channel, 0]
            for t in range(10):
                assert abs(out[n, channel, t] - factor * SERIES[n, channel, t]) < 1e-5
    assert 0.7 <= (out / SERIES).min() < 0.72
    assert 1.28 < (out / SERIES).max() <= 1.3 + 1e-5


def test_noise_is_of_its_own_for_each_number():
    torch.manual_seed(2)
    out = random_noise(SERIES, 0.5)
    torch.manual_seed(2)
    draw = torch.randn(300, 3, 10)
    for place in np.ndindex(50, 3, 10):
        assert abs(out[place] - SERIES[place] - 0.5 * draw[place]) < 1e-5
    assert (out - SERIES).std() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("probability", [0.4, 1.0])
def test_channels_are_dropped_but_one_always_stays(probability: float):
    torch.manual_seed(2)
    out = random_channels(SERIES, probability)
    torch.manual_seed(2)
    draw, stays = torch.rand(300, 3, 1), torch.randint(3, (300,))
    dropped = 0
    for n in range(300):
        for channel in range(3):
            goes = draw[n, channel, 0] < probability and channel != stays[n]
            dropped += goes
            for t in range(10):
                assert out[n, channel, t] == (0 if goes else SERIES[n, channel, t])
        assert (out[n] != 0).any()
    assert dropped == pytest.approx(600 * probability, abs=60)  # two of three channels may go


def test_series_are_changed_in_training_only_and_keep_their_type():
    settings = {"crop": "same", "padding": 2, "noise": 0.1, "amplitude": 0.2, "channel_drop": 0.3}
    augment = Augmentation(**settings)
    for series in (SERIES, SERIES.double()):
        out = augment(series, 2)
        assert (out.shape, out.dtype) == ((600, 3, 10), series.dtype)
        assert not torch.equal(out[:300], out[300:])
    augment.eval()
    assert torch.equal(augment(SERIES), SERIES)
    assert Augmentation(crop=6).output_shape((3, 10)) == (3, 6)
    assert torch.equal(Augmentation(crop=6).eval()(SERIES), SERIES[..., 2:8])
    assert Augmentation(crop=6).output_shape((1, 8, 9, 10)) == (1, 6, 6, 6)


@TYPES
@pytest.mark.parametrize(("height", "width"), [(9, 9), (5, 9), (9, 4)])
def test_random_area_samples_where_a_loop_does(images: Tensor, height: int, width: int):
    """The aspect of an area is that of its pixels, whatever the shape of the image."""
    images = images[:6, :, :height, :width]
    torch.manual_seed(3)
    out = random_area(images, 5, (0.3, 0.9))
    torch.manual_seed(3)
    draw = torch.rand(4, 6).double().numpy()
    for n in range(6):
        area = 0.3 + 0.6 * draw[0, n]
        aspect = (3 / 4) ** (1 - draw[1, n]) * (4 / 3) ** draw[1, n]
        pixels = area * height * width
        wide, high = min(width, (pixels * aspect) ** 0.5), min(height, (pixels / aspect) ** 0.5)
        x0, y0 = (width - wide) * draw[2, n], (height - high) * draw[3, n]
        for row in range(5):
            for column in range(5):
                x, y = x0 + (column + 0.5) / 5 * wide - 0.5, y0 + (row + 0.5) / 5 * high - 0.5
                value = bilinear(images[n].double().numpy(), x, y)
                tolerance = 0.51 if images.dtype == torch.uint8 else 1e-4
                assert np.abs(out[n, :, row, column].double().numpy() - value).max() < tolerance


def bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """The value at (x, y), pixel centres at whole numbers, mirrored at the edge of the outermost pixels."""
    value = np.zeros(3)
    for j in (int(np.floor(y)), int(np.floor(y)) + 1):
        for i in (int(np.floor(x)), int(np.floor(x)) + 1):
            inside_j, inside_i = min(max(j, 0), image.shape[1] - 1), min(max(i, 0), image.shape[2] - 1)
            value += max(0, 1 - abs(x - i)) * max(0, 1 - abs(y - j)) * image[:, inside_j, inside_i]
    return value


@TYPES
def test_grey_has_the_luma_in_every_channel(images: Tensor):
    torch.manual_seed(0)
    out = random_grey(images, 0.5)
    changed = 0
    for before, after in zip(images, out, strict=True):
        if not torch.equal(before, after):
            changed += 1
            luma = 0.299 * before[0].float() + 0.587 * before[1].float() + 0.114 * before[2].float()
            for channel in after:
                assert (channel.float() - luma).abs().max() < (0.51 if images.dtype == torch.uint8 else 1e-5)
    assert 8 < changed < 32
    assert random_grey(images[:, :1], 1.0) is not None  # grey already
    assert torch.equal(random_grey(images[:, :1], 1.0), images[:, :1])


@TYPES
def test_jitter_changes_every_image_within_range(images: Tensor):
    torch.manual_seed(0)
    out = Augmentation(jitter=0.4)(images)
    assert out.dtype == images.dtype
    assert out.shape == images.shape
    low, high = (0, 255) if images.dtype == torch.uint8 else (-1, 1)
    assert out.min() >= low
    assert out.max() <= high
    assert all(not torch.equal(before, after) for before, after in zip(images, out, strict=True))


def test_jitter_of_grey_images_keeps_one_channel():
    images = torch.rand(8, 1, 6, 6) * 2 - 1
    out = Augmentation(jitter=0.3)(images)
    assert out.shape == images.shape
    assert not torch.allclose(out, images)


EVERYTHING = {"flip": True, "crop": 8, "padding": 2, "jitter": 0.2, "grayscale": 0.3}


@TYPES
@pytest.mark.parametrize("settings", [EVERYTHING, {"random_resized_crop": 7, "flip": True}])
def test_the_global_seed_decides(images: Tensor, settings: dict):
    augment = Augmentation(**settings)
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(augment(images))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert outputs[0].shape[1:] == augment.output_shape((3, 9, 9))


@TYPES
def test_nothing_asked_nothing_done(images: Tensor):
    assert Augmentation()(images) is images


@TYPES
def test_evaluation_is_the_centre_without_chance(images: Tensor):
    augment = Augmentation(**(EVERYTHING | {"crop": 5, "padding": 0})).eval()
    assert torch.equal(augment(images), images[..., 2:7, 2:7])
    augment = Augmentation(crop=9, padding=4).eval()
    assert torch.equal(augment(images), images)
    wider = Augmentation(crop=11, padding=4).eval()(images)
    np.testing.assert_array_equal(wider[0].numpy(), reflected(images[0].numpy(), 1))
    augment = Augmentation(random_resized_crop=3).eval()
    assert augment(images).shape == (40, 3, 3, 3)
    assert torch.equal(augment(images), augment(images))
    assert augment(images).dtype == images.dtype


def test_stl10_as_in_the_paper():
    augment = Augmentation(crop=64, flip=True)
    assert augment.output_shape((3, 96, 96)) == (3, 64, 64)
    images = torch.rand(2, 3, 96, 96)
    assert torch.equal(augment.eval()(images), images[..., 16:80, 16:80])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": 8, "random_resized_crop": 8}, "exclude each other"),
        ({"padding": 4}, "padding needs augmentation.crop"),
        ({"crop": 0}, "crop must be 1 or more or 'same', not 0"),
        ({"crop": 4, "padding": -1}, "padding must be 0 or more, not -1"),
        ({"random_resized_crop": 4, "scale": (0.0, 1.0)}, "scale.* must be above 0"),
        ({"random_resized_crop": 4, "scale": (0.5, 0.4)}, "two ascending shares"),
        ({"jitter": 1.5}, r"jitter must be 1 or less, not 1\.5"),
        ({"noise": -1}, "noise must be 0 or more, not -1"),
        ({"amplitude": 2}, "amplitude must be 1 or less, not 2"),
        ({"channel_drop": 1.1}, r"channel_drop must be 1 or less, not 1\.1"),
    ],
)
def test_settings_that_make_no_sense(settings: dict, message: str):
    with pytest.raises(UserError, match=message):
        Augmentation(**settings)


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        ({"crop": 40, "padding": 2}, (3, 32, 32), "crop 40 is larger than the images, 32x32"),
        ({"crop": 8, "padding": 8}, (3, 8, 8), "padding 8 must be below"),
        ({"random_resized_crop": 8}, (3, 100), r"crop is for images \(C, H, W\), not \(3, 100\): set it to none"),
        (
            {"flip": True},
            (3, 100),
            r"flip is for images \(C, H, W\) and volumes \(C, D, H, W\), not \(3, 100\): set it",
        ),
        ({"crop": 101}, (3, 100), "crop 101 is larger than the series, 100: choose a smaller one"),
        ({"crop": "same", "padding": 9}, (1, 20, 9, 30), "padding 9 must be below the size of the volumes, 30x9x20"),
        ({"crop": 8}, (3, 9, 9, 9, 9), "crop is for one to three axes"),
        ({"noise": 0.1}, (3, 32, 32), r"noise is for series \(C, T\), not \(3, 32, 32\): set it to 0"),
        ({"amplitude": 0.1}, (1, 8, 8, 8), r"amplitude is for series \(C, T\)"),
        ({"channel_drop": 0.1}, (12, 16, 16), r"channel_drop is for series \(C, T\)"),
        ({"channel_drop": 0.1}, (1, 100), "channel_drop needs series of two channels or more"),
    ],
)
def test_images_that_do_not_fit_the_settings(settings: dict, shape: tuple[int, ...], message: str):
    with pytest.raises(UserError, match=message):
        Augmentation(**settings).output_shape(shape)


@pytest.mark.parametrize("settings", [{"jitter": 0.4}, {"grayscale": 0.4}], ids=str)
@pytest.mark.parametrize("shape", [(13, 32, 32), (2, 8, 8), (4, 8, 8), (3, 128), (1, 128), (1, 16, 16, 16)], ids=str)
def test_colours_of_other_shapes_are_refused_before_the_first_step(settings: dict, shape: tuple[int, ...]):
    with pytest.raises(UserError, match=rf"augmentation\.{next(iter(settings))} is for images \(C, H, W\) of 1 or 3"):
        Augmentation(**settings).output_shape(shape)


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_clips_no_floats(channels: int):
    images = torch.randn(8, channels, 6, 6) * 3
    assert (Augmentation(jitter=1e-6)(images) - images).abs().max() < 1e-3
    jittered = Augmentation(jitter=0.4)(images)
    assert jittered.max() > 1
    assert jittered.min() < -1


def test_views_lie_one_behind_the_other_and_differ():
    images = torch.rand(6, 3, 8, 8) * 2 - 1
    torch.manual_seed(0)
    views = Augmentation(random_resized_crop="same", jitter=0.4)(images, 3)
    assert views.shape == (18, 3, 8, 8)
    one, two, three = views.chunk(3)
    assert not torch.allclose(one, two)
    assert not torch.allclose(two, three)
    assert torch.equal(Augmentation()(images, 2), torch.cat([images, images]))


def test_one_view_draws_as_ever():
    images = torch.rand(6, 3, 8, 8) * 2 - 1
    augment = Augmentation(flip=True, crop=6, jitter=0.2, grayscale=0.2)
    torch.manual_seed(0)
    expected = random_grey(random_colour(random_flip(random_crop(images, 6)), 0.2), 0.2)
    torch.manual_seed(0)
    assert torch.equal(augment(images), expected)


@pytest.mark.parametrize("same", [True, False])
def test_views_share_the_flip_or_do_not(same: bool):
    images = torch.arange(8.0).view(1, 1, 1, 8).repeat(200, 1, 1, 1) / 8
    torch.manual_seed(0)
    one, two = (view[:, 0, 0, 0] == 0 for view in Augmentation(flip=True, same_flip=same)(images, 2).chunk(2))
    assert bool((one == two).all()) == same
    assert 60 < int(one.sum()) < 140


def test_a_crop_as_large_as_the_images_is_a_shift():
    images = torch.rand(20, 1, 6, 10)
    for settings in ({"crop": "same", "padding": 2}, {"random_resized_crop": "same"}):
        augment = Augmentation(**settings)
        assert augment.output_shape((1, 6, 10)) == (1, 6, 10)
        assert augment(images).shape == images.shape
        assert not torch.equal(augment(images), images)
        assert torch.equal(augment.eval()(images), images)


def test_some_images_keep_their_colour():
    images = torch.rand(200, 3, 4, 4) * 1.6 - 0.8
    torch.manual_seed(0)
    changed = Augmentation(jitter=0.4, jitter_probability=0.25)(images)
    kept = ((changed - images).abs().amax((1, 2, 3)) < 1e-4).float().mean()
    assert 0.6 < kept < 0.9


@pytest.mark.usefixtures("any_shape")
def test_small_views():
    images = torch.rand(4, 3, 12, 12)
    augment = Augmentation(small=6, flip=True)
    assert augment.small_views(images, 3).shape == (12, 3, 6, 6)
    with pytest.raises(UserError, match=r"needs augmentation\.small"):
        Augmentation().small_views(images, 1)
    with pytest.raises(UserError, match="crops images of shape"):
        augment.small_views(torch.rand(4, 3, 12), 1)
    with pytest.raises(UserError, match="small_scale must be two ascending"):
        Augmentation(small=6, small_scale=(0.4, 0.2))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("probability", [1.0, 0.5])
def test_jitter_is_that_of_kornia(channels: int, probability: float):
    """The same draws, and the same numbers as far as float32 goes; several groups of images, grey pixels among them."""
    from kornia.augmentation import ColorJitter

    images = torch.rand(11, channels, 6, 7, generator=torch.Generator().manual_seed(3)) * 2 - 1
    images[:, :, :2] = images[:, :1, :2]  # grey
    images[:, :, 2, :3] = torch.tensor([-1.0, 0.0, 1.0])
    for seed in range(5):
        torch.manual_seed(seed)
        own = random_colour(images, 0.4, probability)
        torch.manual_seed(seed)
        strengths = (0.4, 0.4, 0.4, 0.08) if channels == 3 else (0.4, 0.4)
        theirs = ColorJitter(*strengths, p=probability)(((images + 1) / 2).expand(-1, 3, -1, -1))
        torch.testing.assert_close(own, theirs[:, :channels] * 2 - 1, atol=2e-5, rtol=0)


def test_a_hue_is_turned_as_colorsys_turns_it():
    import colorsys

    images = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    turns = torch.tensor([0.0, 0.31, -0.45])
    out = turned_hue(images, turns)
    for image, place in np.ndindex(3, 16):
        row, column = divmod(place, 4)
        hue, saturation, value = colorsys.rgb_to_hsv(*images[image, :, row, column].tolist())
        expected = colorsys.hsv_to_rgb((hue + turns[image].item()) % 1, saturation, value)
        torch.testing.assert_close(out[image, :, row, column], torch.tensor(expected), atol=1e-5, rtol=0)
