"""Replaces itself by a program that dies with its parent: ``python bound_child.py PARENT_PID PROGRAM ARGUMENT...``.

The program has a session of its own, so that a terminal's Ctrl-C reaches the parent alone, which then stops its
children in the right order: the store must outlive the requests that still write to it.

A step of its own instead of a ``preexec_fn``, because Python code between fork and exec may deadlock in a process with
threads, and the model's runtime has threads. Linux only; elsewhere the program outlives a killed parent.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Begin a session, ask for SIGKILL on the parent's death, become the program; leave if the parent has gone."""
    parent = int(sys.argv[1])
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 -- the program is ours


if __name__ == "__main__":
    main()
