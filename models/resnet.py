"""Residual networks (He et al. 2016): the family for small images, and ResNet-18.

    resnet20(num_classes=10, in_channels=3)                    # CIFAR and MNIST: depth 6n + 2
    resnet18(num_classes=1000, in_channels=3, stem="imagenet") # ImageNet; stem="small" for 32 x 32 images
    resnet20(residual=False)                                   # the plain twin: the same layers without the shortcuts

State names are torchvision's (`layer1.0.conv1.weight`, `layer2.0.downsample.0.weight`, `fc.bias`).
"""

from __future__ import annotations

from collections.abc import Sequence

from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.tensor import Tensor


class PadShortcut(nn.Module):
    """Shortcut without parameters: every stride-th pixel, and zeros for the new channels.

    Half of the new channels stand before the old ones, half after. Source: He et al. 2016, section 3.3, option A.
    """

    def __init__(self, new_channels: int, stride: int) -> None:
        self.new_channels, self.stride = new_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) to (N, C + new_channels, H / stride, W / stride), sizes rounded up."""
        before = self.new_channels // 2
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, before, self.new_channels - before))


class BasicBlock(nn.Module):
    """y = relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)), with 3x3 convolutions.

    The shortcut is x itself where shapes agree, else `downsample`. Source: He et al. 2016, figure 5, left.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: str, residual: bool) -> None:
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.residual = residual
        self.downsample: nn.Module | None = None
        if residual and (stride != 1 or in_channels != channels):
            if shortcut == "projection":
                projection = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
                self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels))
            else:
                self.downsample = PadShortcut(channels - in_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, in_channels, H, W) to (N, channels, H / stride, W / stride), sizes rounded up."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.residual:
            y = y + (x if self.downsample is None else self.downsample(x))
        return F.relu(y)


class ResNet(nn.Module):
    """A stem, stages of residual blocks, the mean over the image, and a linear classifier.

    blocks:      number of blocks of each stage; every stage but the first halves height and width.
    first_stride, stem_channels: 2 lets the first stage halve them too; the stem may be narrower than it is.
    widths:      number of channels of each stage.
    num_classes: length of the output.
    in_channels: channels of the input.
    stem:        "imagenet" (7x7 with stride 2, then 3x3 max pooling: images of about 224 pixels) or "small" (3x3:
                 about 32).
    shortcut:    where shapes change, "projection" (1x1 convolution) or "pad" (every other pixel, and zeros).
    residual:    False for the plain twin: the same layers without the shortcuts.

    Shapes: x (N, in_channels, H, W); y (N, num_classes), logits.
    Raises ArgumentError for an unknown stem or shortcut. Initialised as in He et al. 2015, equation 14.
    Source: He et al. 2016, "Deep residual learning for image recognition", sections 3.3 and 4.2.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        widths: Sequence[int],
        num_classes: int,
        in_channels: int,
        stem: str = "small",
        shortcut: str = "projection",
        residual: bool = True,
        first_stride: int = 1,
        stem_channels: int | None = None,
    ) -> None:
        if stem not in ("imagenet", "small"):
            raise ArgumentError(f'stem must be "imagenet" or "small", not {stem!r}')
        if shortcut not in ("projection", "pad"):
            raise ArgumentError(f'shortcut must be "projection" or "pad", not {shortcut!r}')
        if not blocks or len(blocks) != len(widths):
            raise ArgumentError(
                f"each stage needs a number of blocks and a width, not {len(blocks)} and {len(widths)}"
            )
        channels = widths[0] if stem_channels is None else stem_channels
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(in_channels, channels, 7, 2, padding=3, bias=False)
        else:
            self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if stem == "imagenet" else nn.Identity()
        self.stages = len(blocks)
        for i, (count, width) in enumerate(zip(blocks, widths)):
            layer = nn.Sequential()
            for j in range(count):
                stride = (2 if i > 0 else first_stride) if j == 0 else 1
                layer.append(BasicBlock(channels, width, stride, shortcut, residual))
                channels = width
            setattr(self, f"layer{i + 1}", layer)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """x (N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def small_resnet(
    depth: int,
    num_classes: int = 10,
    in_channels: int = 3,
    shortcut: str = "projection",
    residual: bool = True,
    widths: Sequence[int] = (16, 32, 64),
    first_stride: int = 1,
    stem_channels: int | None = None,
) -> ResNet:
    """The residual network for small images of depth 6n + 2: three stages of n blocks. Other arguments as for `ResNet`.

    Raises ArgumentError for another depth. Source: He et al. 2016, section 4.2.
    """
    if depth < 8 or (depth - 2) % 6:
        raise ArgumentError(f"depth must be 6n + 2 (8, 14, 20, 26, ...), not {depth}")
    blocks = [(depth - 2) // 6] * 3
    return ResNet(
        blocks, widths, num_classes, in_channels, "small", shortcut, residual, first_stride, stem_channels
    )


def resnet8(
    num_classes: int = 10, in_channels: int = 3, shortcut: str = "projection", residual: bool = True
) -> ResNet:
    """Depth 8, one block per stage: 0.08 million parameters."""
    return small_resnet(8, num_classes, in_channels, shortcut, residual)


def resnet14(
    num_classes: int = 10, in_channels: int = 3, shortcut: str = "projection", residual: bool = True
) -> ResNet:
    """Depth 14, two blocks per stage: 0.18 million parameters."""
    return small_resnet(14, num_classes, in_channels, shortcut, residual)


def resnet20(
    num_classes: int = 10, in_channels: int = 3, shortcut: str = "projection", residual: bool = True
) -> ResNet:
    """Depth 20, three blocks per stage: 0.27 million parameters."""
    return small_resnet(20, num_classes, in_channels, shortcut, residual)


def resnet18(
    num_classes: int = 1000,
    in_channels: int = 3,
    stem: str = "imagenet",
    shortcut: str = "projection",
    residual: bool = True,
) -> ResNet:
    """ResNet-18: stages of two blocks with 64, 128, 256, 512 channels; 11.7 million parameters for 1000 classes."""
    return ResNet([2, 2, 2, 2], [64, 128, 256, 512], num_classes, in_channels, stem, shortcut, residual)
