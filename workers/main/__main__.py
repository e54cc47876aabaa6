"""`python -m workers.main` is `dli`."""

from workers.main.cli import main

main()
