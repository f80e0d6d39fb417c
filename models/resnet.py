"""Residual networks (He et al. 2016): ResNet-18 to 152, and the family for small images.

    resnet50(num_classes=1000, in_channels=3, stem="imagenet") # ImageNet; stem="small" for 32 x 32 images
    resnet20(num_classes=10, in_channels=3)                    # CIFAR and MNIST: depth 6n + 2
    resnet20(residual=False)                                   # the plain twin: the same layers without the shortcuts

State names are torchvision's (`layer1.0.conv1.weight`, `layer2.0.downsample.0.weight`, `fc.bias`).
"""

from __future__ import annotations

from collections.abc import Sequence

from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.tensor import Tensor
from models.residual_block import BasicBlock, Block, Bottleneck


class ResNet(nn.Module):
    """A stem, stages of residual blocks, the mean over the image, and a linear classifier.

    blocks:      number of blocks of each stage; every stage but the first halves height and width.
    first_stride: 2 lets the first stage halve them too.
    widths:      number of channels of each stage; bottleneck blocks put out 4 times as many.
    num_classes: length of the output.
    in_channels: channels of the input.
    stem:        "imagenet" (7x7 with stride 2, then 3x3 max pooling: images of about 224 pixels), "small" (3x3: about
                 32), or "strided" (5x5 with stride 2: small images with large strokes, such as digits).
    shortcut:    where shapes change, "projection" (1x1 convolution) or "pad" (every other pixel, and zeros).
    residual:    False for the plain twin: the same layers without the shortcuts.
    bottleneck:  whether blocks are `Bottleneck` rather than `BasicBlock`.
    zero_init_residual: whether the last norm of each branch begins with weight 0, so that each block begins as its
                 shortcut (Goyal et al. 2017, section 5.1).

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
        bottleneck: bool = False,
        zero_init_residual: bool = False,
    ) -> None:
        if stem not in ("imagenet", "small", "strided"):
            raise ArgumentError(f'stem must be "imagenet", "small" or "strided", not {stem!r}')
        if shortcut not in ("projection", "pad"):
            raise ArgumentError(f'shortcut must be "projection" or "pad", not {shortcut!r}')
        if not blocks or len(blocks) != len(widths):
            raise ArgumentError(
                f"each stage needs a number of blocks and a width, not {len(blocks)} and {len(widths)}"
            )
        if zero_init_residual and not residual:
            raise ArgumentError(
                "zero_init_residual needs the shortcuts: without them the network would put out 0"
            )
        channels = widths[0]
        size, stride = {"imagenet": (7, 2), "small": (3, 1), "strided": (5, 2)}[stem]
        self.conv1 = nn.Conv2d(in_channels, channels, size, stride, padding=size // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if stem == "imagenet" else nn.Identity()
        self.stages = len(blocks)
        block: type[Block] = Bottleneck if bottleneck else BasicBlock
        for i, (count, width) in enumerate(zip(blocks, widths)):
            layer = nn.Sequential()
            for j in range(count):
                stride = (2 if i > 0 else first_stride) if j == 0 else 1
                layer.append(block(channels, width, stride, shortcut, residual))
                channels = width * block.expansion
            setattr(self, f"layer{i + 1}", layer)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if zero_init_residual and isinstance(module, Block):
                nn.init.zeros_(module.last_norm().get_parameter("weight"))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.maxpool(F.conv_bn_act(x, self.conv1, self.bn1))
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
    stem: str = "small",
) -> ResNet:
    """The residual network for small images of depth 6n + 2: three stages of n blocks. Other arguments as for `ResNet`.

    Raises ArgumentError for another depth. Source: He et al. 2016, section 4.2.
    """
    if depth < 8 or (depth - 2) % 6:
        raise ArgumentError(f"depth must be 6n + 2 (8, 14, 20, 26, ...), not {depth}")
    blocks = [(depth - 2) // 6] * 3
    return ResNet(blocks, widths, num_classes, in_channels, stem, shortcut, residual, first_stride)


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


def resnet32(
    num_classes: int = 10, in_channels: int = 3, shortcut: str = "projection", residual: bool = True
) -> ResNet:
    """Depth 32, five blocks per stage: 0.47 million parameters."""
    return small_resnet(32, num_classes, in_channels, shortcut, residual)


def resnet44(
    num_classes: int = 10, in_channels: int = 3, shortcut: str = "projection", residual: bool = True
) -> ResNet:
    """Depth 44, seven blocks per stage: 0.66 million parameters."""
    return small_resnet(44, num_classes, in_channels, shortcut, residual)


def resnet56(
    num_classes: int = 10, in_channels: int = 3, shortcut: str = "projection", residual: bool = True
) -> ResNet:
    """Depth 56, nine blocks per stage: 0.86 million parameters."""
    return small_resnet(56, num_classes, in_channels, shortcut, residual)


def resnet110(
    num_classes: int = 10, in_channels: int = 3, shortcut: str = "projection", residual: bool = True
) -> ResNet:
    """Depth 110, eighteen blocks per stage: 1.73 million parameters."""
    return small_resnet(110, num_classes, in_channels, shortcut, residual)


def large_resnet(
    blocks: Sequence[int],
    num_classes: int,
    in_channels: int,
    stem: str,
    shortcut: str,
    residual: bool,
    bottleneck: bool,
    zero_init_residual: bool,
) -> ResNet:
    """A ResNet of four stages with 64, 128, 256, 512 channels. Source: He et al. 2016, table 1."""
    return ResNet(
        blocks,
        (64, 128, 256, 512),
        num_classes,
        in_channels,
        stem,
        shortcut,
        residual,
        bottleneck=bottleneck,
        zero_init_residual=zero_init_residual,
    )


def resnet18(
    num_classes: int = 1000,
    in_channels: int = 3,
    stem: str = "imagenet",
    shortcut: str = "projection",
    residual: bool = True,
    zero_init_residual: bool = False,
) -> ResNet:
    """ResNet-18: stages of 2, 2, 2, 2 basic blocks; 11.7 million parameters for 1000 classes."""
    options = (num_classes, in_channels, stem, shortcut, residual)
    return large_resnet((2, 2, 2, 2), *options, False, zero_init_residual)


def resnet34(
    num_classes: int = 1000,
    in_channels: int = 3,
    stem: str = "imagenet",
    shortcut: str = "projection",
    residual: bool = True,
    zero_init_residual: bool = False,
) -> ResNet:
    """ResNet-34: stages of 3, 4, 6, 3 basic blocks; 21.8 million parameters for 1000 classes."""
    options = (num_classes, in_channels, stem, shortcut, residual)
    return large_resnet((3, 4, 6, 3), *options, False, zero_init_residual)


def resnet50(
    num_classes: int = 1000,
    in_channels: int = 3,
    stem: str = "imagenet",
    shortcut: str = "projection",
    residual: bool = True,
    zero_init_residual: bool = False,
) -> ResNet:
    """ResNet-50: stages of 3, 4, 6, 3 bottleneck blocks; 25.6 million parameters for 1000 classes."""
    options = (num_classes, in_channels, stem, shortcut, residual)
    return large_resnet((3, 4, 6, 3), *options, True, zero_init_residual)


def resnet101(
    num_classes: int = 1000,
    in_channels: int = 3,
    stem: str = "imagenet",
    shortcut: str = "projection",
    residual: bool = True,
    zero_init_residual: bool = False,
) -> ResNet:
    """ResNet-101: stages of 3, 4, 23, 3 bottleneck blocks; 44.5 million parameters for 1000 classes."""
    options = (num_classes, in_channels, stem, shortcut, residual)
    return large_resnet((3, 4, 23, 3), *options, True, zero_init_residual)


def resnet152(
    num_classes: int = 1000,
    in_channels: int = 3,
    stem: str = "imagenet",
    shortcut: str = "projection",
    residual: bool = True,
    zero_init_residual: bool = False,
) -> ResNet:
    """ResNet-152: stages of 3, 8, 36, 3 bottleneck blocks; 60.2 million parameters for 1000 classes."""
    options = (num_classes, in_channels, stem, shortcut, residual)
    return large_resnet((3, 8, 36, 3), *options, True, zero_init_residual)
