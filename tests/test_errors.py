"""How another error's message is quoted in ours."""

from bears_tl.errors import MAX_REASON_CHARACTERS, reason_of


def test_a_reason_is_one_short_line_whatever_the_error_says():
    assert reason_of(ValueError("at\n  two   lines")) == "at two lines"
    assert reason_of(EOFError()) == "EOFError"
    assert len(reason_of(ValueError("long " * 1000))) == MAX_REASON_CHARACTERS
