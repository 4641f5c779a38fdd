"""The search for secrets in logs finds them; without this, its silence would be meaningless."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.leaks import LEAST, leaked

pytestmark = pytest.mark.alone

_TEXTS = st.text("ab", min_size=LEAST, max_size=LEAST + 3)


@given(st.sets(_TEXTS), st.lists(_TEXTS))
def test_only_secrets_that_are_present_are_found(secrets: set[str], words: list[str]) -> None:
    written = "".join(words)
    assert leaked(secrets, written) == {secret for secret in secrets if secret in written}


def test_a_secret_at_the_end_is_found_and_a_short_value_is_not() -> None:
    whole, short = "x" * LEAST, "y" * (LEAST - 1)
    assert leaked([whole, short], f"{short} and {whole}") == {whole}
    assert leaked([whole, short], f"{whole} and {short}") == {whole}
