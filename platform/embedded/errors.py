"""Errors of the start of the embedded stack."""


class CannotStart(Exception):
    """The stack cannot start. The message states the problem and a solution."""


class AlreadyRunning(CannotStart):
    """Another `up` already runs a stack in this folder."""
