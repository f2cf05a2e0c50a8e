"""``python -m cli.playground``: the process that ``facescan up`` starts beside a system."""

from pathlib import Path

import click

from cli.playground.server import serve
from cli.system_file import read_system
from shared.errors import FacescanError


@click.command()
@click.option("--system", "file", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--port", required=True, type=click.IntRange(1, 65535))
def main(file: Path, port: int) -> None:
    """Serve the playground of the system in FILE until SIGTERM or SIGINT."""
    try:
        serve(read_system(file), port, lambda origin: click.echo(f"ready on {origin}/"))
    except (OSError, FacescanError) as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
