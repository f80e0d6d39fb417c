"""The errors minigrad raises on purpose.

Each also derives from the built-in error a Python user would expect, so `except ValueError` keeps working.
A message says what was given, what was expected, and what to do.
"""


class MinigradError(Exception):
    """Base of every error that minigrad raises on purpose."""


class ArgumentError(MinigradError, ValueError):
    """An argument has a value outside its range, or arguments contradict each other."""


class IndexRangeError(ArgumentError, IndexError):
    """An index lies outside the dimension it points into."""


class ShapeError(MinigradError, ValueError):
    """Shapes do not fit the operation, or each other."""


class DtypeError(MinigradError, TypeError):
    """A dtype, or a type, does not fit the operation."""


class DeviceError(MinigradError, RuntimeError):
    """A device is unknown or unavailable, or tensors lie on different devices."""


class GraphError(MinigradError, RuntimeError):
    """The graph cannot be differentiated: freed, changed in place, or never recorded."""


class NonFiniteError(MinigradError, ArithmeticError):
    """A value that must be finite is NaN or infinite."""


class DataError(MinigradError, ValueError):
    """A data file is missing, corrupt or of the wrong kind."""


class StateError(MinigradError, ValueError):
    """A state_dict does not fit the module or optimiser it is loaded into."""


class CommunicationError(MinigradError, RuntimeError):
    """Processes that compute together do not hear from each other, or differ where they must not."""


class RuleBroken(MinigradError, RuntimeError):
    """A rule that was to stop training found what must not be."""


class RuleWarning(UserWarning):
    """A rule about a training run does not hold."""


class KernelCacheWarning(UserWarning):
    """Compiled kernels cannot be kept on disk."""


class PlainPathWarning(UserWarning):
    """Layers that could run as one operation run one by one, because somebody has to see each of them run."""
