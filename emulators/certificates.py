"""The certificate authority of the world folder: `ca.pem` and `ca-key.pem`, and certificates that it issues."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CA_FILE = "ca.pem"
CA_KEY_FILE = "ca-key.pem"

_LIFETIME = datetime.timedelta(days=365)
_CLOCK_SKEW = datetime.timedelta(minutes=5)


class CertificateError(ValueError):
    """Raised when the folder holds no usable authority, or a name cannot be certified."""


def make_authority(folder: Path) -> None:
    """Write a new authority into `folder`, unless it has one."""
    if (folder / CA_FILE).exists() and (folder / CA_KEY_FILE).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "facescan emulated internet")])
    certificate = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / CA_KEY_FILE).write_bytes(_private_pem(key))
    (folder / CA_FILE).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def issue_certificate(folder: Path, names: list[str]) -> tuple[bytes, bytes]:
    """A certificate for DNS names and IP addresses, and its private key, both as PEM."""
    try:
        authority = x509.load_pem_x509_certificate((folder / CA_FILE).read_bytes())
        authority_key = serialization.load_pem_private_key((folder / CA_KEY_FILE).read_bytes(), None)
    except (OSError, ValueError) as error:
        raise CertificateError(f"no certificate authority in {folder}: {error}") from None
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{CA_KEY_FILE} holds no elliptic-curve key")
    if not names:
        raise CertificateError("a certificate needs a name")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(x509.Name([]), authority.subject, key.public_key())
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError:
        raise CertificateError(f"{name!r} is no DNS name in ASCII") from None


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@click.command()
@click.option("--world", required=True, type=click.Path(file_okay=False, path_type=Path), help="The world folder.")
@click.option("--name", "names", multiple=True, help="Also issue a certificate for these names or addresses.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write OUTPUT.pem and OUTPUT-key.pem.")
def main(world: Path, names: tuple[str, ...], output: Path | None) -> None:
    """Make the certificate authority of a world folder, and certificates of it."""
    try:
        make_authority(world)
        if names and output is None:
            raise click.UsageError("--name needs --output")
        if output is not None:
            certificate, key = issue_certificate(world, list(names))
            output.with_name(f"{output.name}.pem").write_bytes(certificate)
            output.with_name(f"{output.name}-key.pem").write_bytes(key)
    except (OSError, CertificateError) as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
