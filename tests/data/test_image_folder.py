"""Images in folders: which are found, how they are decoded, and what is said about damaged ones."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigrad.data import ArrayDataset, DataLoader, ImageFolder, Resize, random_split
from minigrad.errors import ArgumentError, DataError


def draw(path: Path, pixels: np.ndarray, **options) -> Path:
    """Write (H, W, 3) or (H, W) pixels as an image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)
    return path


@pytest.fixture
def animals(tmp_path, rng) -> Path:
    """Three classes; the images are 8 x 8, so that size=8, resize=8 keeps their pixels."""
    for name in (
        "dog/b.png",
        "dog/a.PNG",
        "cat/deep/er/x.bmp",
        "cat/y.ppm",
        "cat/.hidden.png",
        "cat/.trash/z.png",
    ):
        draw(tmp_path / name, rng.integers(0, 256, (8, 8, 3)))
    draw(tmp_path / ".git" / "w.png", rng.integers(0, 256, (8, 8, 3)))
    draw(tmp_path / "bird" / "one.tiff", rng.integers(0, 256, (8, 8, 3)))
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    (tmp_path / "readme.md").write_text("no class")
    return tmp_path


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).transpose(2, 0, 1)


def test_images_are_found_sorted_and_labelled(animals):
    folder = ImageFolder(animals, 8, resize=8)
    assert folder.classes == ("bird", "cat", "dog")
    found = [path.relative_to(animals).as_posix() for path in folder.paths]
    assert found == ["bird/one.tiff", "cat/deep/er/x.bmp", "cat/y.ppm", "dog/a.PNG", "dog/b.png"]
    assert folder.targets.tolist() == [0, 1, 1, 2, 2]
    assert folder.targets.dtype == np.int64
    assert repr(folder) == f"ImageFolder('{animals}', 5 images of 3 classes, 3 x 8 x 8)"


@pytest.mark.parametrize(
    "indices", [[3, 0, 3], np.array([4, 1]), slice(1, 4), np.arange(5) % 2 == 0, np.zeros(0, int)]
)
@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_batch_is_decoded_in_order(animals, indices, num_threads):
    folder = ImageFolder(animals, 8, resize=8, num_threads=num_threads)
    inputs, targets = folder[indices]
    chosen = np.arange(5)[indices]
    assert inputs.shape == (len(chosen), 3, 8, 8)
    assert inputs.dtype == np.uint8
    for image, index in zip(inputs, chosen):
        np.testing.assert_array_equal(image, pixels_of(folder.paths[index]))
    assert targets.tolist() == folder.targets[chosen].tolist()


def test_one_image_is_a_sample(animals):
    folder = ImageFolder(animals, 8, resize=8)
    image, target = folder[-2]
    np.testing.assert_array_equal(image, pixels_of(animals / "dog" / "a.PNG"))
    assert target == 2


@pytest.mark.parametrize("shape", [(40, 60), (61, 33), (24, 24), (300, 11), (5, 7), (2, 900)])
def test_the_shorter_side_is_scaled_and_the_middle_cut_out(tmp_path, rng, shape):
    pixels = rng.integers(0, 256, (*shape, 3))
    draw(tmp_path / "all" / "x.png", pixels)
    (out,), _ = ImageFolder(tmp_path, (12, 16), resize=20)[[0]]
    assert out.shape == (3, 12, 16)
    longest = 3 * min(shape)  # of a strip only the middle is used
    top, left = (max(0, (length - longest) // 2) for length in shape)
    image = pixels[top : top + longest, left : left + longest].astype(np.float32).transpose(2, 0, 1)[None]
    scaled = Resize(20)(image, None)[0]
    top, left = (scaled.shape[1] - 12) // 2, (scaled.shape[2] - 16) // 2
    expected = scaled[:, top : top + 12, left : left + 16]
    assert abs(out - expected).max() <= 1.5  # Pillow rounds once for each axis
    assert abs(out - expected).mean() < 0.4


def test_sizes_default_to_those_of_imagenet(animals):
    folder = ImageFolder(animals)
    assert (folder.size, folder.resize) == ((224, 224), 256)
    assert folder[[0]][0].shape == (1, 3, 224, 224)


def test_every_kind_of_pixel_becomes_colour_or_grey(tmp_path, rng):
    grey = rng.integers(0, 256, (8, 8)).astype(np.uint8)
    image = Image.fromarray(grey)
    kinds = {"l": image, "1": image.convert("1"), "p": image.convert("P"), "la": image.convert("LA")}
    kinds |= {"rgba": image.convert("RGBA"), "cmyk": image.convert("CMYK")}
    (tmp_path / "all").mkdir()
    for name, kind in kinds.items():
        kind.save(tmp_path / "all" / f"{name}.{'tiff' if name == 'cmyk' else 'png'}")
    palette = image.convert("P")
    palette.info["transparency"] = bytes(range(256))  # Pillow warns of these, and warnings are errors here
    palette.save(tmp_path / "all" / "transparent.png", transparency=bytes(range(256)))
    for channels in (1, 3):
        folder = ImageFolder(tmp_path, 8, resize=8, channels=channels)
        inputs, _ = folder[np.arange(len(folder))]
        assert inputs.shape == (7, channels, 8, 8)
        names = [path.stem for path in folder.paths]
        for name in ("l", "la", "p", "rgba", "cmyk", "transparent"):
            assert abs(inputs[names.index(name)].astype(int) - grey).max() <= 1


def test_imagenets_layout_has_the_same_labels_in_both_splits(tmp_path, rng):
    for name in ("train/n01/a.png", "train/n02/b.png", "train/n03/c.png", "val/n01/d.png", "val/n03/e.png"):
        draw(tmp_path / name, rng.integers(0, 256, (8, 8, 3)))
    train, val = (ImageFolder(tmp_path, 8, split=split) for split in ("train", "val"))
    assert train.classes == val.classes == ("n01", "n02", "n03")
    assert (train.targets.tolist(), val.targets.tolist()) == ([0, 1, 2], [0, 2])
    with pytest.raises(DataError, match="has the folders train, val: give split='train' or split='val'"):
        ImageFolder(tmp_path)
    draw(tmp_path / "val" / "n09" / "f.png", rng.integers(0, 256, (8, 8, 3)))
    with pytest.raises(DataError, match=r"classes that .*train has not: n09"):
        ImageFolder(tmp_path, split="val")


def test_links_are_followed_but_not_in_circles(animals):
    try:
        os.symlink(animals / "cat", animals / "dog" / "friends")
        os.symlink(animals / "dog", animals / "dog" / "round")
    except OSError:
        pytest.fail("this system makes no links")
    folder = ImageFolder(animals, 8)
    assert [path.name for path in folder.paths if "dog" in path.parts] == ["a.PNG", "b.png", "x.bmp", "y.ppm"]


@pytest.mark.parametrize(
    "damage", [lambda old: old[: len(old) // 2], lambda old: b"", lambda old: b"<html>" * 99]
)
@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tiff", "webp", "ppm", "gif"])
def test_a_damaged_image_is_named(tmp_path, rng, ending, damage):
    for name in "abcdef":
        path = draw(tmp_path / "all" / f"{name}.{ending}", rng.integers(0, 256, (30, 30, 3)))
    path = tmp_path / "all" / f"d.{ending}"
    path.write_bytes(damage(path.read_bytes()))
    folder = ImageFolder(tmp_path, 8, num_threads=2)
    assert folder[[0, 1, 2]][0].shape == (3, 3, 8, 8)
    with pytest.raises(DataError, match=rf"cannot decode the image .*d\.{ending} \("):
        folder[np.arange(6)]


def test_an_image_that_was_removed_is_named(animals):
    folder = ImageFolder(animals, 8)
    (animals / "dog" / "b.png").unlink()
    with pytest.raises(DataError, match=r"cannot decode the image .*b\.png \(FileNotFoundError"):
        folder[4]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_loader_makes_batches_of_it(animals, num_workers):
    folder = ImageFolder(animals, 8, resize=8)
    whole = ArrayDataset(*folder[np.arange(5)])
    batches, expected = (
        [(x.numpy(), t.numpy()) for x, t in DataLoader(data, 2, True, seed=1, num_workers=num_workers)]
        for data in (folder, whole)
    )
    for (x, t), (y, u) in zip(batches, expected, strict=True):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(t, u)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("minigrad-images")]


def test_it_can_be_divided(animals):
    folder = ImageFolder(animals, 8, resize=8, name="animals")
    first, second = random_split(folder, [3, 2], seed=2)
    assert (len(first), len(second), len(folder)) == (3, 2, 5)
    assert sorted([*first.paths, *second.paths]) == sorted(folder.paths)
    assert first.name == "part 1 of 2 of animals"
    np.testing.assert_array_equal(first[[0]][0][0], pixels_of(first.paths[0]))
    labels = [folder.classes.index(path.relative_to(animals).parts[0]) for path in second.paths]
    assert second.targets.tolist() == labels


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"cannot read the folder .*absent: No such file"):
        ImageFolder(tmp_path / "absent")
    with pytest.raises(DataError, match="no folders in it; expected one for each class"):
        ImageFolder(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "text.txt").write_text("")
    with pytest.raises(DataError, match=r"1 classes \(cat\), but no image in them; .* \.jpg"):
        ImageFolder(tmp_path)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"size": 0}, "size"),
        ({"resize": 100}, r"resize must be .* at least the size \(224, 224\), got 100"),
        ({"channels": 4}, "channels must be 1 or 3"),
        ({"num_threads": 0}, "num_threads"),
        ({"split": "test"}, "split must be 'train', 'val' or None"),
    ],
)
def test_bad_arguments_are_refused(animals, options, said):
    with pytest.raises(ArgumentError, match=said):
        ImageFolder(animals, **options)
