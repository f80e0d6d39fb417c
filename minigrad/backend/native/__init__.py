"""Kernels for the CPU, compiled by Numba: faster implementations of operations, each held by a test to its plain twin."""
