"""``python -m derivcheck``: the command."""

from derivcheck.cli import main

main()
