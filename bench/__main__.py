"""`python -m bench NAME`: run one benchmark; its last line of output is JSON."""

import click

from bench.authenticate import authenticate
from bench.rules import rules


@click.group()
def main() -> None:
    """Measure; nothing here passes or fails."""


main.add_command(authenticate)
main.add_command(rules)
main(prog_name="python -m bench")
