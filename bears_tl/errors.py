"""What is raised for a user's mistake, and with which exit status a door reports it."""


class InputError(Exception):
    """Bad input. The message is one line: the value, what was expected, what to do next."""

    exit_status = 2


class NotReachableError(InputError):
    """A source that could not be reached or fetched: no network, a missing server, an expired address."""

    exit_status = 3
