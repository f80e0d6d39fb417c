"""The networks of the comparison, once for each library, and the processes they run in.

`workloads` writes a network down: its layers (a plan) and its weights. Every `*_steps` module builds it from there, so
that all run the same network from the same weights. `worker` is the program of a contestant's process, `process` the
other end of its pipes, `contestants` the list of who takes part. What runs inside a contestant's process needs Python
3.8 and NumPy only, since some peers live in an old environment.
"""
