"""`python -m bench NAME`: run one benchmark; its last line of output is JSON."""

import click

from bench import everything, scale
from bench.suite import BENCHMARKS


@click.group()
def main() -> None:
    """Measure on loopback, everything in one run, variants in turn."""


for benchmark in BENCHMARKS:
    main.add_command(benchmark.command())
# `scale` has further options.
main.add_command(scale.command())
main.add_command(everything.command(BENCHMARKS))
main(prog_name="python -m bench")
