"""What keeps the embedded stack from starting."""


class CannotStart(Exception):
    """The stack cannot start. The message says what is wrong and how to mend it."""


class AlreadyRunning(CannotStart):
    """Another `up` keeps a stack running in this folder."""
