"""Checking gradients of any function, and every promise of an operation. For the tests here, and for operations
of your own."""

from minigrad.testing.gradients import GradcheckError, gradcheck, gradgradcheck
from minigrad.testing.operations import PROPERTIES, check_operation
from minigrad.testing.samples import OperationError

__all__ = ["PROPERTIES", "GradcheckError", "OperationError", "check_operation", "gradcheck", "gradgradcheck"]
