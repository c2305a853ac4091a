"""Run the `ahl` command as `python -m ahl`."""

from ahl.apps.cli import main

main(prog_name="ahl")
