"""The network, the images and the settings of the main job."""

import numpy as np
import pytest

import minigrad as mg
from common.image_sets import Parts, make_loaders
from experiments import train_mnist
from minigrad.data import ArrayDataset


@pytest.mark.parametrize(
    ("crop", "sides"),
    [(28, (14, 14, 7, 4)), (24, (12, 12, 6, 3))],
)
def test_the_stem_halves_the_image(crop, sides):
    """And the stages after the first halve it again."""
    model = train_mnist.build_model("resnet", 8, crop).eval()
    shapes = []
    with mg.no_grad():
        y = model.conv1(mg.zeros((2, 1, crop, crop)))
        for layer in (model.layer1, model.layer2, model.layer3):
            shapes.append(y.shape)
            y = layer(y)
    expected = zip(
        (train_mnist.WIDTHS[0], *train_mnist.WIDTHS), sides
    )  # channels and sides of what comes out of the stem and of each stage
    assert [*shapes, y.shape] == [(2, width, side, side) for width, side in expected]


@pytest.mark.parametrize("crop", [28, 17])
def test_the_simple_network_takes_what_is_cut_out(crop):
    with mg.no_grad():
        assert train_mnist.build_model("cnn", 8, crop)(mg.zeros((2, 1, crop, crop))).shape == (2, 10)


def test_the_middle_is_cut_out():
    """Of test images as they are, of training images after they were shifted: nothing dark comes in from outside."""
    images = np.random.default_rng(0).integers(1, 256, (40, 1, 28, 28), np.uint8)  # each window is another
    part = ArrayDataset(images, np.zeros(40, np.int64))
    options = train_mnist.parse_arguments(["--batch-size", "40"])
    loaders = make_loaders(Parts(part, part, part), "mnist", options, crop=24)
    pixels = [
        np.rint((next(iter(loader))[0].numpy() * 0.3081 + 0.1307) * 255).astype(np.uint8)
        for loader in loaders
    ]
    assert np.array_equal(pixels[1], images[:, :, 2:26, 2:26])
    assert np.array_equal(pixels[2], pixels[1])
    windows = {
        images[i, 0, top : top + 24, left : left + 24].tobytes(): (i, top, left)
        for i in range(40)
        for top in range(5)
        for left in range(5)
    }
    found = [windows[image.tobytes()] for image in pixels[0]]  # a KeyError for one that is no window
    assert {i for i, _, _ in found} == set(range(40))
    assert {top for _, top, _ in found} == {left for _, _, left in found} == set(range(5))


def test_the_defaults_are_those_of_the_main_job():
    """The accuracy that the first page promises was measured with these."""
    options = train_mnist.parse_arguments([])
    main_job = (
        *(options.model, options.depth, options.crop),
        *(options.epochs, options.batch_size, options.lr, options.schedule, options.label_smoothing),
    )
    assert main_job == ("resnet", 8, 24, 4, 256, 0.6, "onecycle", 0.1)
    assert train_mnist.build_model(options.model, options.depth).count_parameters() == 308_586
