from pathlib import Path

import pytest

import real_data


def test_the_environment_comes_before_the_folder_beside_the_checkout(tmp_path: Path) -> None:
    checkout, beside, told = tmp_path / "checkout", tmp_path / "shared/data", tmp_path / "told"
    environment = {"DEEPINFOMAX_DATA": str(told)}
    assert real_data.find("cifar10", {}, checkout) is None
    (beside / "cifar10").mkdir(parents=True)
    assert real_data.find("cifar10", {}, checkout) == beside
    assert real_data.find("cifar10", {"DEEPINFOMAX_DATA": ""}, checkout) == beside
    assert real_data.find("cifar10", environment, checkout) is None
    (told / "cifar10").mkdir(parents=True)
    assert real_data.find("cifar10", environment, checkout) == told
    assert real_data.find("cifar100", environment, checkout) is None


def test_a_skipped_test_says_which_folder_it_needs(real_root) -> None:
    with pytest.raises(pytest.skip.Exception, match=r"needs the folder no-such-set in \$DEEPINFOMAX_DATA, or in"):
        real_root("no-such-set")
