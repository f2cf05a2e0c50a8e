"""Verified codes at enrolment: what is no file of codes is refused in one line that shows none of them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main


@pytest.mark.parametrize(
    "text",
    [
        "", "no json X1234567", '["X1234567"]', '{"Passport": "X1234567"}', '{"passport": 1234567}',
        '{"passport": ""}', '{"": "X1234567"}', '{"passport": "' + "X1234567" * 26 + '"}',
    ],
    ids=["empty", "no json", "a list", "a tag in capitals", "a number", "no code", "no tag", "too long"],
)  # fmt: skip
def test_what_is_no_file_of_codes_is_refused_and_no_code_is_shown(text: str, tmp_path: Path) -> None:
    codes, photo = tmp_path / "codes.json", tmp_path / "photo.png"
    codes.write_text(text)
    photo.write_bytes(b"x")
    given = ["--person", "p", "--photo", str(photo), "--wallet", "wallet.example", "--wallet-id", "w"]
    result = CliRunner().invoke(main, ["enrol", *given, "--codes", str(codes)])
    assert result.exit_code == 2
    assert "--codes" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "1234567" not in result.stderr
