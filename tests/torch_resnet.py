"""Residual networks in PyTorch with torchvision's names: an oracle for ours, written from the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def torch_resnet(
    torch: Any,
    blocks: Sequence[int],
    widths: Sequence[int],
    num_classes: int,
    in_channels: int,
    stem: str,
    shortcut: str = "projection",
    residual: bool = True,
) -> Any:
    """The network of `models.ResNet` with the same arguments."""
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(after)
            self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(after)
            self.stride, self.more = stride, after - before
            if residual and shortcut == "projection" and (stride > 1 or self.more):
                conv = nn.Conv2d(before, after, 1, stride, bias=False)
                self.downsample = nn.Sequential(conv, nn.BatchNorm2d(after))

        def forward(self, x):
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            if not residual:
                return F.relu(y)
            if hasattr(self, "downsample"):
                x = self.downsample(x)
            elif shortcut == "pad":
                half = self.more // 2
                x = x[:, :, :: self.stride, :: self.stride]
                zeros = [x.new_zeros(len(x), n, *x.shape[2:]) for n in (half, self.more - half)]
                x = torch.cat([zeros[0], x, zeros[1]], dim=1)
            return F.relu(y + x)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            kernel, stride = (7, 2) if stem == "imagenet" else (3, 1)
            self.conv1 = nn.Conv2d(in_channels, widths[0], kernel, stride, kernel // 2, bias=False)
            self.bn1 = nn.BatchNorm2d(widths[0])
            before = widths[0]
            for i, (count, width) in enumerate(zip(blocks, widths)):
                layer = []
                for j in range(count):
                    layer.append(Block(before, width, 2 if i and not j else 1))
                    before = width
                setattr(self, f"layer{i + 1}", nn.Sequential(*layer))
            self.fc = nn.Linear(before, num_classes)

        def forward(self, x):
            x = F.relu(self.bn1(self.conv1(x)))
            if stem == "imagenet":
                x = F.max_pool2d(x, 3, 2, 1)
            for i in range(len(blocks)):
                x = getattr(self, f"layer{i + 1}")(x)
            return self.fc(x.mean(dim=(2, 3)))

    return Net()
