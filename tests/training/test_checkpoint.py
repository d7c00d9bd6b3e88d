from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from deepinfomax.errors import UserError
from deepinfomax.training import checkpoint


def test_anything_an_optimizer_holds_comes_back(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    model(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.5, 0.999))
    optimizer.step()
    shared = torch.ones(3)
    state = {
        "step": 7,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "nested": [1.5, None, "x", {"a": shared, 3: [shared[:2]]}],
        "strided": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
    }
    checkpoint.save(tmp_path / "checkpoint", state)
    loaded = checkpoint.load(tmp_path / "checkpoint")
    assert loaded is not None
    assert loaded["step"] == 7
    assert loaded["nested"][:3] == [1.5, None, "x"]
    assert torch.equal(loaded["nested"][3][3][0], shared[:2])
    assert torch.equal(loaded["strided"], state["strided"])
    assert all(torch.equal(v, loaded["model"][k]) for k, v in model.state_dict().items())
    other = torch.optim.Adam(model.parameters())
    other.load_state_dict(loaded["optimizer"])
    assert other.param_groups[0]["betas"] == [0.5, 0.999]
    for a, b in zip(optimizer.state.values(), other.state.values(), strict=True):
        assert all(torch.equal(a[k], b[k]) for k in a)


def test_none_and_damaged(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path) is None
    (tmp_path / checkpoint.FILE).write_bytes(b"half a fi")
    with pytest.raises(UserError, match="is damaged"):
        checkpoint.load(tmp_path)


def test_leftovers_of_killed_runs_go_and_the_checkpoint_stays(tmp_path: Path) -> None:
    checkpoint.remove_leftovers(tmp_path / "none")
    checkpoint.save(tmp_path, {"step": 1})
    for pid in (1, 4711):
        (tmp_path / f".{checkpoint.FILE}.{pid}").write_bytes(b"half a fi")
    checkpoint.remove_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.FILE]
    assert checkpoint.load(tmp_path) == {"step": 1}


def test_a_failed_write_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, {"step": 1})

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "to_bytes", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(tmp_path, {"step": 2})
    assert checkpoint.load(tmp_path) == {"step": 1}


@pytest.mark.parametrize("place", [0.3, 0.6, 0.99])
def test_one_flipped_bit_is_noticed(tmp_path: Path, place: float) -> None:
    checkpoint.save(tmp_path, {"step": 3, "weights": torch.arange(4000.0)})
    file = tmp_path / checkpoint.FILE
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 4
    file.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        checkpoint.load(tmp_path)


def test_checkpoints_of_versions_without_a_digest_still_load(tmp_path: Path) -> None:
    state = {"step": 3, "weights": torch.arange(4.0)}
    checkpoint.save(tmp_path, state)
    file = tmp_path / checkpoint.FILE
    with safe_open(file, framework="pt") as f:
        metadata, tensors = f.metadata(), {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
    save_file(tensors, file, metadata={"skeleton": metadata["skeleton"]})
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded["step"] == 3
    assert torch.equal(loaded["weights"], state["weights"])
