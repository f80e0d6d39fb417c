"""The blocks of residual networks, with and without a bottleneck, and a shortcut without parameters."""

from __future__ import annotations

from minigrad import nn
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


class Projection(nn.Sequential):
    """Shortcut of a 1x1 convolution and a norm. Source: He et al. 2016, section 3.3, option B."""

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) to (N, new channels, H / stride, W / stride), sizes rounded up."""
        if len(self) != 2:  # somebody has added to it
            return super().forward(x)
        conv, norm = self
        return F.conv_bn_act(x, conv, norm, activation="none")


class Block(nn.Module):
    """y = relu(branch(x) + shortcut(x)): what both kinds of blocks share; a subclass defines `join`.

    The shortcut is x itself where shapes agree, else `downsample`. The block has `expansion` times as many output
    channels as its `channels`.
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: str, residual: bool) -> None:
        self.residual = residual
        self.downsample: nn.Module | None = None
        out_channels = channels * self.expansion
        if residual and (stride != 1 or in_channels != out_channels):
            if shortcut == "projection":
                projection = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
                self.downsample = Projection(projection, nn.BatchNorm2d(out_channels))
            else:
                self.downsample = PadShortcut(out_channels - in_channels, stride)

    def join(self, x: Tensor, shortcut: Tensor | None) -> Tensor:
        """relu(branch(x) + shortcut), without the sum where there is no shortcut."""
        raise NotImplementedError

    def last_norm(self) -> nn.BatchNorm2d:
        """The norm that ends the branch."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """x (N, in_channels, H, W) to (N, channels expansion, H / stride, W / stride), sizes rounded up."""
        if not self.residual:
            return self.join(x, None)
        return self.join(x, x if self.downsample is None else self.downsample(x))


class BasicBlock(Block):
    """Two 3x3 convolutions: branch(x) = bn(conv(relu(bn(conv(x))))). Source: He et al. 2016, figure 5, left."""

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: str, residual: bool) -> None:
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        super().__init__(in_channels, channels, stride, shortcut, residual)

    def join(self, x: Tensor, shortcut: Tensor | None) -> Tensor:
        """relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut)."""
        y = F.conv_bn_act(x, self.conv1, self.bn1)  # (N, channels, H / stride, W / stride)
        return F.conv_bn_act(y, self.conv2, self.bn2, residual=shortcut)

    def last_norm(self) -> nn.BatchNorm2d:
        """bn2."""
        return self.bn2


class Bottleneck(Block):
    """A 3x3 convolution between two 1x1 ones, which make it narrow and wide again.

    Source: He et al. 2016, figure 5, right; with the stride in the 3x3 convolution, as torchvision has it ("v1.5").
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: str, residual: bool) -> None:
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)
        super().__init__(in_channels, channels, stride, shortcut, residual)

    def join(self, x: Tensor, shortcut: Tensor | None) -> Tensor:
        """relu(bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))) + shortcut)."""
        y = F.conv_bn_act(x, self.conv1, self.bn1)  # (N, channels, H, W)
        y = F.conv_bn_act(y, self.conv2, self.bn2)  # (N, channels, H / stride, W / stride)
        return F.conv_bn_act(
            y, self.conv3, self.bn3, residual=shortcut
        )  # (N, 4 channels, H / stride, W / stride)

    def last_norm(self) -> nn.BatchNorm2d:
        """bn3."""
        return self.bn3
