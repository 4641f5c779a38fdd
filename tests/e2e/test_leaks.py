"""The search for secrets in logs finds them, or its silence would mean nothing."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.leaks import LEAST, leaked

_TEXTS = st.text("ab", min_size=LEAST, max_size=LEAST + 3)


@given(st.sets(_TEXTS), st.lists(_TEXTS))
def test_it_finds_what_is_there_and_nothing_else(secrets: set[str], words: list[str]) -> None:
    written = "".join(words)
    assert leaked(secrets, written) == {secret for secret in secrets if secret in written}


def test_one_at_the_very_end_is_found_and_a_short_one_is_not() -> None:
    whole, short = "x" * LEAST, "y" * (LEAST - 1)
    assert leaked([whole, short], f"{short} and {whole}") == {whole}
    assert leaked([whole, short], f"{whole} and {short}") == {whole}
