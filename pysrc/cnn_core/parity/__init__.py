"""Compare both backends on this machine: ``python -m cnn_core.parity``.

Every kernel, at every ISA level that this processor has, in float32 and float64, and a short
training of three networks. Each level runs in a process of its own, so that one that crashes is a
line of the report. A line shows the largest difference between the compiled and the NumPy backend,
the tolerance at that value, and how many times as fast the compiled one is. The exit status is 1 if
a tolerance is exceeded or a level does not run.

It needs NumPy alone. `cnn_core.tolerances` says where each tolerance comes from.
"""
