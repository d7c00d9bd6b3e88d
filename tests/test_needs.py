from pathlib import Path

import pytest

import needs

Skipped = pytest.skip.Exception


def test_the_environment_comes_before_the_folder_beside_the_checkout(tmp_path: Path) -> None:
    checkout, beside, told = tmp_path / "checkout", tmp_path / "shared/data", tmp_path / "told"
    environment = {"DEEPINFOMAX_DATA": str(told)}
    says = r"needs the folder cifar10 in \$DEEPINFOMAX_DATA, or else in shared/data beside the checkout"
    with pytest.raises(Skipped, match=says):
        needs.data("cifar10", {}, checkout)
    (beside / "cifar10").mkdir(parents=True)
    assert needs.data("cifar10", {}, checkout) == beside
    assert needs.data("cifar10", {"DEEPINFOMAX_DATA": ""}, checkout) == beside
    with pytest.raises(Skipped, match=says):
        needs.data("cifar10", environment, checkout)
    (told / "cifar10").mkdir(parents=True)
    assert needs.data("cifar10", environment, checkout) == told
    with pytest.raises(Skipped, match="needs the folder cifar100 in"):
        needs.data("cifar100", environment, checkout)
