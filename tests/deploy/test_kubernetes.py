"""The Kubernetes example: its objects match the API schemas, its configuration is valid."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from authgw.config.loader import load
from tests.support.processes import ROOT

FOLDER = ROOT / "examples" / "kubernetes"
SCHEMAS = "1.32"


def objects(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def one(kind: str, name: str = "authgw", file: str = "authgw.yaml") -> dict[str, Any]:
    (found,) = (
        entry
        for entry in objects(file)
        if entry["kind"] == kind and entry["metadata"]["name"] == name
    )
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = one("Deployment")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    return dict(found)


def written(folder: Path) -> Path:
    file = folder / "config.yml"
    file.write_text(one("ConfigMap")["data"]["config.yml"])
    return file


@pytest.mark.parametrize(
    "entry",
    [*objects("authgw.yaml"), *objects("ingress.yaml")],
    ids=lambda entry: f"{entry['kind']}-{entry['metadata']['name']}",
)
def test_every_object_matches_the_api_schema(entry: dict[str, Any]) -> None:
    kubernetes_validate.validate(entry, SCHEMAS, strict=True)


def test_a_misspelt_key_is_detected() -> None:
    deployment = one("Deployment")
    deployment["spec"]["template"]["spec"]["terminationGraceSeconds"] = 30
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, SCHEMAS, strict=True)


def test_the_gateway_accepts_its_configuration(tmp_path: Path) -> None:
    loaded = load(written(tmp_path), {})
    assert not loaded.warnings
    assert not loaded.rule_warnings
    assert loaded.settings.cache.is_shared


def test_files_of_the_configuration_are_mounted(tmp_path: Path) -> None:
    loaded = load(written(tmp_path), {})
    auth, password = loaded.settings.auth, loaded.settings.cache.password_file
    mounts = [Path(mount["mountPath"]) for mount in container()["volumeMounts"]]
    for named in (auth.keys, auth.users, auth.clients, password):
        assert named is not None
        assert any(Path(named).is_relative_to(mount) for mount in mounts), named
    assert f"{mounts[0]}/config.yml" in container()["args"]


def test_ports_are_those_of_the_configuration(tmp_path: Path) -> None:
    settings = load(written(tmp_path), {}).settings
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert ports == {"http": settings.server.port, "metrics": settings.metrics.port}
    policy = one("NetworkPolicy")["spec"]["ingress"]
    assert [rule["ports"][0]["port"] for rule in policy] == list(ports.values())


def test_a_pod_is_not_killed_while_it_drains(tmp_path: Path) -> None:
    drain = load(written(tmp_path), {}).settings.server.drain
    assert pod()["terminationGracePeriodSeconds"] > drain


def test_every_identity_header_is_replaced(tmp_path: Path) -> None:
    names = load(written(tmp_path), {}).settings.headers.model_dump().values()
    annotations = one("Ingress", "app", "ingress.yaml")["metadata"]["annotations"]
    listed = annotations["nginx.ingress.kubernetes.io/auth-response-headers"]
    assert listed.split(", ") == list(names)


def test_the_ingress_publishes_no_internal_path() -> None:
    rules = one("Ingress", file="ingress.yaml")["spec"]["rules"]
    paths = [path for rule in rules for path in rule["http"]["paths"]]
    # The names of providers are part of their paths.
    assert {path["path"] for path in paths if path["pathType"] != "Exact"} == {"/login/oidc"}
    assert not [path for path in paths if path["path"].startswith(("/authenticate", "/revoke"))]
