"""`python -m ahl` is the `ahl` command."""

from ahl.cli import main

main(prog_name="ahl")
