"""The text of the configuration file."""

from authgw.recipes.registry import RECIPES
from authgw.recipes.rendering import templates
from authgw.setup.answers import DEFAULT_STORE, Answers

# Paths in the configuration's directory; those of users and keys are defaults of the configuration.
CONFIG_FILE = "config.yml"
STORE_PASSWORD_FILE = "secrets/store-password"  # noqa: S105  a path


def render_config(answers: Answers) -> str:
    """Return the configuration of a gateway for these answers."""
    return _ENVIRONMENT.get_template(CONFIG_FILE).render(
        proxy=answers.proxy,
        title=RECIPES[answers.proxy].proxy,
        port=answers.port,
        store=answers.store,
        default_store=DEFAULT_STORE,
        password_file=STORE_PASSWORD_FILE if answers.store.password else "",
        domain=answers.domain,
        apps=answers.apps,
    )


_ENVIRONMENT = templates("", "authgw.setup")
