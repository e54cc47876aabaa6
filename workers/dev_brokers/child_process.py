"""A program that ends when its parent does, however that one ends: `python bound.py PARENT COMMAND…`.

Run as a file of its own, before anything is imported: it asks the system for SIGTERM at its parent's death and becomes
the command. Only Linux can be asked; elsewhere the command runs as it is.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the command."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):  # it died before it could be asked for
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 (our own arguments, and no shell)


if __name__ == "__main__":
    main()
