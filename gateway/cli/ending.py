"""How a command ends: 0 done, 1 refused or failed, 2 what was given cannot be used."""

DONE = 0
REFUSED = 1
UNUSABLE = 2


class UnusableInputError(Exception):
    """What was given on the command line cannot be used; the message says why."""
