"""A site for each proxy: the login pages and the protected hosts, around its recipe."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from authgw.config.schema import Settings
from authgw.recipes.registry import RECIPES
from authgw.recipes.rendering import templates
from authgw.recipes.values import UNAVAILABLE_PAGE
from authgw.setup.answers import AnswerError, Answers

_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._~+@=,-]*")


@dataclass(frozen=True, slots=True)
class SiteLayout:
    """The files of a proxy's site, and the commands with which the proxy uses them.

    Attributes:
        recipe: The directory of the recipe's files, below that of the proxy.
        files: Templates of the site by the path of each file.
        plain_files: Further templates of a site without https.
        load: The command that loads the site; `{dir}` stands for the proxy's directory.
        run: The command that starts the proxy for a site without https. On Debian the PATH of a
            user lacks /usr/sbin.
        certificates: The proxy gets its certificates by itself.
    """

    recipe: str
    files: Mapping[str, str]
    load: str
    run: str
    plain_files: tuple[str, ...] = ()
    certificates: bool = False


LAYOUTS = {
    "nginx": SiteLayout(
        "authgw",
        {"conf.d/authgw.conf": "authgw.conf"},
        "sudo cp -r {dir}/authgw {dir}/conf.d /etc/nginx/ && sudo nginx -t && sudo nginx -s reload",
        "/usr/sbin/nginx -p {dir}/ -c nginx.conf -e stderr",
        plain_files=("nginx.conf",),
    ),
    "caddy": SiteLayout(
        "",
        {"Caddyfile": "Caddyfile", "authgw-sites.caddy": "authgw-sites.caddy"},
        "sudo cp {dir}/*.caddy /etc/caddy/ && "
        "echo 'import authgw-sites.caddy' | sudo tee -a /etc/caddy/Caddyfile && "
        "sudo caddy reload --config /etc/caddy/Caddyfile",
        "caddy run --config {dir}/Caddyfile",
        certificates=True,
    ),
    "traefik": SiteLayout(
        "",
        {"traefik.yml": "traefik.yml", "dynamic/apps.yml": "apps.yml"},
        "sudo traefik --configFile={dir}/traefik.yml",
        "traefik --configFile={dir}/traefik.yml",
        certificates=True,
    ),
    "haproxy": SiteLayout(
        "",
        {"site.cfg": "site.cfg"},
        "sudo cp {dir}/authgw.cfg {dir}/authgw.lua {dir}/site.cfg /etc/haproxy/ && "
        "echo CONFIG=/etc/haproxy | sudo tee -a /etc/default/haproxy && "
        "sudo systemctl restart haproxy",
        "/usr/sbin/haproxy -f {dir}/authgw.cfg -f {dir}/site.cfg",
    ),
    "envoy": SiteLayout(
        "",
        {"envoy.yaml": "envoy.yaml"},
        "sudo envoy -c {dir}/envoy.yaml",
        "envoy -c {dir}/envoy.yaml",
    ),
}


def check_directory(directory: str) -> None:
    """Check the absolute path of the installation, which the files of proxies contain.

    Raises:
        AnswerError: The path has a character that would have to be quoted.
    """
    if not _PLAIN_PATH.fullmatch(directory):
        raise AnswerError(
            f"{directory} cannot be written into the files of a proxy: choose a DIRECTORY whose "
            "path has only letters, digits and /._~+@=,-"
        )


def render_site(answers: Answers, settings: Settings, directory: str) -> dict[str, str]:
    """Render recipe and site of a proxy, and return the text of each file by its path.

    `directory` is the absolute path of the installation, below which the proxy's directory is.

    Raises:
        OperatorError: A value cannot be written into the proxy's configuration.
    """
    name, layout = answers.proxy, LAYOUTS[answers.proxy]
    recipe = RECIPES[name].render(settings)
    domain, hosts = answers.domain, answers.hosts
    values = {
        "domain": domain,
        "apps": answers.apps,
        "hosts": hosts,
        "login_has_app": any(app.host == domain.login_host for app in answers.apps),
        "directory": f"{directory}/{name}",
        "tls": certificate_path(answers, directory),
        "unavailable": UNAVAILABLE_PAGE,
    }
    own = {file: file for file in layout.plain_files} if domain.is_plain else {}
    environment = templates(name, "authgw.setup")
    site = {
        path: environment.get_template(template).render(values)
        for path, template in {**layout.files, **own}.items()
    }
    root = PurePosixPath(name)
    return {
        **{str(root / layout.recipe / path): text for path, text in recipe.items()},
        **{str(root / path): text for path, text in site.items()},
    }


def needs_certificate(answers: Answers) -> bool:
    """Return True if the operator has to bring the certificate of the site."""
    return not answers.domain.is_plain and not LAYOUTS[answers.proxy].certificates


def certificate_path(answers: Answers, directory: str) -> str:
    """Return the path of the certificate and its key, without the ends of their names."""
    return f"{directory}/tls/{answers.domain.name}"


def start_command(answers: Answers, directory: str) -> str:
    """Return the command that loads the site into the proxy."""
    layout = LAYOUTS[answers.proxy]
    command = layout.run if answers.domain.is_plain else layout.load
    return command.format(dir=shlex.quote(f"{directory}/{answers.proxy}"))
