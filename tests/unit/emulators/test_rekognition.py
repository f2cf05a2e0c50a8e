from __future__ import annotations

import urllib.error
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from emulators.pictures import make_picture, read_picture
from tests.unit.emulators.clients import any_client, rekognition_client, s3_client, side_door

if TYPE_CHECKING:
    from mypy_boto3_rekognition import RekognitionClient


@pytest.fixture(scope="module")
def client(aws_url: str) -> RekognitionClient:
    return rekognition_client(aws_url)


def refusal(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


def started(client: RekognitionClient, **request: Any) -> str:
    return client.create_face_liveness_session(**request)["SessionId"]


def test_a_session_goes_from_created_over_in_progress_to_succeeded(client: RekognitionClient, aws_url: str) -> None:
    session_id = started(client, Settings={"AuditImagesLimit": 2})
    assert client.get_face_liveness_session_results(SessionId=session_id)["Status"] == "CREATED"
    order = {"session_id": session_id, "person": "alice", "confidence": 97.25}
    assert side_door(aws_url, "camera", order | {"status": "IN_PROGRESS"})[0] == 200
    assert client.get_face_liveness_session_results(SessionId=session_id)["Status"] == "IN_PROGRESS"
    assert side_door(aws_url, "camera", order)[0] == 200
    result = client.get_face_liveness_session_results(SessionId=session_id)
    assert (result["Status"], result["Confidence"]) == ("SUCCEEDED", 97.25)
    assert read_picture(result["ReferenceImage"]["Bytes"]).person == "alice"
    assert 0 < result["ReferenceImage"]["BoundingBox"]["Width"] < 1
    assert len(result["AuditImages"]) == 2
    assert result["Challenge"]["Type"] == "FaceMovementAndLightChallenge"
    assert client.get_face_liveness_session_results(SessionId=session_id)["ReferenceImage"] == result["ReferenceImage"]
    assert side_door(aws_url, "camera", order)[0] == 409


def test_a_failed_check_has_neither_confidence_nor_pictures(client: RekognitionClient, aws_url: str) -> None:
    session_id = started(client)
    side_door(aws_url, "camera", {"session_id": session_id, "person": "alice", "status": "FAILED"})
    result = client.get_face_liveness_session_results(SessionId=session_id)
    assert result["Status"] == "FAILED"
    assert not {"Confidence", "ReferenceImage", "AuditImages"} & set(result)


def test_a_check_can_succeed_without_a_reference_image(client: RekognitionClient, aws_url: str) -> None:
    session_id = started(client)
    side_door(aws_url, "camera", {"session_id": session_id, "person": "alice", "reference_image": False})
    assert "ReferenceImage" not in client.get_face_liveness_session_results(SessionId=session_id)


def test_the_same_token_gives_the_same_session(client: RekognitionClient) -> None:
    token = uuid.uuid4().hex
    first = started(client, ClientRequestToken=token)
    assert started(client, ClientRequestToken=token) == first
    assert started(client, ClientRequestToken=uuid.uuid4().hex) != first


@pytest.mark.parametrize(
    "request_",
    [{"ClientRequestToken": "a b"}, {"ClientRequestToken": "x" * 65}, {"Settings": {"AuditImagesLimit": 5}}],
)
def test_a_session_out_of_bounds_is_refused(client: RekognitionClient, request_: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        started(client, **request_)
    assert refusal(error) == "InvalidParameterException"


def test_a_session_and_its_data_vanish_three_minutes_after_creation(client: RekognitionClient, aws_url: str) -> None:
    session_id = started(client)
    side_door(aws_url, "camera", {"session_id": session_id, "person": "alice"})
    side_door(aws_url, "clock", {"advance_seconds": 175})
    assert client.get_face_liveness_session_results(SessionId=session_id)["Status"] == "SUCCEEDED"
    side_door(aws_url, "clock", {"advance_seconds": 6})
    result = client.get_face_liveness_session_results(SessionId=session_id)
    assert result["Status"] == "EXPIRED"
    assert not {"Confidence", "ReferenceImage"} & set(result)
    assert side_door(aws_url, "camera", {"session_id": session_id, "person": "alice"})[0] == 409
    side_door(aws_url, "clock", {"advance_seconds": 600})
    with pytest.raises(client.exceptions.SessionNotFoundException):
        client.get_face_liveness_session_results(SessionId=session_id)
    assert side_door(aws_url, "camera", {"session_id": session_id, "person": "alice"})[0] == 404


def test_an_output_bucket_receives_the_reference_image(client: RekognitionClient, aws_url: str) -> None:
    s3_client(aws_url).create_bucket(Bucket="selfies", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    session_id = started(client, Settings={"OutputConfig": {"S3Bucket": "selfies", "S3KeyPrefix": "in/"}})
    side_door(aws_url, "camera", {"session_id": session_id, "person": "alice"})
    reference = client.get_face_liveness_session_results(SessionId=session_id)["ReferenceImage"]
    assert "Bytes" not in reference
    key = reference["S3Object"]["Name"]
    assert read_picture(s3_client(aws_url).get_object(Bucket="selfies", Key=key)["Body"].read()).person == "alice"


def test_two_pictures_of_one_person_match_and_always_alike(client: RekognitionClient) -> None:
    source, target = make_picture("alice", variant=1), make_picture("alice", variant=2)
    answer = client.compare_faces(SourceImage={"Bytes": source}, TargetImage={"Bytes": target})
    assert 99.0 <= answer["FaceMatches"][0]["Similarity"] <= 99.9
    assert answer["UnmatchedFaces"] == []
    assert answer["SourceImageFace"]["Confidence"] > 99
    again = client.compare_faces(SourceImage={"Bytes": source}, TargetImage={"Bytes": target})
    assert again["FaceMatches"] == answer["FaceMatches"]


def test_two_persons_do_not_match_unless_everything_does(client: RekognitionClient) -> None:
    images: Any = {
        "SourceImage": {"Bytes": make_picture("alice")},
        "TargetImage": {"Bytes": make_picture("bob")},
    }
    answer = client.compare_faces(**images)
    assert (len(answer["FaceMatches"]), len(answer["UnmatchedFaces"])) == (0, 1)
    answer = client.compare_faces(**images, SimilarityThreshold=0, QualityFilter="AUTO")
    assert answer["FaceMatches"][0]["Similarity"] <= 20


def test_every_face_of_the_target_is_reported(client: RekognitionClient) -> None:
    answer = client.compare_faces(
        SourceImage={"Bytes": make_picture("alice", faces=3)}, TargetImage={"Bytes": make_picture("alice", faces=3)}
    )
    assert (len(answer["FaceMatches"]), len(answer["UnmatchedFaces"])) == (1, 2)


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({"Bytes": make_picture("alice", faces=0)}, "InvalidParameterException"),
        ({"Bytes": b"\xff\xd8\xff\xe0" + bytes(50)}, "InvalidParameterException"),
        ({"Bytes": b"GIF89a" + bytes(50)}, "InvalidImageFormatException"),
        ({"Bytes": bytes(5 * 1024 * 1024 + 1)}, "ImageTooLargeException"),
        ({"S3Object": {"Bucket": "nowhere", "Name": "x"}}, "InvalidS3ObjectException"),
        ({}, "InvalidParameterException"),
    ],
)
def test_an_image_that_cannot_be_compared_is_refused(client: RekognitionClient, target: Any, code: str) -> None:
    with pytest.raises(ClientError) as error:
        client.compare_faces(SourceImage={"Bytes": make_picture("alice")}, TargetImage=target)
    assert refusal(error) == code


def test_a_version_of_an_object_is_compared_not_the_newest(client: RekognitionClient, aws_url: str) -> None:
    s3 = s3_client(aws_url)
    s3.create_bucket(Bucket="photos", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="photos", Key="legal", Body=make_picture("alice"))["VersionId"]
    s3.put_object(Bucket="photos", Key="legal", Body=make_picture("mallory"))

    def matches(**version: str) -> int:
        target: Any = {"S3Object": {"Bucket": "photos", "Name": "legal", **version}}
        answer = client.compare_faces(SourceImage={"Bytes": make_picture("alice", variant=5)}, TargetImage=target)
        return len(answer["FaceMatches"])

    assert matches() == 0
    assert matches(Version=first) == 1
    s3.delete_object(Bucket="photos", Key="legal", VersionId=first)
    for version in ({"Version": first}, {"Version": "never"}):
        with pytest.raises(client.exceptions.InvalidS3ObjectException):
            matches(**version)


def test_detect_faces_tells_attributes_only_when_asked(client: RekognitionClient) -> None:
    plain = client.detect_faces(Image={"Bytes": make_picture("alice", faces=2)})["FaceDetails"]
    assert len(plain) == 2
    assert {"BoundingBox", "Confidence", "Pose", "Quality"} <= set(plain[0])
    assert "EyesOpen" not in plain[0]
    full = client.detect_faces(Image={"Bytes": make_picture("alice")}, Attributes=["ALL"])["FaceDetails"][0]
    assert full["FaceOccluded"]["Value"] is False
    assert full["EyesOpen"]["Value"] is True
    assert client.detect_faces(Image={"Bytes": b"\xff\xd8\xff\xe0"})["FaceDetails"] == []


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("ProvisionedThroughputExceededException", 400),
        ("InternalServerError", 500),
        ("AccessDeniedException", 400),
    ],
)
def test_ordered_errors_come_as_often_as_ordered(
    client: RekognitionClient, aws_url: str, code: str, status: int
) -> None:
    side_door(aws_url, "errors", {"operation": "DetectFaces", "error": code, "count": 2})
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            client.detect_faces(Image={"Bytes": make_picture("alice")})
        assert refusal(error) == code
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert error.value.response["ResponseMetadata"]["RequestId"]
    assert client.detect_faces(Image={"Bytes": make_picture("alice")})["FaceDetails"]


def test_an_operation_that_is_not_emulated_is_unknown(client: RekognitionClient) -> None:
    with pytest.raises(ClientError) as error:
        client.list_collections()
    assert refusal(error) == "UnknownOperationException"


def test_no_way_leads_to_a_comparison_that_matches_anything(aws_url: str) -> None:
    for path in ("/", "/rekognition_us-east-1/"):
        request = urllib.request.Request(f"{aws_url}{path}", data=b"Action=CompareFaces&Version=2016-06-27")
        request.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/rekognition/aws4_request")
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request)
        assert b"UnknownOperationException" in error.value.read()


@pytest.mark.parametrize(
    ("door", "order", "status"),
    [
        ("camera", {"person": "alice"}, 400),
        ("camera", {"session_id": "x", "person": "alice", "confidence": 101}, 400),
        ("camera", {"session_id": "x", "person": "alice"}, 404),
        ("clock", {"advance_seconds": "ten"}, 400),
        ("errors", {"operation": "DetectFaces", "error": "Nonsense"}, 400),
        ("window", {}, 404),
    ],
)
def test_a_bad_order_to_a_side_door_is_explained_in_one_line(
    aws_url: str, door: str, order: dict[str, Any], status: int
) -> None:
    answered, body = side_door(aws_url, door, order)
    assert answered == status
    assert body["error"]
    assert "\n" not in body["error"]


def test_the_sessions_can_be_listed(client: RekognitionClient, aws_url: str) -> None:
    session_id = started(client)
    assert session_id in {session["session_id"] for session in side_door(aws_url, "sessions")[1]}


def test_a_client_of_any_region_sees_the_same_service(aws_url: str) -> None:
    assert any_client("rekognition", aws_url).create_face_liveness_session()["SessionId"]
