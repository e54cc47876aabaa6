"""Runs a command that ends when its parent ends: `python child_process.py PARENT COMMAND…`.

Run as a separate file, without imports: it asks the system for SIGTERM at its parent's death and then becomes the
command. Only Linux supports this; elsewhere the command runs normally.
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
        if os.getppid() != int(parent):  # the parent died before the request
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 (our own arguments, no shell)


if __name__ == "__main__":
    main()
