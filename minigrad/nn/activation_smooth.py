"""Smooth activations, elementwise (but for GLU): x and y have one shape.

PyTorch's argument `inplace` is accepted where it has one and changes nothing: the result is always a new tensor.
"""

from __future__ import annotations

from minigrad import ops
from minigrad.errors import ArgumentError
from minigrad.nn.activation import PlainActivation
from minigrad.nn.operation_layer import OperationLayer


class Sigmoid(OperationLayer):
    """y = 1 / (1 + e^-x). Gradient: gx = gy y (1 - y).

    >>> import minigrad as mg
    >>> mg.nn.Sigmoid()(mg.tensor([0.0, 200.0]))
    tensor([0.5, 1. ])
    """

    operation = staticmethod(ops.sigmoid)


class Tanh(OperationLayer):
    """y = tanh(x). Gradient: gx = gy (1 - y^2).

    >>> import minigrad as mg
    >>> mg.nn.Tanh()(mg.tensor([0.0, 200.0]))
    tensor([0., 1.])
    """

    operation = staticmethod(ops.tanh)


class LogSigmoid(OperationLayer):
    """y = log(1 / (1 + e^-x)), without overflow; see `minigrad.nn.functional.logsigmoid`.

    >>> import minigrad as mg
    >>> mg.nn.LogSigmoid()(mg.tensor([0.0, -200.0]))
    tensor([  -0.693, -200.   ])
    """

    operation = staticmethod(ops.logsigmoid)


class Softsign(OperationLayer):
    """y = x / (1 + |x|); see `minigrad.nn.functional.softsign`.

    >>> import minigrad as mg
    >>> mg.nn.Softsign()(mg.tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """

    operation = staticmethod(ops.softsign)


class Tanhshrink(OperationLayer):
    """y = x - tanh(x); see `minigrad.nn.functional.tanhshrink`.

    >>> import minigrad as mg
    >>> mg.nn.Tanhshrink()(mg.tensor([0.0, 200.0]))
    tensor([  0., 199.])
    """

    operation = staticmethod(ops.tanhshrink)


class Softplus(OperationLayer):
    """y = log(1 + e^(beta x)) / beta, a smooth relu, and x itself where beta x > threshold.

    See `minigrad.nn.functional.softplus`. Gradient: gx = gy sigmoid(beta x).

    >>> import minigrad as mg
    >>> mg.nn.Softplus()(mg.tensor([0.0, 100.0]))
    tensor([  0.693, 100.   ])
    """

    operation = staticmethod(ops.softplus)
    settings = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold


class ELU(OperationLayer):
    """y = x where x > 0, else alpha (e^x - 1); see `minigrad.nn.functional.elu`.

    >>> import minigrad as mg
    >>> mg.nn.ELU()(mg.tensor([-100.0, 2.0]))
    tensor([-1.,  2.])
    """

    operation = staticmethod(ops.elu)
    settings = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = alpha


class CELU(OperationLayer):
    """y = x where x > 0, else alpha (e^(x / alpha) - 1); see `minigrad.nn.functional.celu`.

    >>> import minigrad as mg
    >>> mg.nn.CELU(0.5)(mg.tensor([-100.0, 2.0]))
    tensor([-0.5,  2. ])
    """

    operation = staticmethod(ops.celu)
    settings = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = alpha


class SELU(PlainActivation):
    """y = 1.0507 elu(x) with alpha 1.6733, which keeps mean 0 and variance 1 from layer to layer.

    See `minigrad.nn.functional.selu`; weights are to begin with `init.lecun_normal_`, dropout is `AlphaDropout`.
    Source: Klambauer et al. 2017, equation 2.

    >>> import minigrad as mg
    >>> mg.nn.SELU()(mg.tensor([-100.0, 1.0]))
    tensor([-1.7581,  1.051 ])
    """

    operation = staticmethod(ops.selu)


class GELU(OperationLayer):
    """y = x Phi(x), Phi the normal distribution's; see `minigrad.nn.functional.gelu`.

    approximate: "none", or "tanh" for the formula with tanh. Raises ArgumentError for another.

    >>> import minigrad as mg
    >>> mg.nn.GELU()(mg.tensor([-10.0, 1.0]))
    tensor([-0.    ,  0.8413])
    """

    operation = staticmethod(ops.gelu)
    settings = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f'GELU: approximate must be "none" or "tanh", not {approximate!r}')
        self.approximate = approximate


class SiLU(PlainActivation):
    """y = x sigmoid(x), also called swish; see `minigrad.nn.functional.silu`.

    >>> import minigrad as mg
    >>> mg.nn.SiLU()(mg.tensor([0.0, 100.0]))
    tensor([  0., 100.])
    """

    operation = staticmethod(ops.silu)


class Mish(PlainActivation):
    """y = x tanh(softplus(x)); see `minigrad.nn.functional.mish`.

    >>> import minigrad as mg
    >>> mg.nn.Mish()(mg.tensor([0.0, 100.0]))
    tensor([  0., 100.])
    """

    operation = staticmethod(ops.mish)


class GLU(OperationLayer):
    """y = a sigmoid(b), where a and b are the halves of x along `dim`; see `minigrad.nn.functional.glu`.

    Shapes: x (..., 2 n, ...); y (..., n, ...).

    >>> import minigrad as mg
    >>> mg.nn.GLU()(mg.tensor([3.0, 5.0, 0.0, 100.0]))
    tensor([1.5, 5. ])
    """

    operation = staticmethod(ops.glu)
    settings = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim
