"""``groupline doctor``: finds what contradicts itself or the gateways, explains it, repairs it."""

from dataclasses import asdict
from typing import Annotated, Final

import typer

from groupline.cli.output import FAILED, JsonOption, command, emit
from groupline.doctor.findings import Finding
from groupline.doctor.numbers import find_at_gateways, find_in_database, repair
from groupline.journal import Actor
from groupline.numbers.context import Context
from groupline.runtime import open_runtime
from groupline.settings import load_settings

_DOCTOR: Final = Actor("system", "Doctor")


def register(app: typer.Typer) -> None:
    app.command()(command(doctor))


async def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Do what the remedies say.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look for contradictions. Changes nothing without --fix. Exit code 1 if any are left."""
    async with open_runtime(load_settings()) as runtime:
        context = Context.of(runtime)
        async with runtime.database.reading() as session:
            findings = await find_in_database(session, runtime.clock.now())
        findings += await find_at_gateways(context)
        repaired = await repair(context, findings, actor=_DOCTOR) if fix else []
    emit(
        {
            "findings": [asdict(each) for each in findings],
            "repaired": [asdict(each) for each in repaired],
        },
        as_json=as_json,
        line="\n".join([*map(_line, findings), _summary(findings, repaired, fix=fix)]),
    )
    if len(repaired) < len(findings):
        raise typer.Exit(FAILED)


def _line(finding: Finding) -> str:
    remedy = finding.remedy or "A person has to decide."
    return f"{finding.check}  {finding.subject} {finding.subject_id}\n  {finding.problem} {remedy}"


def _summary(findings: list[Finding], repaired: list[Finding], *, fix: bool) -> str:
    if not findings:
        return "Nothing contradicts itself."
    if fix:
        return f"{len(repaired)} of {len(findings)} repaired."
    return f"{len(findings)} found. 'groupline doctor --fix' does what the remedies say."
