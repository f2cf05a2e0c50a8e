"""What Rekognition's answers mean, for every status."""

import itertools

import pytest

from shared.liveness import Finding, ProviderTroubleError
from shared.liveness_rekognition import RekognitionProvider, judged
from shared.stores import Aws
from tests.unit.emulators.clients import side_door

LEAST = 80.0
PICTURE = b"picture"

SUCCEEDED = [
    # confidence, picture, finding
    (None, None, Finding.UNDECIDED),
    (None, PICTURE, Finding.UNDECIDED),
    (0.0, None, Finding.NOT_LIVE),
    (0.0, PICTURE, Finding.NOT_LIVE),
    (79.999, None, Finding.NOT_LIVE),
    (79.999, PICTURE, Finding.NOT_LIVE),
    (80.0, None, Finding.UNDECIDED),
    (80.0, b"", Finding.UNDECIDED),
    (80.0, PICTURE, Finding.LIVE),
    (100.0, None, Finding.UNDECIDED),
    (100.0, PICTURE, Finding.LIVE),
]
OTHERS = {
    "CREATED": Finding.RUNNING,
    "IN_PROGRESS": Finding.RUNNING,
    "FAILED": Finding.UNDECIDED,
    "EXPIRED": Finding.EXPIRED,
}


@pytest.mark.parametrize(("confidence", "picture", "finding"), SUCCEEDED)
def test_a_finished_analysis_is_judged_by_our_threshold_and_needs_a_picture(
    confidence: float | None, picture: bytes | None, finding: Finding
) -> None:
    assert judged("SUCCEEDED", confidence, picture, LEAST).finding is finding


def test_every_other_status_means_the_same_whatever_comes_with_it() -> None:
    for status, finding in OTHERS.items():
        for confidence, picture in itertools.product((None, 0.0, 99.9), (None, PICTURE)):
            assert judged(status, confidence, picture, LEAST).finding is finding


def test_a_status_that_nobody_knows_is_trouble_and_no_finding() -> None:
    with pytest.raises(ProviderTroubleError, match="unknown status 'DONE'"):
        judged("DONE", 99.0, PICTURE, LEAST)


@pytest.mark.parametrize("error", ["ThrottlingException", "InternalServerError", "AccessDeniedException"])
async def test_what_the_provider_cannot_do_now_is_trouble_and_never_a_finding(
    aws: Aws, aws_address: str, error: str
) -> None:
    order = {"operation": "GetFaceLivenessSessionResults", "error": error, "count": 3}  # boto3 tries three times
    side_door(f"http://{aws_address}", "errors", order)
    with pytest.raises(ProviderTroubleError, match=error):
        await RekognitionProvider(aws).result("0f0e0d0c-0b0a-4908-8706-050403020100", LEAST)
    side_door(f"http://{aws_address}", "errors", order | {"count": 0})


async def test_a_session_that_the_provider_does_not_know_has_expired(aws: Aws) -> None:
    result = await RekognitionProvider(aws).result("0f0e0d0c-0b0a-4908-8706-050403020100", LEAST)
    assert result.finding is Finding.EXPIRED


@pytest.mark.parametrize(("region", "per_second"), [("us-east-1", 25.0), ("eu-west-1", 5.0)])
def test_the_quota_is_the_region_s_unless_it_is_set(region: str, per_second: float) -> None:
    class Client:
        class meta:  # noqa: N801 - boto3's name
            region_name = region

    class Aws:
        def client(self, _service: str) -> type[Client]:
            return Client

    assert RekognitionProvider(Aws()).sessions_per_second == per_second  # type: ignore[arg-type] # all that is used
    assert RekognitionProvider(Aws(), sessions_per_second=0).sessions_per_second == 0  # type: ignore[arg-type]
