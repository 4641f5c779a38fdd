"""`all`: every benchmark in turn, the bars, and a page of the results."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from bench import bars, docs, machine, page
from bench.outcome import Benchmark, NotMeasured, Outcome, rounded, show


def command(benchmarks: Sequence[Benchmark]) -> click.Command:
    """Return the subcommand that runs these benchmarks."""

    @click.command("all", help="Run every benchmark and hold the figures against the bars.")
    @click.option("--quick", is_flag=True, help="Short rounds, 60 s for each at most.")
    @click.option("--report", type=click.Path(path_type=Path), help="Write a page with plots.")
    @click.option("--write-readme", is_flag=True, help="Renew the figures in both READMEs.")
    def everything(quick: bool, report: Path | None, write_readme: bool) -> None:
        click.echo(machine.load_warning(), nl=False)
        outcomes, failures = _run(benchmarks, quick)
        figures = {name: outcome.figures for name, outcome in outcomes.items()}
        bars_table = bars.table(figures)
        measured = {
            "machine": machine.description(),
            "date": machine.today(),
            "quick": quick,
            "figures": figures,
        }
        docs.save(measured)
        tables = [bars_table]
        tables += [table for outcome in outcomes.values() for table in outcome.tables]
        if write_readme:
            docs.write_readme(measured, tables)
            docs.write_front(measured)
        if report is not None:
            report.write_text(page.render(measured, bars_table, outcomes))
        notes = tuple(f"{name}: {failure}" for name, failure in failures.items())
        show(Outcome({}, (bars_table,), notes))
        click.echo(json.dumps(rounded({"benchmark": "all", **measured})))
        if failures:
            sys.exit(1)

    return everything


def _run(benchmarks: Sequence[Benchmark], quick: bool) -> tuple[dict[str, Outcome], dict[str, str]]:
    outcomes: dict[str, Outcome] = {}
    failures: dict[str, str] = {}
    for benchmark in benchmarks:
        click.echo(f"== {benchmark.name}\n")
        began = time.monotonic()
        try:
            outcomes[benchmark.name] = benchmark.measure(quick)
        except NotMeasured as error:
            failures[benchmark.name] = error.message
            click.echo(error.message)
            continue
        show(outcomes[benchmark.name])
        click.echo(f"{benchmark.name} took {time.monotonic() - began:.0f} s\n")
    return outcomes, failures
