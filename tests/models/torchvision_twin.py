"""ResNets in PyTorch with torchvision's names, written from the paper: an oracle for those with bottlenecks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def bottleneck_resnet(
    torch: Any, blocks: Sequence[int], num_classes: int = 1000, in_channels: int = 3
) -> Any:
    """ResNet-50 with blocks (3, 4, 6, 3), and so on; the stride stands in the 3x3 convolution."""
    nn, F = torch.nn, torch.nn.functional

    def conv(before, after, size, stride=1):
        return nn.Conv2d(before, after, size, stride, size // 2, bias=False)

    class Block(nn.Module):
        def __init__(self, before, width, stride):
            super().__init__()
            self.conv1, self.bn1 = conv(before, width, 1), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = conv(width, width, 3, stride), nn.BatchNorm2d(width)
            self.conv3, self.bn3 = conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
            if stride > 1 or before != 4 * width:
                self.downsample = nn.Sequential(conv(before, 4 * width, 1, stride), nn.BatchNorm2d(4 * width))

        def forward(self, x):
            y = F.relu(self.bn1(self.conv1(x)))
            y = F.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = conv(in_channels, 64, 7, 2), nn.BatchNorm2d(64)
            before = 64
            for i, count in enumerate(blocks):
                width, layer = 64 * 2**i, nn.Sequential()
                for j in range(count):
                    layer.append(Block(before, width, 2 if i and not j else 1))
                    before = 4 * width
                setattr(self, f"layer{i + 1}", layer)
            self.fc = nn.Linear(before, num_classes)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(x.mean((2, 3)))

    return Net()
