"""The ground floor: ids, pointers, merge patch, time stamps, errors, limits and codecs.

Everything here is a value or a pure function over values; `kernel` imports nothing of Littoral's.
Its modules are imported one by one (`from littoral.kernel.errors import LittoralError`).

Invariant: nothing here reads a clock, a socket, a file or a random number.
"""
