"""What is raised for a user's mistake, and with which exit status a door reports it."""

MAX_REASON_CHARACTERS = 300  # messages of TensorFlow and of decoders run to pages


class InputError(Exception):
    """Bad input. The message is one line: the value, what was expected, what to do next."""

    exit_status = 2


class NotReachableError(InputError):
    """A source that could not be reached or fetched: no network, a missing server, an expired address."""

    exit_status = 3


def reason_of(error: Exception | str) -> str:
    """Give what an error says on one line, cut where it is long; its kind where it says nothing."""
    return (" ".join(str(error).split()) or type(error).__name__)[:MAX_REASON_CHARACTERS]
