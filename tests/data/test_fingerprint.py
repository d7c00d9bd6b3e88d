import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from deepinfomax.config import Config, Data, Training
from deepinfomax.data import ImageSet, fingerprint, load
from deepinfomax.data.fingerprint import RULE, DigestedImages, pixel_digest
from deepinfomax.data.fingerprint import fingerprint as fingerprint_of
from deepinfomax.training import checkpoint
from deepinfomax.training.loop import train


def images_of(count: int = 5000, value: int = 0) -> ImageSet:
    pixels = np.random.default_rng(value).integers(0, 256, (count, 1, 2, 3), dtype=np.uint8)
    return ImageSet(pixels, np.arange(count) % 3)


def test_every_pixel_and_label_counts():
    images = images_of()
    before = fingerprint_of(images)
    assert before == fingerprint_of(images_of())
    for place in (0, 1, 2, 4998, 4999):
        images.images[place, 0, 1, 2] ^= 1
        assert fingerprint_of(images) != before
        images.images[place, 0, 1, 2] ^= 1
    images.labels[3] = 1
    assert fingerprint_of(images) != before
    assert fingerprint_of(ImageSet(images.images.reshape(5000, 1, 3, 2), images.labels)) != before


def test_blocks_and_memory_layout_do_not_matter(monkeypatch: pytest.MonkeyPatch):
    images = images_of(100)
    turned = np.asfortranarray(images.images)
    assert pixel_digest(turned) == pixel_digest(images.images)
    whole = pixel_digest(images.images)
    monkeypatch.setattr(fingerprint, "BLOCK", 60)  # ten images a block
    assert pixel_digest(images.images) != whole  # the size of a block is part of the rule: never change it
    assert pixel_digest(images.images) == pixel_digest(turned)


def test_the_rule_of_earlier_versions_is_still_known():
    images = images_of(2500)
    digest = hashlib.sha256(b"(2500, 1, 2, 3)")
    for i in range(0, 2500, 2):
        digest.update(images.images[i].tobytes())
    digest.update(images.labels.tobytes())
    earlier = digest.hexdigest()[:16]
    assert fingerprint_of(images, like=earlier) == earlier
    assert fingerprint_of(images, like=fingerprint_of(images)) == fingerprint_of(images)
    assert fingerprint_of(images).startswith(RULE)


def test_a_cached_set_knows_its_digest_and_a_part_of_it_does_not(tmp_path: Path, draw):
    for seed in range(3):
        draw(tmp_path / "images" / f"{seed}.png", seed)
    images = load(tmp_path / "images")
    assert isinstance(images.images, DigestedImages)
    assert images.images.digest == pixel_digest(np.array(images.images))
    part = images.take(slice(1, None))
    assert part.images.digest is None
    assert fingerprint_of(part) == fingerprint_of(ImageSet(np.array(part.images)))
    assert fingerprint_of(part) != fingerprint_of(images)


def test_another_spelling_of_the_path_is_the_same_data(tmp_path: Path, draw, monkeypatch: pytest.MonkeyPatch):
    for seed in range(3):
        draw(tmp_path / "images" / f"{seed}.png", seed)
    monkeypatch.chdir(tmp_path)
    spellings = ("images", "images/", "./images", str(tmp_path / "images"))
    assert len({fingerprint_of(load(spelling, cache_dir=tmp_path / "cache")) for spelling in spellings}) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_run_of_an_earlier_version_resumes(tmp_path: Path):
    config = Config(
        data=Data(source="here"),
        encoder={"name": "dcgan", "width": 8},
        objective={"local": {"units": 8}},
        training=Training(steps=2, epochs=9, batch_size=8, trackers=()),
    )
    images = ImageSet(np.random.default_rng(0).integers(0, 256, (40, 1, 16, 16), dtype=np.uint8))
    train(config, images, tmp_path / "run", device="cpu", quiet=True)
    saved = checkpoint.load(tmp_path / "run" / "checkpoint")
    saved["data"]["fingerprint"] = fingerprint_of(images, like="0123456789abcdef")
    checkpoint.save(tmp_path / "run" / "checkpoint", saved)
    longer = dataclasses.replace(config, training=dataclasses.replace(config.training, steps=3))
    encoder = train(longer, images, tmp_path / "run", device="cpu", quiet=True, resume=True)
    assert all(torch.isfinite(p).all() for p in encoder.parameters())
