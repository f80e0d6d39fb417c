"""PyTorch's own samples of its operators, run through ours: values, gradients and second derivatives.

The samples are those by which PyTorch tests itself (`torch.testing._internal.common_methods_invocations.op_db`),
in float64 with second derivatives, in float32 with first ones, in int64 and bool. Where we have an operator of the
same name, each sample must give PyTorch's result, or be refused with a clear word: an error of minigrad's own, or
a TypeError for an argument that we do not have. What PyTorch refuses may work here, but must not end in a
traceback from within. `pytest -rP` shows how many samples of each operator were compared and which were refused.
"""

from __future__ import annotations

import functools
import warnings

import pytest

import minigrad as mg

SAMPLES = 400  # of each variant, dtype and form (function, method); evenly chosen where there are more

# Every operator that PyTorch has samples for, and we a function, method or property of that name for.
COMPARED = """
T __getitem__ __radd__ __rand__ __rmatmul__ __rmod__ __rmul__ __ror__ __rpow__ __rsub__ __rxor__ abs acos
acosh add addbmm addcdiv addcmul addmm addmv all allclose amax amin any arange argmax argmin argsort
argwhere asin asinh atan atan2 atanh atleast_1d atleast_2d atleast_3d baddbmm bfloat16 bincount bitwise_and
bitwise_not bitwise_or bitwise_xor bmm bool broadcast_tensors broadcast_to cat ceil chunk clamp clone
contiguous cos cosh count_nonzero cummax cummin cumprod cumsum deg2rad diag diag_embed diagonal div dot
double einsum empty eq equal erf erfc exp exp2 expand expand_as expm1 eye flatten flip float floor
floor_divide fmax fmin fmod frac full full_like gather ge gt half hstack hypot index_add index_put
index_select inner int isclose isfinite isinf isnan item kthvalue le lerp linspace log log10 log1p log2
log_softmax logaddexp logcumsumexp logical_and logical_not logical_or logical_xor logit logsumexp long lt mT
masked_fill masked_select matmul max maximum mean median meshgrid min minimum mm movedim mul mv nanmean
nansum narrow ne neg nn.functional.adaptive_avg_pool1d nn.functional.adaptive_avg_pool2d
nn.functional.adaptive_max_pool1d nn.functional.adaptive_max_pool2d nn.functional.alpha_dropout
nn.functional.avg_pool1d nn.functional.avg_pool2d nn.functional.batch_norm
nn.functional.binary_cross_entropy nn.functional.binary_cross_entropy_with_logits nn.functional.celu
nn.functional.conv1d nn.functional.conv2d nn.functional.conv_transpose1d nn.functional.conv_transpose2d
nn.functional.cosine_embedding_loss nn.functional.cosine_similarity nn.functional.cross_entropy
nn.functional.dropout nn.functional.dropout2d nn.functional.dropout3d nn.functional.elu
nn.functional.embedding nn.functional.gaussian_nll_loss nn.functional.gelu nn.functional.glu
nn.functional.group_norm nn.functional.hardshrink nn.functional.hardsigmoid nn.functional.hardswish
nn.functional.hardtanh nn.functional.hinge_embedding_loss nn.functional.huber_loss
nn.functional.instance_norm nn.functional.interpolate nn.functional.kl_div nn.functional.l1_loss
nn.functional.layer_norm nn.functional.leaky_relu nn.functional.linear nn.functional.local_response_norm
nn.functional.logsigmoid nn.functional.margin_ranking_loss nn.functional.max_pool1d nn.functional.max_pool2d
nn.functional.mish nn.functional.mse_loss nn.functional.nll_loss nn.functional.normalize
nn.functional.one_hot nn.functional.pad nn.functional.pairwise_distance nn.functional.pixel_shuffle
nn.functional.pixel_unshuffle nn.functional.poisson_nll_loss nn.functional.prelu nn.functional.relu
nn.functional.relu6 nn.functional.rms_norm nn.functional.scaled_dot_product_attention nn.functional.selu
nn.functional.silu nn.functional.smooth_l1_loss nn.functional.soft_margin_loss nn.functional.softmin
nn.functional.softplus nn.functional.softshrink nn.functional.softsign nn.functional.tanhshrink
nn.functional.threshold nn.functional.triplet_margin_loss nn.functional.unfold
nn.functional.upsample_bilinear nn.functional.upsample_nearest nonzero norm ones ones_like outer permute pow
prod rad2deg rand_like randint randn randn_like ravel reciprocal remainder repeat repeat_interleave reshape
reshape_as roll round rsqrt scatter scatter_add select sigmoid sign sin sinh softmax sort split sqrt square
squeeze stack std std_mean sub sum t take_along_dim tan tanh tensor_split tensordot tile to topk transpose
tril triu trunc unbind unflatten unique unsqueeze var var_mean view view_as vstack where zero_ zeros
zeros_like
"""

# Random numbers, and memory as it comes: only shape and dtype can be compared.
WITHOUT_VALUES = """
empty empty_like rand_like randint randn randn_like
nn.functional.alpha_dropout nn.functional.dropout nn.functional.dropout2d nn.functional.dropout3d
"""

# Which of several equal integers comes first is nobody's promise: in int64 and bool, so many outputs are compared.
OUTPUTS_WITHOUT_TIES = {"argsort": 0, "kthvalue": 1, "median": 1, "sort": 1, "topk": 1}

# Where PyTorch's own result is that inaccurate, as its float64 one, or the definition, shows.
TOLERANCE = {
    ("nn.functional.hardsigmoid", "float64"): 1e-7,  # its gradient multiplies by 1/6 rounded to float32
    ("logcumsumexp", "float32"): 1e-2,  # its gradient takes the logarithm of gy, and differences
}

# Every sample of these is refused, and why.
REFUSED = {
    "norm nuc": "the nuclear norm needs singular values, which we have no operation for",
    "to": "its samples pass non_blocking and copy by position; devices, dtypes and tensors are all that to() takes so",
}

# The samples of these come in an order of their own.
REORDERED = {
    "einsum": lambda tensors, equation: mg.einsum(equation, *tensors),
    "where": lambda x, condition, other: mg.where(condition, x, other),
    "nn.functional.embedding": lambda weight, indices, **options: mg.nn.functional.embedding(
        indices, weight, **options
    ),
}


@pytest.fixture(scope="module")
def op_db(torch):
    """The other half of this file; it needs PyTorch to be imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tests import op_db
    return op_db


def forms(op_db, name):
    """(variant, form, PyTorch's description, our callable) for each way of calling an operator."""
    for info in op_db.INFOS[name]:
        named = {"function": REORDERED[name]} if name in REORDERED else op_db.ours(name)
        for form, function in named.items():
            if form == "method" and info.method_variant is None and not name.startswith("__"):
                continue
            if form == "function" and isinstance(info.op, functools.partial):
                function = functools.partial(function, *info.op.args, **info.op.keywords)
            yield f"{name} {info.variant_test_name}".strip(), form, info, function


def values_to_compare(name, dtype, call):
    """Of how many outputs; None for all."""
    if name in WITHOUT_VALUES.split() or call.kwargs.get("dropout_p", 0) > 0:
        return 0
    return OUTPUTS_WITHOUT_TIES.get(name) if dtype in ("int64", "bool") else None


def test_the_list_is_complete(op_db):
    shared, listed = {name for name in op_db.INFOS if op_db.ours(name)}, set(COMPARED.split())
    shared -= {"trace"}  # ours observes operations; theirs adds up a diagonal: x.diagonal().sum()
    assert shared == listed, f"new {sorted(shared - listed)}, gone {sorted(listed - shared)}"


@pytest.mark.parametrize("name", COMPARED.split())
def test_the_operator_agrees_on_pytorchs_samples(name, op_db, record_property):
    failures: list[str] = []
    for variant, form, info, function in forms(op_db, name):
        refused, compared = [], 0
        calls = [
            (str(dtype)[6:], call) for dtype in op_db.DTYPES for call in op_db.samples(info, dtype, SAMPLES)
        ]
        for dtype, call in calls:
            try:
                op_db.compare(
                    info, function, call, values_to_compare(name, dtype, call), TOLERANCE.get((name, dtype))
                )
                compared += 1
            except op_db.Refusal as refusal:
                refused.append(f"{call}: {refusal}")
            except Exception as error:
                failures.append(f"{variant}, {form}, {call}: {type(error).__name__}: {error}")
        summary = f"{compared} compared, {len(refused)} refused"
        record_property(f"{variant}, {form}", summary)
        print(f"{variant}, {form}: {summary}", *refused, sep="\n    ")
        if calls and len(refused) == len(calls) and variant not in REFUSED:
            failures.append(
                f"{variant}, {form}: all {len(calls)} samples are refused, the first is {refused[0]}"
            )
    assert not failures, f"{len(failures)} differences\n" + "\n".join(failures[:12])


@pytest.mark.parametrize("name", COMPARED.split())
def test_what_pytorch_refuses_does_not_end_in_a_traceback(name, op_db):
    failures = []
    for variant, form, info, function in forms(op_db, name):
        for call in op_db.wrong_samples(info):
            try:
                op_db.run(function, op_db.to_ours(op_db.to_leaves(call)))
            except op_db.Refusal:
                pass
            except Exception as error:
                failures.append(f"{variant}, {form}, {call}: {type(error).__name__}: {error}")
    assert not failures, f"{len(failures)} unclear errors\n" + "\n".join(failures[:12])
