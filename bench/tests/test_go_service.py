"""The Go service beside the gateway: its start, its sessions, and ratios to it."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import go_service
from bench.asking import bodies_of
from bench.gateways import bearer, lab
from bench.measure import Sample
from bench.outcome import NotMeasured
from bench.wrk import request

STAND_IN = Path(__file__).with_name("go_stand_in.py")


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def sample(cpu: float) -> Sample:
    return Sample({"gateway": cpu}, 1.0, 1.0, 2.0)


def test_without_its_binary_the_service_takes_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTHGW_BENCH_GO", raising=False)
    with lab() as made:
        assert go_service.go_service(made) is None
        monkeypatch.setenv("AUTHGW_BENCH_GO", "/nonexistent")
        with pytest.raises(NotMeasured, match="is not an executable file"):
            go_service.go_service(made)


def test_the_service_runs_in_a_directory_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = executable(tmp_path / "go", f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}"\n')
    monkeypatch.setenv("AUTHGW_BENCH_GO", str(binary))
    # As where the operator has provided the key: the binary is started as it is.
    monkeypatch.setattr(go_service, "_SECRETS", tmp_path)
    with lab() as made:
        go = go_service.go_service(made)
        assert go is not None
        assert {name: len(pids) for name, pids in go.parts.items()} == {"go": 1, "redis": 1}
        pairs = go.login(3, first=7)
        tokens = [bearer(pair["access"]) for pair in pairs]
        checks = [request("GET", "/authenticate", token) for token in tokens]
        assert sorted(bodies_of(go.port, checks)) == [
            b'{"user_id": 7}',
            b'{"user_id": 8}',
            b'{"user_id": 9}',
        ]
        bodies_of(go.port, [request("POST", "/logout", token) for token in tokens])
        with pytest.raises(NotMeasured, match="refused with 400"):
            bodies_of(go.port, checks)


def test_the_key_is_where_the_binary_looks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = executable(tmp_path / "go", "#!/bin/sh\nexec cat /run/secrets/jwt_key\n")
    monkeypatch.setattr(go_service, "_SECRETS", tmp_path / "absent")
    (tmp_path / "jwt_key").write_text("the key")
    done = subprocess.run(
        go_service._command(reader), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    if "unshare failed" in done.stderr:
        pytest.skip("this machine allows no namespaces: the operator has to provide /run/secrets")
    assert (done.stdout, done.stderr) == ("the key", "")


def test_a_ratio_needs_rounds_of_both() -> None:
    samples = {"login": [sample(3.0)], "login, Go": [sample(2.0)], "logout": [sample(1.0)]}
    assert go_service.x_go(samples, "login") == 1.5
    assert go_service.x_go(samples, "logout") is None
    assert go_service.parts_of(samples)[-1] == "go"
    assert "go" not in go_service.parts_of({"login": []})
