"""Untrusted text becomes one harmless line."""

from bears_tl.photos.open_images.attribution import plain_address, plain_text


def test_a_text_becomes_one_printable_line():
    assert plain_text(" a\n\n b\u200b\x1b[31mc ") == "a b [31mc"
    assert plain_text("x" * 300) == "x" * 300 and plain_text("x" * 301) == "x" * 297 + "..."
    assert plain_text("Bärin в лесу 熊") == "Bärin в лесу 熊"


def test_an_address_is_of_the_web_or_none():
    assert plain_address(" https://a.example/%20?b=c&d=ü(1) ") == "https://a.example/%20?b=c&d=%C3%BC%281%29"
    assert plain_address("HTTP://a.example/a b]<c>\"d'\n") == "HTTP://a.example/a%20b%5D%3Cc%3E%22d%27"
    for text in ("", "javascript:alert(1)", "data:text/html,x", "ftp://a/b", "//a/b", "https://", "https:// x", "x"):
        assert plain_address(text) == ""
