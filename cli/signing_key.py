"""The signing key of this Identity: the private half into Secrets Manager, the public half into the world."""

import json
from collections.abc import Mapping
from pathlib import Path

from cli.workbench_environment import SELECTOR, SIGNING_SECRET
from emulators.world import write_domain
from shared.keys import SigningKey
from shared.stores import Aws


def give_signing_key(aws: Aws, world: Path, environment: Mapping[str, str], inbox: str) -> None:
    """Make a key and hand it to both sides. Blocking; raises botocore's errors."""
    key = SigningKey.generate(SELECTOR)
    name = environment.get("FACESCAN_SIGNING_SECRET", SIGNING_SECRET)
    secret = json.dumps({"selector": key.selector, "private_key": key.to_pem()})
    secrets = aws.client("secretsmanager")
    try:
        secrets.create_secret(Name=name, SecretString=secret)
    except secrets.exceptions.ResourceExistsException:
        secrets.put_secret_value(SecretId=name, SecretString=secret)
    write_domain(world, environment["FACESCAN_DOMAIN"], {key.selector: key.record}, inbox)
