"""`python -m workers` is `dli`."""

from workers.cli import main

main()
