"""`authgw client`: list, remove and rotate, and their effect on a gateway that is reloaded."""

import json
import signal
import stat
import time
from pathlib import Path

import pytest

from tests.support.processes import ISSUED, GatewayProcess, ask, authgw_here, prepare


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare(tmp_path, "client", "add", "shop", "--subjects", "cust-*", "--groups", "users,team-*")
    prepare(tmp_path, "client", "add", "blog")
    path = tmp_path / "clients.yml"
    path.write_text(path.read_text() + "  from: [10.0.0.0/8, unix]\n")
    text = path.read_text()
    limited = "  subjects: cust-*\n  except: [cust-0, '*@example.com']\n"
    path.write_text(text.replace("  subjects: cust-*\n", limited))
    return tmp_path


def test_list(folder: Path) -> None:
    assert json.loads(prepare(folder, "client", "list", "--json")) == [
        {
            "client": "shop",
            "subjects": "cust-*",
            "except": ["cust-0", "*@example.com"],
            "groups": ["users", "team-*"],
            "from": None,
        },
        {
            "client": "blog",
            "subjects": None,
            "except": [],
            "groups": [],
            "from": ["10.0.0.0/8", "unix"],
        },
    ]
    assert prepare(folder, "client", "list").splitlines() == [
        "CLIENT  SUBJECTS                             GROUPS         FROM",
        "shop    cust-* except cust-0, *@example.com  users, team-*  any address",
        "blog    -                                    -              10.0.0.0/8, unix",
    ]


def test_a_new_secret_is_printed_or_saved(folder: Path) -> None:
    printed = prepare(folder, "client", "rotate", "shop").strip()
    assert printed.startswith("shop:")
    again = json.loads(prepare(folder, "client", "rotate", "shop", "--json"))
    assert again["client"] == "shop"
    assert again["secret"] != printed.removeprefix("shop:")
    saved = prepare(folder, "client", "rotate", "shop", "--save", "shop", "--json")
    assert json.loads(saved) == {"client": "shop", "file": "shop"}
    assert (folder / "shop").read_text().startswith("shop:")
    assert stat.S_IMODE((folder / "shop").stat().st_mode) == 0o600
    before = (folder / "clients.yml").read_bytes()
    refused = authgw_here(folder, "client", "rotate", "shop", "--save", "shop")
    assert (refused.exit_code, "choose another file" in refused.stderr) == (1, True)
    assert (folder / "clients.yml").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "status", "what"),
    [
        (["remove", "bogus", "--yes"], 1, "no such client: see `authgw client list`"),
        (["remove", "shop"], 2, "no terminal for the confirmation: use --yes"),
        (["rotate", "bogus"], 1, "no such client: see `authgw client list`"),
        (["add", "shop"], 1, "the client shop exists already: choose another id"),
    ],
)
def test_refusals_change_nothing(folder: Path, words: list[str], status: int, what: str) -> None:
    before = (folder / "clients.yml").read_bytes()
    done = authgw_here(folder, "client", *words)
    assert (done.exit_code, done.stdout, what in done.stderr) == (status, "", True), done.stderr
    assert (folder / "clients.yml").read_bytes() == before


def log_in(gateway: GatewayProcess) -> int:
    return ask(gateway.port, "POST", "/login", gateway.basic, {"user_id": 1}).status


def reload_and_log_in(gateway: GatewayProcess) -> int:
    assert gateway.process is not None
    reloads = gateway.log.count("Reloaded")
    gateway.process.send_signal(signal.SIGHUP)
    for _ in range(100):
        if gateway.log.count("Reloaded") > reloads:
            break
        time.sleep(0.05)
    return log_in(gateway)


def test_a_reload_replaces_the_secret_and_removes_the_client(gateway: GatewayProcess) -> None:
    pair = gateway.login()
    new = prepare(gateway.folder, "client", "rotate", "demo").strip()
    ISSUED.add(new.partition(":")[2])
    assert log_in(gateway) == 200
    assert reload_and_log_in(gateway) == 401
    (gateway.folder / "secrets" / "demo-client").write_text(new)
    assert log_in(gateway) == 200
    prepare(gateway.folder, "client", "remove", "demo", "--yes")
    assert reload_and_log_in(gateway) == 401
    # Its sessions continue.
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    assert ask(gateway.port, "GET", "/authenticate", bearer).status == 200
