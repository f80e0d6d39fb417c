"""Multi-head attention and embeddings against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.nn.torch_twin import assert_close, compare_layers, share_state

L, S, N, E, H = 3, 5, 2, 8, 4  # queries, keys, samples, features, heads


def inputs(rng, batch_first=True, kdim=E, vdim=E, batch=True):
    """Queries, keys, values."""
    arrays = [rng.standard_normal(shape) for shape in ((N, L, E), (N, S, kdim), (N, S, vdim))]
    if not batch:
        return [a[0] for a in arrays]
    return arrays if batch_first else [a.transpose(1, 0, 2) for a in arrays]


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_first": True, "bias": False},
        {"batch_first": True, "kdim": 5, "vdim": 6},
        {"kdim": 7, "bias": False},
        {"batch_first": True, "add_bias_kv": True},
        {"batch_first": True, "add_zero_attn": True},
        {"add_bias_kv": True, "add_zero_attn": True, "kdim": 3},
        {"dropout": 0.4, "batch_first": True},  # of no effect in evaluation
    ],
)
@pytest.mark.parametrize("batch", [True, False])
def test_attention(torch, rng, options, need_weights, batch):
    sizes = {key: value for key, value in options.items() if key in ("batch_first", "kdim", "vdim")}
    compare_layers(
        torch,
        lambda lib: lib.MultiheadAttention(E, H, **options),
        inputs(rng, **{"batch_first": False} | sizes, batch=batch),
        mode="eval",
        same_repr=False,
        call=lambda layer, *qkv: layer(*qkv, need_weights=need_weights),
    )


@pytest.mark.parametrize("average", [True, False])
def test_self_attention(torch, rng, average):
    compare_layers(
        torch,
        lambda lib: lib.MultiheadAttention(E, H, batch_first=True),
        [rng.standard_normal((N, L, E))],
        same_repr=False,
        call=lambda layer, x: layer(x, x, x, average_attn_weights=average),
    )


def masks(rng, kind):
    """attn_mask and key_padding_mask; some keys remain for each query."""
    future = np.triu(np.ones((L, S), dtype=bool), 2)
    padding = np.array([[False] * S, [False, True, False, True, True]])
    some = rng.random((N * H, L, S)) < 0.4
    some[..., 0] = False
    numbers = rng.standard_normal((L, S))
    return {
        "attn": (future, None),
        "padding": (None, padding),
        "both": (future, padding),
        "heads": (some, None),
        "heads and padding": (some, padding),
        "numbers": (numbers, None),
        "numbers for heads": (rng.standard_normal((N * H, L, S)), None),
        "numbers and numbers": (numbers, np.where(padding, -np.inf, 0.5)),
    }[kind]


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        "attn",
        "padding",
        "both",
        "heads",
        "heads and padding",
        "numbers",
        "numbers for heads",
        "numbers and numbers",
    ],
)
def test_masks(torch, rng, kind, added, need_weights):
    attn, padding = masks(rng, kind)
    given = [m for m in (attn, padding) if m is not None]

    def call(layer, query, key, value, *rest):
        rest = [m.detach() for m in rest]
        attn_mask = rest[0] if attn is not None else None
        return layer(
            query,
            key,
            value,
            key_padding_mask=rest[-1] if padding is not None else None,
            need_weights=need_weights,
            attn_mask=attn_mask,
            average_attn_weights=False,
        )

    compare_layers(
        torch,
        lambda lib: lib.MultiheadAttention(E, H, batch_first=True, add_bias_kv=added, add_zero_attn=added),
        [*inputs(rng), *given],
        same_repr=False,
        call=call,
    )


def test_a_mask_that_is_learnt(torch, rng):
    compare_layers(
        torch,
        lambda lib: lib.MultiheadAttention(E, H, batch_first=True),
        [*inputs(rng), rng.standard_normal((L, S))],
        same_repr=False,
        call=lambda layer, q, k, v, mask: layer(q, k, v, attn_mask=mask),
    )


@pytest.mark.parametrize("need_weights", [True, False])
def test_causal(torch, rng, need_weights):
    """In PyTorch is_causal needs the mask beside it; here it makes the mask."""
    ours = nn.MultiheadAttention(E, H, batch_first=True).double()
    theirs = torch.nn.MultiheadAttention(E, H, batch_first=True).double()
    share_state(torch, ours, theirs)
    x = rng.standard_normal((N, L, E))
    later = np.triu(np.ones((L, L), dtype=bool), 1)
    t = torch.tensor(x)
    expected = theirs(t, t, t, attn_mask=torch.tensor(later), is_causal=True, need_weights=need_weights)
    m = mg.tensor(x)
    for mask in (None, mg.tensor(later)):
        y, weights = ours(m, m, m, attn_mask=mask, is_causal=True, need_weights=need_weights)
        assert_close(y, expected[0], "output")
        if need_weights:
            assert_close(weights, expected[1], "weights")


def test_a_query_that_may_look_nowhere(rng):
    layer = nn.MultiheadAttention(E, H, batch_first=True)
    x = mg.tensor(rng.standard_normal((1, 2, E)).astype(np.float32), requires_grad=True)
    nothing = mg.ones(2, 2, dtype="bool")
    for need_weights in (True, False):
        y, weights = layer(x, x, x, attn_mask=nothing, need_weights=need_weights)
        assert y.tolist() == layer.out_proj(mg.zeros(1, 2, E)).tolist()
        if weights is not None:
            assert weights.tolist() == [[[0, 0], [0, 0]]]
        (gx,) = mg.grad(y.sum(), x)
        assert np.isfinite(gx.numpy()).all()


def test_dropout_of_weights(rng):
    """A dropped weight is 0, the others are scaled, and the answer is made with the weights returned."""
    layer = nn.MultiheadAttention(E, 1, dropout=0.5, batch_first=True)
    x = mg.randn(1, 40, E)
    _, plain = layer.eval()(x, x, x)
    y, weights = layer.train()(x, x, x)
    dropped = weights.numpy() == 0
    assert abs(dropped.mean() - 0.5) < 0.05
    np.testing.assert_allclose(weights.numpy()[~dropped], 2 * plain.numpy()[~dropped], rtol=1e-5)
    w, b = layer.in_proj_weight[2 * E :], layer.in_proj_bias[2 * E :]
    expected = layer.out_proj(weights @ nn.functional.linear(x, w, b))
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_attention_begins_in_xaviers_bounds():
    layer = nn.MultiheadAttention(64, 2, add_bias_kv=True)
    bound = np.sqrt(6 / (64 + 3 * 64))
    values = np.abs(layer.in_proj_weight.detach().numpy())
    assert 0.98 * bound < values.max() <= bound
    assert abs(values.mean() - bound / 2) < 0.02 * bound
    assert not layer.in_proj_bias.detach().numpy().any()
    assert not layer.out_proj.bias.detach().numpy().any()
    std = np.sqrt(2 / (64 + 64))  # bias_k is (1, 1, 64): fan_in = fan_out = 64
    assert layer.bias_k.detach().numpy().std() == pytest.approx(std, rel=0.4)


def test_wrong_sizes():
    for make in (
        lambda: nn.MultiheadAttention(8, 3),
        lambda: nn.MultiheadAttention(8, 0),
        lambda: nn.MultiheadAttention(8, 2, kdim=0),
    ):
        with pytest.raises(ArgumentError, match=r"8 features cannot be divided among [023] heads"):
            make()
    with pytest.raises(ArgumentError, match="dropout must be a probability, 0 to 1, not 2"):
        nn.MultiheadAttention(8, 2, dropout=2)


@pytest.mark.parametrize(
    ("shapes", "masks", "message"),
    [
        ([(2, 3, 7), (2, 5, 8), (2, 5, 8)], {}, r"query=float32\[2, 3, 7\].*\(N, L, E\).*with E = 8"),
        ([(2, 3, 8), (1, 5, 8), (1, 5, 8)], {}, "they must be"),
        ([(2, 3, 8), (2, 5, 8), (2, 4, 8)], {}, "they must be"),
        ([(3, 8), (5, 8), (2, 5, 8)], {}, "or without N"),
        ([(3, 8), (5, 8), (4, 8)], {}, "or without N"),
        ([(2, 3, 8)] * 3, {"attn_mask": (3, 4)}, r"attn_mask must have shape \[3, 3\] here, not \[3, 4\]"),
        ([(2, 3, 8)] * 3, {"attn_mask": (2, 3, 3)}, r"attn_mask must have shape \[4, 3, 3\] here"),
        ([(2, 3, 8)] * 3, {"key_padding_mask": (3, 2)}, r"key_padding_mask must have shape \[2, 3\]"),
    ],
)
def test_wrong_shapes(shapes, masks, message):
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    given = {name: mg.zeros(shape, dtype="bool") for name, shape in masks.items()}
    with pytest.raises(ShapeError, match=message):
        layer(*[mg.zeros(shape) for shape in shapes], **given)


def test_masks_are_bool_or_floating_point():
    x = mg.zeros(1, 2, 8)
    with pytest.raises(DtypeError, match=r"attn_mask must be bool or floating point, not int64\[2, 2\]"):
        nn.MultiheadAttention(8, 2)(x, x, x, attn_mask=mg.zeros(1, 1, dtype="int64").expand(2, 2))


# ------------------------------------------------ embeddings


@pytest.mark.parametrize("options", [{}, {"padding_idx": 2}, {"padding_idx": -1}])
def test_embedding(torch, rng, options):
    compare_layers(torch, lambda lib: lib.Embedding(6, 3, **options), [np.array([[0, 2, 5], [5, 5, 1]])])


def test_an_embedding_begins_normal_and_its_padding_as_zeros():
    layer = nn.Embedding(2000, 10, padding_idx=-2)
    weight = layer.weight.detach().numpy()
    assert not weight[1998].any()
    others = np.delete(weight, 1998, axis=0)
    assert abs(others.mean()) < 0.03
    assert abs(others.std() - 1) < 0.03


def test_an_embedding_from_a_table():
    table = mg.randn(4, 3)
    layer = nn.Embedding.from_pretrained(table, padding_idx=0)
    assert layer(mg.tensor([1, 3])).tolist() == table[mg.tensor([1, 3])].tolist()
    assert not layer.weight.requires_grad
    assert (layer.num_embeddings, layer.embedding_dim, layer.padding_idx) == (4, 3, 0)
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    with pytest.raises(ShapeError, match=r"a table of two dimensions, not shape \[4\]"):
        nn.Embedding.from_pretrained(mg.zeros(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3), "at least one row of one number, not 0 of 3"),
        ((4, 3, 4), "padding_idx 4 is none of the 4 rows"),
    ],
)
def test_wrong_tables(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        nn.Embedding(*arguments)
