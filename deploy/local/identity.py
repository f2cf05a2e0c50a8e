"""Gives the local Identity its signing key: the private half into Secrets Manager, the public half into the world.

    python identity.py WORLD INBOX_URL

The stand-in of the scan page's face detector lies in the world as well.

Runs once before the services, with FACESCAN_DOMAIN and AWS's variables set. A key that is there already stays.
"""

import json
import os
import sys
from pathlib import Path
from typing import Final

import boto3

from emulators.certificates import make_authority
from emulators.face_model import write_face_model
from emulators.world import write_domain
from shared.keys import SigningKey

SELECTOR: Final = "pw1"
SECRET: Final = "facescan/signing-key"  # noqa: S105 - the name of a secret; FACESCAN_SIGNING_SECRET's default


def main(world: Path, inbox_url: str) -> None:
    """Make the world's certificate authority, the face model and this Identity's key."""
    domain = os.environ["FACESCAN_DOMAIN"]
    name = os.environ.get("FACESCAN_SIGNING_SECRET", SECRET)
    make_authority(world)
    write_face_model(world / "face-model")
    secrets = boto3.client("secretsmanager")
    key = SigningKey.generate(SELECTOR)
    try:
        secrets.create_secret(
            Name=name, SecretString=json.dumps({"selector": key.selector, "private_key": key.to_pem()})
        )
    except secrets.exceptions.ResourceExistsException:
        sys.stdout.write(f"{domain} has a key already\n")
        return
    write_domain(world, domain, {key.selector: key.record}, inbox_url)
    sys.stdout.write(f"{domain} has a new key\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
