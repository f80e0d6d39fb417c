"""Checks of the gradients of any function, and of every promise of an operation, yours included."""

from minigrad.testing.checked import GradcheckError
from minigrad.testing.gradients import gradcheck, gradgradcheck
from minigrad.testing.operations import PROPERTIES, check_operation
from minigrad.testing.samples import OperationError

__all__ = ["PROPERTIES", "GradcheckError", "OperationError", "check_operation", "gradcheck", "gradgradcheck"]
