"""Dashboard, alert rules and manual compared with the metrics of a real gateway, by promtool."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import ROOT, ask, free_port, two_replicas

FOLDER = ROOT / "examples" / "grafana"
ALERTS = FOLDER / "alerts.yml"
MANUAL = ROOT / "docs" / "reference" / "metrics.md"
_NAMES = re.compile(r"\bauthgw_[a-z_]+\b")
_SUFFIX = re.compile(r"_(bucket|count|sum)$")
_ROW = re.compile(r"^\| `(authgw_\w+)` \|([^|]*)\|", re.MULTILINE)


def promtool(*words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is missing: apt-get install prometheus")
    return subprocess.run(
        [program, *words], input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[tuple[str, str]]:
    """Return the metrics of a gateway on Redis before and after a login and a check."""
    folder, port = tmp_path_factory.mktemp("metrics") / "gateway", free_port()
    gateway, _ = two_replicas(folder, f"{redis_url.removesuffix('/0')}/3")
    gateway.environ |= {"AUTHGW_METRICS__PORT": str(port), **with_provider(folder)}
    gateway.start()
    try:
        gateway.wait_until_ready()
        before = ask(port, "GET", "/metrics").body.decode()
        bearer = {"Authorization": f"Bearer {gateway.login()['access']}"}
        assert ask(gateway.port, "GET", "/authenticate", bearer).status == 200
        yield before, ask(port, "GET", "/metrics").body.decode()
    finally:
        gateway.stop()


@pytest.fixture(scope="module")
def page(pages: tuple[str, str]) -> str:
    """Return the metrics page after a login and a check."""
    return pages[1]


def with_provider(folder: Path) -> dict[str, str]:
    """Return variables of an identity provider, whose metrics do not exist without one."""
    secret = folder / "secrets" / "company"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text("a client secret\n")
    secret.chmod(0o600)
    provider = {
        "issuer": "http://localhost:1",
        "client_id": "authgw",
        "client_secret_file": str(secret),
        "accept": "linked",
    }
    return {
        "AUTHGW_LOGIN__URL": "http://localhost:4000/login",
        "AUTHGW_LOGIN__PROVIDERS": json.dumps({"company": provider}),
    }


def labels_by_metric(page: str) -> dict[str, set[str]]:
    """Return the labels of every authgw metric by the name that queries use."""
    metrics: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        if family.name.startswith("authgw_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels}
            metrics[name] = labels - {"le"}
    return metrics


def described() -> dict[str, set[str]]:
    rows = _ROW.findall(MANUAL.read_text())
    assert len(rows) == len({name for name, _ in rows})
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def queries() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "1m").replace("$job", "authgw")


def dashboard() -> Any:
    return json.loads((FOLDER / "dashboard.json").read_text())


def test_promtool_accepts_the_metrics_page(page: str) -> None:
    output = promtool("check", "metrics", stdin=page)
    assert (output.returncode, output.stdout, output.stderr) == (0, "", "")


def test_the_manual_describes_every_metric_and_no_other(page: str) -> None:
    assert set(labels_by_metric(page)) == set(described())
    for name, labels in labels_by_metric(page).items():
        assert labels in (set(), described()[name]), name


def test_allowed_decisions_are_exported_from_zero(pages: tuple[str, str]) -> None:
    for page, number in zip(pages, ("0.0", "1.0"), strict=True):
        lines = page.splitlines()
        assert f'authgw_decisions_total{{reason="",verdict="allow"}} {number}' in lines
        checks = 'authgw_requests_total{endpoint="/authenticate",status="200"}'
        assert f"{checks} {number}" in lines


def test_the_alert_rules_are_valid() -> None:
    output = promtool("check", "rules", str(ALERTS))
    assert output.returncode == 0, output.stdout + output.stderr


def test_the_alert_rules_fire_only_on_their_condition() -> None:
    output = promtool("test", "rules", str(Path(__file__).with_name("alerts.test.yml")))
    assert output.returncode == 0, output.stdout + output.stderr


def test_the_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries())]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    output = promtool("check", "rules", str(file))
    assert output.returncode == 0, output.stdout + output.stderr


def test_every_metric_of_dashboard_and_rules_exists(page: str) -> None:
    names = set(_NAMES.findall(ALERTS.read_text() + " ".join(queries())))
    assert len(names) > 20
    assert {_SUFFIX.sub("", name) for name in names} <= set(labels_by_metric(page))


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = set(
            product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
