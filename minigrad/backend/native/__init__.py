"""Kernels for the CPU, compiled by Numba: faster twins of operations, each held by a test to the plain one."""
