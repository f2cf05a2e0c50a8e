from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from emulators.certificates import CertificateError, issue_certificate, make_authority
from emulators.envelopes import public_key_txt, read_public_key
from emulators.world import World, WorldError, make_key, publish_key, write_domain

if TYPE_CHECKING:
    from pathlib import Path


def test_a_domain_exists_as_soon_as_it_is_written_and_as_long_as_its_file(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.domain("shop.example") is None
    write_domain(tmp_path, "Shop.Example", {"pw1": "v=DKIM1;p="}, "http://127.0.0.1:9000/inbox", secure=True)
    domain = world.domain("SHOP.example")
    assert domain is not None
    assert (domain.keys, domain.inbox, domain.secure) == ({"pw1": "v=DKIM1;p="}, "http://127.0.0.1:9000/inbox", True)
    write_domain(tmp_path, "shop.example", {}, secure=False)
    changed = world.domain("shop.example")
    assert changed is not None
    assert (changed.keys, changed.secure) == ({}, False)
    (tmp_path / "shop.example.json").unlink()
    assert world.domain("shop.example") is None


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"secure": "yes"}', '{"keys": {"a": 1}}', '{"keys": {"a b": ""}}', '{"dns": {"delay_seconds": -1}}'],
)
def test_a_malformed_file_is_reported_once_in_one_line_and_ignored(tmp_path: Path, content: str) -> None:
    problems: list[str] = []
    world = World(tmp_path, problems.append)
    (tmp_path / "bad.example.json").write_text(content)
    assert world.domain("bad.example") is None
    assert world.domain("bad.example") is None
    assert len(problems) == 1
    assert "bad.example.json" in problems[0]
    assert "\n" not in problems[0]


def test_the_longest_domain_encloses_a_name(tmp_path: Path) -> None:
    for name in ("example", "shop.example"):
        write_domain(tmp_path, name, {})
    world = World(tmp_path)
    found = [world.enclosing(name) for name in ("pw1._domainkey.shop.example.", "other.example", "else.where")]
    assert [domain and domain.name for domain in found] == ["shop.example", "example", None]


@pytest.mark.parametrize("name", ["", "../up", "a..b", "-a.example", "a" * 64 + ".example", "a\n"])
def test_no_file_is_written_for_what_is_no_domain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(WorldError):
        write_domain(tmp_path, name, {})
    assert World(tmp_path).domain(name) is None
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - hidden drafts count too


def test_a_new_key_gets_the_next_number_and_old_ones_stay(tmp_path: Path) -> None:
    assert publish_key(tmp_path, "shop.example", make_key(), None) == "pw1"
    assert publish_key(tmp_path, "shop.example", make_key("rsa"), None) == "pw2"
    domain = World(tmp_path).domain("shop.example")
    assert domain is not None
    assert [txt.partition(";p=")[0] for txt in domain.keys.values()] == ["v=DKIM1;k=ed25519", "v=DKIM1;k=rsa"]


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_published_key_is_the_public_half(kind: str) -> None:
    key = make_key(kind)
    assert read_public_key(public_key_txt(key)) == key.public_key()


def test_the_authority_issues_certificates_that_it_vouches_for(tmp_path: Path) -> None:
    make_authority(tmp_path)
    authority = (tmp_path / "ca.pem").read_bytes()
    make_authority(tmp_path)
    assert (tmp_path / "ca.pem").read_bytes() == authority
    certificate, _ = issue_certificate(tmp_path, ["pw.shop.example", "127.0.0.1"])
    x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    context = ssl.create_default_context(cadata=authority.decode())
    assert len(context.get_ca_certs()) >= 1


def test_without_an_authority_no_certificate_is_issued(tmp_path: Path) -> None:
    with pytest.raises(CertificateError):
        issue_certificate(tmp_path, ["shop.example"])
