"""The real world: settings, processes, sockets, clocks and disks, wired to the nodes.

Invariant: the only package that reads the environment, starts processes or opens real sockets.
"""
