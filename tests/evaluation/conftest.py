import pytest
import torch


@pytest.fixture(autouse=True)
def _the_same_encoders_each_time() -> None:
    torch.manual_seed(0)
