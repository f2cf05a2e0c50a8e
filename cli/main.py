"""The ``facescan`` command."""

import click

from cli.commands import Commands


@click.group(
    cls=Commands,
    lazy={
        "demo": ("cli.demo:demo", "Six verifications at once, shown live; needs nothing else."),
        "scan": ("cli.scan:scan", "Be verified by your own camera, on the system that is up."),
        "up": ("cli.up:up", "Run the embedded system until interrupted."),
        "run": ("cli.run:run", "Run one service."),
        "enrol": ("cli.enrol:enrol", "Register a person's photo and wallet; print a locator."),
        "factor": ("cli.factor:factor", "Enrol what a person can be asked besides the face."),
        "erase": ("cli.erase:erase", "Forget a person, everywhere."),
        "export": ("cli.export:export", "Write a person's own copy of what is held."),
        "audit": ("cli.audit:audit", "Check or export the audit trail."),
        "retention": ("cli.retention:retention", "Remove what has had its time."),
        "locators": ("cli.locators:locators", "Issue, list and revoke the keys that lead to persons."),
        "wallet": ("cli.wallet:wallet", "Register or revoke the key of a wallet that signs messages."),
        "clients": ("cli.clients:clients", "Make, list, rotate and remove the clients of the gateway."),
        "send": ("cli.send:send", "Sign a message and post it to an inbox."),
        "inbox": ("cli.inbox:inbox", "Say what the inbox would do with a message."),
        "publish": ("cli.publish:publish", "Publish an event on Kafka."),
        "watch": ("cli.watch:watch", "Show what happens, live, from the topics."),
        "keys": ("cli.keys:keys", "List, rotate, retire or import the signing keys."),
        "dns": ("cli.dns_records:dns", "Print our DNS records, or check what the world sees of them."),
        "dead": ("cli.dead:dead", "List, show, replay or drop dead letters."),
        "topics": ("cli.topics:topics", "Create or list the Kafka topics."),
        "tables": ("cli.tables:tables", "Create the DynamoDB tables and the S3 bucket."),
    },
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Verify that a person is alive, and the owner of an identity locator.

    \b
    A first look:
      facescan demo                 six verifications, start to end, in half a minute
      facescan up                   the whole system on this machine, and a page to try it; in another terminal:
      facescan watch                what happens in it

    Where Kafka, AWS and the inbox are, commands read from .facescan/system.json while `facescan up` runs in this
    folder, else from the variables FACESCAN_* and AWS_*. Every command takes --json.
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


if __name__ == "__main__":
    main()
