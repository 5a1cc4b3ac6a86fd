"""The exit status of the commands."""

HOLDS, WRONG, BAD_INPUT, UNDECIDED = 0, 1, 2, 3
