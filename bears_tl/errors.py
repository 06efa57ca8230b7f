"""Errors caused by the user's input, and the exit status of the command line for each."""

MAX_REASON_CHARACTERS = 300  # messages from TensorFlow and image decoders can run to pages


class InputError(Exception):
    """Invalid input. The message is one line: the value, what was expected, what to do next."""

    exit_status = 2


class NotReachableError(InputError):
    """A source could not be reached or downloaded: no network, a missing server, an expired address."""

    exit_status = 3


class LimitError(InputError):
    """A run is finished, but its result falls short of a limit in its settings."""

    exit_status = 4


def reason_of(error: Exception | str) -> str:
    """Return an error's message on one line, cut if it is long; the name of its type if the message is empty."""
    return (" ".join(str(error).split()) or type(error).__name__)[:MAX_REASON_CHARACTERS]
