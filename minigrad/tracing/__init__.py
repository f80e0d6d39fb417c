"""Observers of operations: the trace, the profile, the detector of anomalies."""

from minigrad.tracing.nonfinite import NonFinite, detect_anomaly
from minigrad.tracing.operation_record import OperationRecord, TensorRecord, ValueRecord
from minigrad.tracing.profile import Profile, profile
from minigrad.tracing.replaying import Difference
from minigrad.tracing.statistics import Statistics
from minigrad.tracing.trace import Trace, trace
from minigrad.tracing.update_record import UpdateRecord

__all__ = [
    "Difference",
    "NonFinite",
    "OperationRecord",
    "Profile",
    "Statistics",
    "TensorRecord",
    "Trace",
    "UpdateRecord",
    "ValueRecord",
    "detect_anomaly",
    "profile",
    "trace",
]
