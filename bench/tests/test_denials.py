"""The credentials of the denials' benchmark."""

from pathlib import Path

import jwt
import pytest

from authgw.core.errors import TokenInvalidError
from authgw.core.keys import KeyRing
from authgw.core.tokens import Issuer, TokenType
from authgw.files.key_files import load_keys, make_key
from bench import denials
from bench.gateways import BenchGateway, lab
from bench.population import new_sessions


def test_a_forged_token_has_the_gateways_kid_and_a_foreign_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path / "keys", "ES256")
    own = Issuer("authgw", "authgw", KeyRing(load_keys(tmp_path / "keys"), 3600.0))
    monkeypatch.setattr(denials, "_COUNT", 2)
    with lab() as made:
        gateway = BenchGateway(0, 0, 0, tmp_path / "keys", {})
        first, second = denials._forged(made, gateway)
    assert first != second
    header, _claims, _signature = first.split(".")
    session = own.mint(next(new_sessions(1)), TokenType.ACCESS, now=0.0)
    assert header == session.partition(".")[0]
    previous = denials._with_previous_header(first)
    assert list(jwt.get_unverified_header(previous)) == ["alg", "kid", "typ"]
    for token in (first, previous):
        with pytest.raises(TokenInvalidError):
            own.verify(token, TokenType.ACCESS, now=0.0)
