"""A simple convolutional network, to compare others with."""

from __future__ import annotations

from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.tensor import Tensor


class SimpleCNN(nn.Module):
    """Two 3x3 convolutions, each with batch norm, relu and 2x2 max pooling, then two linear layers with dropout.

    num_classes: length of the output.
    in_channels: channels of the input.
    image_size:  height and width of the input, 4 or more.
    dropout:     probability of dropping a hidden feature.

    Shapes: x (N, in_channels, image_size, image_size); y (N, num_classes), logits.
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28, dropout: float = 0.25
    ) -> None:
        if image_size < 4:
            raise ArgumentError(
                f"images are halved twice, so they need at least 4 x 4 pixels, not {image_size}"
            )
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.fc1 = nn.Linear(32 * (image_size // 4) ** 2, 128)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, in_channels, image_size, image_size) to logits (N, num_classes)."""
        x = F.max_pool2d(F.conv_bn_act(x, self.conv1, self.bn1), 2)  # (N, 16, H/2, W/2)
        x = F.max_pool2d(F.conv_bn_act(x, self.conv2, self.bn2), 2)  # (N, 32, H/4, W/4)
        x = F.linear_act(x.flatten(1), self.fc1)  # (N, 128)
        return self.fc2(self.dropout(x))


def simple_cnn(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> SimpleCNN:
    """A SimpleCNN with its default dropout: 0.2 million parameters for 28 x 28 images."""
    return SimpleCNN(num_classes, in_channels, image_size)
