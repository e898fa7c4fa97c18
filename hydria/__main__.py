"""`python -m hydria`: the `hydria` command."""

from hydria.cli import main

main()
