"""``facescan tables``: create the stores."""

import click
from botocore.exceptions import BotoCoreError, ClientError

from cli.commands import Commands
from cli.connection import open_aws, store_settings
from cli.output import emit, json_option
from shared.errors import UnavailableError
from shared.tables import create_tables


@click.group(cls=Commands)
def tables() -> None:
    """Create the DynamoDB tables and the S3 bucket of facescan."""


@tables.command()
@json_option
def create(as_json: bool) -> None:
    """Create what is missing; what exists stays as it is.

    \b
    Example:
      AWS_REGION=eu-west-1 facescan tables create
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    settings = store_settings()
    aws = open_aws(settings)
    try:
        made = create_tables(aws, settings)
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"AWS: {error}") from error
    finally:
        aws.close()
    emit({"created": made}, "\n".join(made) or "all tables are there", as_json=as_json)
