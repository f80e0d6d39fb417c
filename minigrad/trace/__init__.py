"""Observers of operations."""

from minigrad.trace.profile import Profile, profile

__all__ = ["Profile", "profile"]
