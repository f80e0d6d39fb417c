"""LeNet-5, the network that read cheques."""

from __future__ import annotations

from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.tensor import Tensor


class LeNet5(nn.Module):
    """Two 5x5 convolutions with 6 and 16 channels, each followed by pooling, then three linear layers.

    num_classes: length of the output.
    in_channels: channels of the input.
    image_size:  height and width of the input, 12 or more; below 32 a border of zeros makes them 32, as in the paper.
    classic:     True for tanh and average pooling, as in the paper; False for relu and max pooling, as it is built now.

    Shapes: x (N, in_channels, image_size, image_size); y (N, num_classes), logits. Simpler than the paper's in that
    pooling has no weights, all maps of the first convolution lead to all of the second, and the output is linear.
    Raises ArgumentError for smaller images. Source: LeCun et al. 1998, "Gradient-based learning applied to document
    recognition", section II.B.
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28, classic: bool = True
    ) -> None:
        if image_size < 12:
            raise ArgumentError(f"LeNet5 takes images of at least 12 x 12 pixels, not {image_size}")
        padding = max(0, -(-(32 - image_size) // 2))
        side = ((image_size + 2 * padding - 4) // 2 - 4) // 2  # 5 for 28 and 32
        self.classic = classic
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=padding)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, in_channels, image_size, image_size) to logits (N, num_classes)."""
        activate, pool = (F.tanh, F.avg_pool2d) if self.classic else (F.relu, F.max_pool2d)
        x = pool(activate(self.conv1(x)), 2)  # (N, 6, 14, 14)
        x = pool(activate(self.conv2(x)), 2)  # (N, 16, 5, 5)
        name = "tanh" if self.classic else "relu"
        x = F.linear_act(x.flatten(1), self.fc1, name)
        return self.fc3(F.linear_act(x, self.fc2, name))


def lenet5(num_classes: int = 10, in_channels: int = 1, image_size: int = 28, classic: bool = True) -> LeNet5:
    """A LeNet5: 61,706 parameters for 10 classes of grey images."""
    return LeNet5(num_classes, in_channels, image_size, classic)
