"""The formulas written naively: the yardstick of the other benchmarks, and nothing to use."""

import torch
from torch import Tensor, nn


def infonce(local: Tensor, glob: Tensor) -> Tensor:
    """infoNCE as it reads: each of the N·L·M positives in a softmax of its own with all (N - 1)·L negatives.

    local (N, L, D), glob (N, M, D). The negatives are expanded once per positive: N·L·(1 + N·L)·M numbers.
    """
    n, places, _ = local.shape
    globals_each = glob.shape[1]
    positive = torch.einsum("nld,nmd->nlm", local, glob).unsqueeze(2)
    scores = torch.einsum("imd,jld->ijlm", glob, local)
    same = torch.eye(n, dtype=torch.bool, device=local.device)[:, :, None, None]
    negative = scores.masked_fill(same, -torch.inf).reshape(n, 1, n * places, globals_each)
    together = torch.cat([positive, negative.expand(-1, places, -1, -1)], dim=2)
    return -torch.log_softmax(together, dim=2)[:, :, 0].mean()


class Conv1x1(nn.Module):
    """One side of encode-and-dot as 1×1 convolutions over a map."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Conv2d(channels, units, 1, bias=False), nn.BatchNorm2d(units), nn.ReLU(), nn.Conv2d(units, units, 1)
        )
        self.shortcut = nn.Conv2d(channels, units, 1, bias=False)
        self.norm = nn.LayerNorm(units)

    def forward(self, x: Tensor) -> Tensor:
        out = self.hidden(x) + self.shortcut(x)
        return self.norm(out.permute(0, 2, 3, 1)).flatten(1, 2)


class Step:
    """A training step of DIM(L) with the pieces above, plain Adam, every place."""

    def __init__(self, encoder: nn.Module, channels: int, units_y: int, units: int) -> None:
        self.encoder = encoder
        self.local, self.glob = Conv1x1(channels, units), Conv1x1(units_y, units)
        parameters = [p for m in (encoder, self.local, self.glob) for p in m.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=1e-4, betas=(0.5, 0.999))

    def __call__(self, images: Tensor) -> None:
        features = self.encoder(images)
        loss = infonce(self.local(features.local), self.glob(features.y[:, :, None, None]))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
