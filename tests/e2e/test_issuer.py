"""A change of auth.issuer while tokens and sessions of the old issuer are valid."""

from pathlib import Path

from tests.support.processes import HttpResponse, ask, authgw, make_gateway


def test_an_issuer_changes_without_ending_a_token(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path / "issuer")
    config = gateway.folder / "config.yml"

    def restarted(auth: str) -> None:
        if gateway.process is not None:
            gateway.stop()
        config.write_text(f"auth: {auth}\n")
        gateway.start()

    def check(token: str) -> HttpResponse:
        return ask(gateway.port, "GET", "/authenticate", {"Authorization": f"Bearer {token}"})

    restarted("{issuer: old.example}")
    old = gateway.login()
    restarted("{issuer: new.example}")
    assert check(old["access"]).status == 401
    restarted("{issuer: new.example, previous_issuers: [old.example]}")
    assert check(old["access"]).json()["iss"] == "old.example"
    answer = ask(gateway.port, "POST", "/refresh", body={"refresh": old["refresh"]})
    assert answer.status == 200
    new = answer.json()
    assert check(new["access"]).json()["iss"] == "new.example"
    # Tokens minted since then do not need the previous issuer.
    restarted("{issuer: new.example}")
    assert check(new["access"]).status == 200
    gateway.stop()


def test_the_environment_names_previous_issuers(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path / "environment")
    checked = authgw(
        gateway.folder, "config", "check", AUTHGW_AUTH__PREVIOUS_ISSUERS="[old.example, older]"
    )
    assert checked.returncode == 0, checked.stderr
