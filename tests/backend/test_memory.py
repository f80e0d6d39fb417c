"""Memory is used again when nobody can see it any more, and only then."""

import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.memory import SMALLEST, Memory
from minigrad.nn import functional as F

SHAPE = (64, 256)  # float32: 64 KiB


def address(array):
    return array.__array_interface__["data"][0]


HOLDERS = {
    "the array": lambda a: a,
    "a view": lambda a: a[1:2, ::2],
    "a view of a view of another type": lambda a: a.reshape(-1)[3:].view(np.int32)[:1],
    "a transpose": lambda a: a.T,
    "a memoryview": memoryview,
    "a DLPack import": np.from_dlpack,
    "a tensor": lambda a: mg.from_numpy(a),
    "what numpy() of a tensor gives": lambda a: mg.from_numpy(a).numpy(),
    "a function": lambda a: lambda: a,
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_block_is_used_again_only_when_nobody_refers_to_it(holder):
    memory = Memory()
    array = memory.empty(SHAPE, np.float32)
    place = address(array)
    held = HOLDERS[holder](array)
    del array
    others = [memory.empty(SHAPE, np.float32) for _ in range(3)]
    assert place not in map(address, others)
    del held
    assert address(memory.empty(SHAPE, np.float32)) == place


def test_blocks_in_use_never_overlap():
    memory, rng = Memory(), np.random.default_rng(0)
    live = {}
    for i in range(500):
        if live and rng.random() < 0.5:
            del live[list(live)[rng.integers(len(live))]]
        shape = (int(rng.integers(1, 40)), int(rng.integers(200, 3000)))
        live[i] = memory.empty(shape, np.float32)
        live[i][...] = i
        for number, array in live.items():
            assert (array == number).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.bool_])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 5), (7,), (3, 50_000), (1, 1, 65_537)])
def test_arrays_are_as_asked_for(shape, dtype):
    array = Memory().empty(shape, dtype)
    assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
    assert array.flags.c_contiguous
    assert array.flags.writeable
    if array.nbytes >= SMALLEST:
        assert address(array) % 64 == 0


def test_free_blocks_can_be_given_back():
    memory = Memory()
    kept, freed = (memory.empty(SHAPE, np.float32) for _ in range(2))
    kept[...] = 3
    held = memory.statistics()
    assert held["held"] == held["used"] >= 2 * kept.nbytes
    del freed
    assert memory.statistics()["used"] == held["held"] // 2
    assert memory.release() == held["held"] // 2
    assert memory.release() == 0
    assert (kept == 3).all()
    assert memory.statistics() == {"held": held["held"] // 2, "used": held["held"] // 2}


def test_threads_get_blocks_of_their_own():
    memory, clashes = Memory(), []

    def work(number):
        for _ in range(300):
            array = memory.empty(SHAPE, np.float32)
            array[...] = number
            if not (array == number).all():
                clashes.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not clashes


def test_what_is_kept_of_one_step_stays_through_later_ones():
    """Outputs, gradients of leaves and of others, and NumPy arrays of step 1 are looked at after step 3."""
    rng = np.random.default_rng(0)
    model = mg.nn.Sequential(
        mg.nn.Conv2d(3, 16, 3, padding=1, bias=False),
        mg.nn.BatchNorm2d(16),
        mg.nn.ReLU(),
        mg.nn.Conv2d(16, 16, 3, padding=1),
        mg.nn.MaxPool2d(2),
        mg.nn.Flatten(),
        mg.nn.Linear(16 * 64, 4),
    )
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    kept = []
    for step in range(3):
        x = mg.tensor(rng.standard_normal((16, 3, 16, 16), dtype=np.float32), requires_grad=True)
        optimizer.zero_grad()
        values = [x]
        for layer in model:
            values.append(layer(values[-1]))
            values[-1].retain_grad()
        F.cross_entropy(values[-1], mg.tensor(rng.integers(0, 4, 16))).backward()
        if step == 0:
            seen = [*values, *(v.grad for v in values), *(p.grad for p in model.parameters())]
            kept = [(t, t.numpy(), np.array(t.numpy())) for t in seen]
        optimizer.step()
    for tensor, array, expected in kept:
        np.testing.assert_array_equal(tensor.numpy(), expected)
        np.testing.assert_array_equal(array, expected)
