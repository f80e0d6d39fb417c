"""The character transformer: against PyTorch, what it may look at, its gradients, and that it learns and writes."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
import models
from minigrad.data.text import corpus_of
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn import functional as F
from minigrad.testing import gradcheck

TINY = {"vocab_size": 7, "context_length": 6, "n_layer": 2, "n_head": 2, "n_embd": 8}


def tiny(**options) -> models.CharTransformer:
    """A small one in float64, with weights large enough to matter."""
    model = models.CharTransformer(**{**TINY, **options}).double()
    with mg.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * mg.randn(*parameter.shape, dtype=mg.float64))
    return model


def tokens(rng: np.random.Generator, batch: int = 3, length: int = 6) -> mg.Tensor:
    return mg.tensor(rng.integers(0, TINY["vocab_size"], (batch, length)))


def torch_logits(torch, model, x, activation):
    """GPT-2's forward in PyTorch's own layers, by the names of the model's state."""
    state = {name: torch.tensor(value.numpy()) for name, value in model.state_dict().items()}
    f = torch.nn.functional

    def linear(x, name):
        return f.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(x, name):
        return f.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])

    T = x.shape[1]
    x = state["wte.weight"][x] + state["wpe.weight"][:T]
    C = x.shape[-1]
    for layer in range(TINY["n_layer"]):
        h = f"h.{layer}"
        attention = torch.nn.MultiheadAttention(C, TINY["n_head"], batch_first=True).double()
        attention.load_state_dict(
            {
                "in_proj_weight": state[f"{h}.attn.c_attn.weight"],
                "in_proj_bias": state[f"{h}.attn.c_attn.bias"],
                "out_proj.weight": state[f"{h}.attn.c_proj.weight"],
                "out_proj.bias": state[f"{h}.attn.c_proj.bias"],
            }
        )
        y = norm(x, f"{h}.ln_1")
        later = torch.ones(T, T, dtype=torch.bool).triu(1)
        x = x + attention(y, y, y, attn_mask=later, need_weights=False)[0]
        hidden = getattr(f, activation)(linear(norm(x, f"{h}.ln_2"), f"{h}.mlp.c_fc"))
        x = x + linear(hidden, f"{h}.mlp.c_proj")
    return norm(x, "ln_f") @ state["lm_head.weight"].T


@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("length", [1, 4, 6])
def test_forward(torch, rng, tie_weights, activation, length):
    model, x = tiny(activation=activation, tie_weights=tie_weights), tokens(rng, length=length)
    expected = torch_logits(torch, model, torch.tensor(x.numpy()), activation).detach().numpy()
    np.testing.assert_allclose(model(x).detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("changed", range(6))
def test_no_position_looks_ahead(rng, changed):
    model, x = tiny(), tokens(rng)
    other = x.numpy().copy()
    other[:, changed] = (other[:, changed] + 1) % TINY["vocab_size"]
    before, after = model(x).detach().numpy(), model(mg.tensor(other)).detach().numpy()
    np.testing.assert_array_equal(after[:, :changed], before[:, :changed])
    assert (np.abs(after[:, changed:] - before[:, changed:]).max(axis=(0, 2)) > 1e-6).all()


@pytest.mark.parametrize("tie_weights", [True, False])
def test_gradients(rng, tie_weights):
    model, x, targets = tiny(tie_weights=tie_weights), tokens(rng), tokens(rng)

    def loss(*_):
        return F.cross_entropy(model(x).flatten(0, 1), targets.flatten())

    parameters = list(model.parameters())
    assert gradcheck(loss, parameters)
    loss().backward()
    assert all(parameter.grad.abs().sum().item() > 0 for parameter in parameters)


def test_names_and_sizes_are_gpt2s():
    state = {name: t.shape for name, t in models.CharTransformer(**TINY).state_dict().items()}
    block = {
        "ln_1.weight": (8,),
        "ln_1.bias": (8,),
        "attn.c_attn.weight": (24, 8),
        "attn.c_attn.bias": (24,),
        "attn.c_proj.weight": (8, 8),
        "attn.c_proj.bias": (8,),
        "ln_2.weight": (8,),
        "ln_2.bias": (8,),
        "mlp.c_fc.weight": (32, 8),
        "mlp.c_fc.bias": (32,),
        "mlp.c_proj.weight": (8, 32),
        "mlp.c_proj.bias": (8,),
    }
    ends = {"ln_f.weight": (8,), "ln_f.bias": (8,), "lm_head.weight": (7, 8)}
    blocks = {f"h.{i}.{name}": shape for i in range(2) for name, shape in block.items()}
    assert state == {"wte.weight": (7, 8), "wpe.weight": (6, 8), **blocks, **ends}
    # 124,439,808 is the published size of GPT-2 small; the formula behind it
    V, T, L, C = 7, 6, 2, 8
    assert models.CharTransformer(**TINY).count_parameters() == (V + T) * C + L * (12 * C**2 + 13 * C) + 2 * C


def test_initial_sizes():
    model = models.CharTransformer(100, 64, n_layer=8, n_embd=64)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif ".ln_" in name or name.startswith("ln_"):
            assert (parameter == 1).all()
        else:
            expected = 0.02 / 4 if name.endswith("c_proj.weight") else 0.02
            assert parameter.std().item() == pytest.approx(expected, rel=0.1)
    # Nothing is preferred at the beginning
    loss = F.cross_entropy(model(mg.randint(0, 100, (4, 64))).flatten(0, 1), mg.randint(0, 100, (256,)))
    assert loss.item() == pytest.approx(np.log(100), rel=0.03)


def test_tied_weights_stay_tied(tmp_path, rng):
    model = models.CharTransformer(**TINY)
    assert model.lm_head.weight is model.wte.weight
    model.double()
    assert model.lm_head.weight is model.wte.weight
    mg.save(model.state_dict(), tmp_path / "model.safetensors")
    other = models.CharTransformer(**TINY).double()
    other.load_state_dict(mg.load(tmp_path / "model.safetensors"))
    x = tokens(rng)
    np.testing.assert_array_equal(other(x).numpy(), model(x).numpy())
    free = models.CharTransformer(**TINY, tie_weights=False)
    assert free.count_parameters() == model.count_parameters() + 7 * 8


def test_it_learns_a_text_by_heart_and_writes_it():
    line = "the quick brown fox jumps over the lazy dog. "
    corpus = corpus_of(line * 40, validation=0.1)
    model = models.CharTransformer(len(corpus.vocabulary), 16, n_layer=1, n_head=2, n_embd=32)
    optimizer = mg.optim.Adam(model.parameters(), lr=0.01)
    inputs, targets = corpus.windows(context_length=16, stride=1)[: len(line)]
    inputs, targets = mg.tensor(inputs), mg.tensor(targets)

    def loss(x, t):
        return F.cross_entropy(model(x).flatten(0, 1), t.flatten())

    first = loss(inputs, targets).item()
    for _ in range(150):
        optimizer.zero_grad()
        loss(inputs, targets).backward()
        optimizer.step()
    # The first characters of a window cannot be known for sure: "o" is followed by w, x, v and g
    certain = F.cross_entropy(model(inputs)[:, 8:].flatten(0, 1), targets[:, 8:].flatten()).item()
    assert first > 3
    assert certain < 0.01
    written = model.generate(corpus.vocabulary.encode("the quick "), 80, temperature=0)
    assert corpus.vocabulary.decode(written) == (line * 3)[:90]
    surely = model.generate(corpus.vocabulary.encode("the quick "), 80, temperature=0.2, seed=3)
    assert corpus.vocabulary.decode(surely) == (line * 3)[:90]


# ------------------------------------------------ generating


def test_draws_follow_the_probabilities(rng):
    model = tiny()
    x = tokens(rng, 1, 4)
    logits = model(x).detach().numpy()[0, -1]
    for temperature in (0.5, 1.0, 2.0):
        p = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
        drawn = [model.generate(x.numpy()[0], 1, temperature, seed)[-1] for seed in range(400)]
        shares = np.bincount(drawn, minlength=7) / 400
        assert np.abs(shares - p).max() < 5 * np.sqrt(0.25 / 400)
        assert 0.5 * np.abs(shares - p).sum() < 0.12
    assert model.generate(x.numpy()[0], 1, 0)[-1] == logits.argmax()


def test_generating_looks_back_no_further_than_the_context(rng):
    model = tiny()
    start = rng.integers(0, 7, 6)
    longer = np.concatenate([rng.integers(0, 7, 5), start])
    a, b = model.generate(start, 10, seed=1), model.generate(longer, 10, seed=1)
    np.testing.assert_array_equal(a[6:], b[11:])
    np.testing.assert_array_equal(b[:11], longer)
    assert a.dtype == np.int64
    for _ in range(10):  # and all of the context
        start = rng.integers(0, 7, 9)
        likeliest = model(mg.tensor(start[None, -6:])).detach().numpy()[0, -1].argmax()
        assert model.generate(start, 1, temperature=0)[-1] == likeliest


def test_generating_repeats_and_leaves_modes():
    model = tiny(dropout=0.5)
    model.h[0].eval()
    modes = [module.training for module in model.modules()]
    a, b, c = (model.generate([1, 2], 30, seed=seed) for seed in (1, 1, 2))
    assert a.tolist() == b.tolist() != c.tolist()  # no dropout in it
    assert [module.training for module in model.modules()] == modes
    assert model.generate([3], 0).tolist() == [3]
    with pytest.raises(mg.errors.MinigradError):
        model.generate([99], 1)  # not in the vocabulary
    assert [module.training for module in model.modules()] == modes


def test_dropout_acts_in_training_only(rng):
    model, x = tiny(dropout=0.5), tokens(rng)
    assert (model(x) != model(x)).any()
    model.eval()
    assert (model(x) == model(x)).all()
    # Where all is dropped, nothing is left of any branch, nor of the embedding
    empty = tiny(dropout=1.0)
    nothing = empty.ln_f.bias @ empty.lm_head.weight.T
    np.testing.assert_allclose(empty(x).detach().numpy() - nothing.detach().numpy(), 0, atol=1e-12)


# ------------------------------------------------ errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_head": 3}, "n_head must divide n_embd; got .*n_head=3, n_embd=8"),
        ({"vocab_size": 0}, "must be 1 or more.*vocab_size=0"),
        ({"n_layer": 0}, "n_layer=0"),
        ({"activation": "swish"}, "activation must be one of elu, gelu, .* not 'swish'"),
        ({"dropout": 1.5}, "1.5"),
    ],
)
def test_wrong_sizes(options, message):
    with pytest.raises(ArgumentError, match=message):
        models.CharTransformer(**{**TINY, **options})


@pytest.mark.parametrize("shape", [(2, 7), (2, 0), (6,), (2, 3, 4)])
def test_tokens_of_another_shape(shape):
    with pytest.raises(ShapeError, match=r"\(B, T\) with T from 1 to 6, not shape"):
        models.CharTransformer(**TINY)(mg.zeros(*shape, dtype=mg.int64))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], 3), ShapeError, r"whole numbers of shape \(n,\), n from 1, not float64 of shape \[0\]"),
        (([[1]], 3), ShapeError, r"of shape \[1, 1\]"),
        (([1.0], 3), ShapeError, "not float64"),
        (([1], -1), ArgumentError, "all from 0, not -1, 1.0 and 0"),
        (([1], 1, -0.5), ArgumentError, "-0.5"),
        (([1], 1, float("nan")), ArgumentError, "nan"),
        (([1], 1, float("inf")), ArgumentError, "inf"),
        (([1], 1, 1.0, -1), ArgumentError, "1, 1.0 and -1"),
    ],
)
def test_wrong_generating(arguments, error, message):
    with pytest.raises(error, match=message):
        models.CharTransformer(**TINY).generate(*arguments)
