"""A group of commands that are imported when they are used, and whose errors are one line each."""

import importlib
import json
import logging
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import click

from shared.errors import ConfigurationError, FacescanError

PROGRAM: Final = "facescan"
# What a shell gives to a process that ended by Ctrl-C: 128 + SIGINT.
_INTERRUPTED: Final = 130
_USAGE: Final = 2
_FAILED: Final = 1


class Failed(click.ClickException):
    """Raised when a command ends without having done its work; ``where`` is the command as it was typed."""

    def __init__(self, where: str, text: str, exit_code: int = _FAILED) -> None:
        super().__init__(f"{where}: {one_line(text)}")
        self.exit_code = exit_code  # type: ignore[misc] # click's own subclasses do so too


def one_line(text: str) -> str:
    """Return ``text`` with every run of white space as one space."""
    return " ".join(text.split())


def exit_code_of(error: FacescanError) -> int:
    """Return 2 when somebody must change a setting or an argument, else 1: the same may work later."""
    return _USAGE if isinstance(error, ConfigurationError) else _FAILED


def first_of_ours(error: BaseException) -> FacescanError | None:
    """Return the first FacescanError in an exception or in the groups that wrap it, or None."""
    if isinstance(error, FacescanError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := first_of_ours(inner))), None)
    return None


class Commands(click.Group):
    """A group whose commands are given as name → (``module:attribute``, one line of help).

    Only the command that is used is imported, so that each may import what it needs at its top.
    """

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a reader's first day."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None when there is none of that name."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        if not self._lazy:
            super().format_commands(ctx, formatter)
            return
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of ours ends in one line that begins with the command."""
        try:
            return super().invoke(ctx)
        except (FacescanError, BaseExceptionGroup) as error:
            found = first_of_ours(error)
            if found is None:
                raise
            where = f"{ctx.command_path} {ctx.invoked_subcommand or ''}".rstrip()
            raise Failed(where, str(found), exit_code_of(found)) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run as a program: errors as one line, or as ``{"error": …}`` when ``--json`` was given, on standard error."""
        arguments = list(sys.argv[1:] if args is None else args)
        # Libraries log what a command says in its own line; `facescan run` sets up real logs.
        logging.getLogger().addHandler(logging.NullHandler())
        prog_name = prog_name if prog_name and complete_var else PROGRAM
        if not standalone_mode:
            return super().main(arguments, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(arguments, prog_name, complete_var, standalone_mode=False, **extra)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else PROGRAM
            _end(f"{where}: {one_line(error.format_message())} (see: {where} --help)", arguments, _USAGE)
        except click.ClickException as error:
            _end(error.format_message(), arguments, error.exit_code)
        except click.Abort:
            _end("interrupted", arguments, _INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)


def _end(text: str, arguments: Sequence[str], exit_code: int) -> NoReturn:
    line = json.dumps({"error": text}, ensure_ascii=False) if "--json" in arguments else text
    click.echo(line, err=True)
    sys.exit(exit_code)
