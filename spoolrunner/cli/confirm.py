"""Asking: only where somebody can answer."""

import sys

import click

from spoolrunner.errors import Usage


def ask(question: str, *, yes: bool) -> None:
    """Raises Usage where nobody could answer, click.Abort for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Usage("This has to be confirmed.", kind="not_confirmed", hint="Add --yes.")
    click.confirm(question, abort=True, err=True)
