"""The network and the settings of the main job."""

import minigrad as mg
from experiments import train_mnist


def test_the_stem_halves_the_image():
    """And the stages after the first halve it again: 28 x 28 pixels, 14 x 14, 7 x 7, 4 x 4."""
    model = train_mnist.build_model("resnet", 8).eval()
    shapes = []
    with mg.no_grad():
        y = model.conv1(mg.zeros((2, 1, 28, 28)))
        for layer in (model.layer1, model.layer2, model.layer3):
            shapes.append(y.shape)
            y = layer(y)
    assert [*shapes, y.shape] == [(2, 32, 14, 14), (2, 32, 14, 14), (2, 64, 7, 7), (2, 128, 4, 4)]


def test_the_defaults_are_those_of_the_main_job():
    """The accuracy that the first page promises was measured with these."""
    options = train_mnist.parse_arguments([])
    main_job = (
        options.model,
        options.depth,
        options.epochs,
        options.batch_size,
        options.lr,
        options.schedule,
    )
    assert main_job == ("resnet", 8, 5, 128, 0.2, "onecycle")
    assert train_mnist.build_model(options.model, options.depth).count_parameters() == 308_586
