"""`python -m ahl` is the `ahl` command."""

from ahl.apps.cli import main

main(prog_name="ahl")
