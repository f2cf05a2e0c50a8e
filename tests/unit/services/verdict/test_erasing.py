"""A person who wants to be forgotten: nothing is left in any store, and the rest stays as it is."""

import base64
import json
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from emulators.pictures import make_picture
from services.verdict.announcing import Announcing
from services.verdict.auditing import Auditing
from services.verdict.erasing import Erasing
from services.verdict.evidence import EvidenceStore
from services.verdict.history import History, Remembered
from services.verdict.policy import Past
from shared.audit_check import ChainCheck, stored_lines
from shared.deleter import Deleter
from shared.enrolled_factors import EnrolledFactors
from shared.erasure import Erasure
from shared.events import Outcome, PersonErasureRequested, VerdictReached, utc_text
from shared.holdings import PERSONAL, Holdings
from shared.liveness import Finding, Result
from shared.locators import NOBODY, Issue, Locators
from shared.person_export import PersonExport
from shared.person_keys import NoDataKeyError, PersonKeys
from shared.registered_keys import RegisteredKeys
from shared.retention import DAY_SECONDS, HOUR_SECONDS, RetentionSettings
from shared.stores import Put
from shared.tables import TABLES
from shared.verification import Attempt, State, Verification
from shared.verifications import Verifications
from shared.verified_codes import VerifiedCodes
from tests.support.emulated_aws import Emulated
from tests.support.received import received
from tests.support.recording import RecordingPublisher
from tests.support.store_search import found_in_stores
from tests.support.store_search import held as held_in


@dataclass
class Planted:
    """A person of whom something is held everywhere, by words that stand nowhere else."""

    emulated: Emulated
    person: str = field(default_factory=lambda: f"person-{uuid.uuid4().hex}")
    locator: str = field(default_factory=lambda: f"locator-{uuid.uuid4().hex}")
    wallet_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    code: str = field(default_factory=lambda: f"passport-{uuid.uuid4().hex}")
    device: str = field(default_factory=lambda: f"device-{uuid.uuid4().hex}")
    verification_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    session: str = field(default_factory=lambda: str(uuid.uuid4()))
    now: int = field(default_factory=lambda: int(time.time()))

    @property
    def marks(self) -> dict[str, bytes]:
        """What is searched for. The picture's own bytes hold the person's name."""
        words = (self.person, self.locator, self.wallet_id, self.code, self.device, self.verification_id, self.session)
        pixels = make_picture(self.person)[-60:]
        return {word: word.encode() for word in words} | {"picture": pixels}

    async def plant(self, *, state: State = State.CAPTURED) -> None:
        emulated = self.emulated
        now, picture = self.now, make_picture(self.person)
        await emulated.photos.save(self.person, make_picture(self.person, variant=7))  # replaced below
        photo = await emulated.photos.save(self.person, picture)
        from shared.people import Person  # noqa: PLC0415

        await emulated.people.save(Person(self.person, "wallet.example", self.wallet_id, photo))
        until = datetime.fromtimestamp(now + 86_400, UTC)
        await emulated.people.issue(self.locator, self.person, until)
        await Locators(emulated.tables).issue(
            Issue("shop.example", self.locator, self.person, until), datetime.now(UTC)
        )
        history = History(emulated.tables, 365).add(self.person, Remembered(), Past(now, success=True))
        assert isinstance(history, Put)
        await emulated.tables.put(history)
        await RegisteredKeys(emulated.tables).register(self.wallet_id, "v=DKIM1;k=ed25519;p=AAAA")
        factors = EnrolledFactors(emulated.tables, emulated.queries, emulated.keys)
        await factors.enrol_code(self.person)
        await factors.enrol_question(self.person, "first-pet", self.code)
        await VerifiedCodes(emulated.tables, emulated.queries, emulated.keys).save(self.person, "passport", self.code)
        verification = Verification(
            verification_id=self.verification_id, state=State.OPENED, locator=self.locator, expires_at=now + 600,
            created_at=now, requester="shop.example", generation="nlweb", correlation="c-1", person=self.person,
            wallet_domain="wallet.example", wallet_id=self.wallet_id, photo_key=photo.key,
            photo_version=photo.version, photo_sha256=photo.sha256, browser=self.device, forget_at=now + 900,
        )  # fmt: skip
        verifications = Verifications(emulated.tables)
        await verifications.create(verification)
        attempt = Attempt(
            verification_id=self.verification_id, attempt=1, provider="rekognition", provider_session_id=self.session,
            created_at=now, expires_at=now + 165, person=self.person, photo_key=photo.key, photo_version=photo.version,
            photo_sha256=photo.sha256, locator=self.locator, forget_at=now + 900, consent_version="7",
            consent_language="de",
        )  # fmt: skip
        await verifications.begin(attempt)
        await verifications.capture(self.verification_id, self.device)
        await EvidenceStore(emulated.aws, emulated.settings.bucket, emulated.keys).save(
            attempt, Result(Finding.LIVE, picture)
        )
        if state in (State.DECIDED, State.ANNOUNCED):
            found = await verifications.get(self.verification_id)
            assert found is not None
            await verifications.decide(found, Outcome.SUCCESS, datetime.now(UTC), attempt)


@pytest.fixture
async def planted(emulated: Emulated) -> Planted:
    planted = Planted(emulated)
    await planted.plant()
    return planted


@pytest.fixture
def erasing(emulated: Emulated, publisher: RecordingPublisher) -> Erasing:
    verifications = Verifications(emulated.tables)
    return Erasing(
        verifications=verifications,
        queries=emulated.queries,
        announcing=Announcing(
            verifications=verifications,
            publisher=publisher,
            auditing=Auditing(verifications, emulated.trail),
            close_subject="ClosePopup@Wallet",
            answer_subject="LocatorVerified@Domain",
            answer_seconds=600.0,
        ),
        erasure=Erasure(emulated.aws, emulated.tables, emulated.keys, emulated.settings),
        audit=emulated.trail,
        clock=lambda: datetime.now(UTC),
    )


def holdings(emulated: Emulated) -> Holdings:
    return Holdings(emulated.aws, emulated.tables, emulated.settings)


async def test_every_store_holds_something_of_a_planted_person_and_nothing_after_the_erasure(
    emulated: Emulated, planted: Planted, erasing: Erasing
) -> None:
    """Every table and every version of every object is searched; what names nobody may stay in the audit trail."""
    other = Planted(emulated)
    await other.plant()
    shown = base64.b64encode(b"x" + make_picture(planted.person))
    assert held_in(shown, planted.marks) == {"picture", planted.person}, "the search finds what lies in the open"
    before = found_in_stores(emulated, planted.marks)
    assert {mark.partition("-")[0] for mark, places in before.items() if places} >= {"person", "locator", "device"}
    assert all(before[mark] for mark in (planted.wallet_id, planted.verification_id, planted.session))
    assert not before[planted.code], "a code lies in the open"
    assert not before["picture"], "a picture lies in the open"
    held = (await holdings(emulated).find(planted.person)).counts
    # Nothing is decided yet.
    assert {store for store, count in held.items() if not count} == {
        "dynamodb verdicts",
        "s3 of the provider",
    }

    await erasing.on_requested(received(PersonErasureRequested(person=planted.person)))
    after = {mark: places for mark, places in found_in_stores(emulated, planted.marks).items() if places}
    assert {place for places in after.values() for place in places} <= {"dynamodb audit"}
    assert after.keys() <= {planted.verification_id}
    assert not await holdings(emulated).find(planted.person)
    with pytest.raises(NoDataKeyError):
        await emulated.keys.get(planted.person)
    assert (await holdings(emulated).find(other.person)).counts == held


async def test_whoever_waits_for_a_person_who_is_erased_is_told_that_there_is_no_answer(
    planted: Planted, erasing: Erasing, publisher: RecordingPublisher
) -> None:
    await erasing.on_requested(received(PersonErasureRequested(person=planted.person)))
    verdicts = [sent.data for sent in publisher.of(VerdictReached)]
    assert [(one.verification_id, one.outcome) for one in verdicts if isinstance(one, VerdictReached)] == [
        (planted.verification_id, Outcome.ERROR)
    ]


async def test_an_erasure_leaves_lines_that_say_how_much_was_removed_and_of_nobody(
    emulated: Emulated, planted: Planted, erasing: Erasing
) -> None:
    await erasing.on_requested(received(PersonErasureRequested(person=planted.person)))
    check, lines = ChainCheck(), []
    async for chain, sequence, line in stored_lines(emulated.queries):
        check.add(line, chain=chain, sequence=sequence)
        lines.append(json.loads(line))
    assert check.problem is None
    (verdict,) = (one for one in lines if one["facts"].get("verification_id") == planted.verification_id)
    assert verdict["facts"] == {
        "verification_id": planted.verification_id, "requester": "shop.example", "outcome": "error", "attempts": 1,
        "provider": "rekognition", "consent_version": "7", "consent_language": "de",
        "consented_at": utc_text(datetime.fromtimestamp(planted.now, UTC)),
    }  # fmt: skip
    erased = [one["facts"] for one in lines if one["kind"] == "person.erased"][-1]
    assert erased["ground"] == "request"
    assert erased["s3_legal_photos"] == 2


async def test_an_event_that_comes_again_does_not_erase_a_person_who_was_enrolled_anew(
    emulated: Emulated, planted: Planted, erasing: Erasing
) -> None:
    event = received(PersonErasureRequested(person=planted.person))
    await erasing.on_requested(event)
    photo = await emulated.photos.save(planted.person, make_picture(planted.person))
    await erasing.on_requested(event)
    assert await emulated.photos.read(planted.person, photo) == make_picture(planted.person)
    await erasing.on_requested(received(PersonErasureRequested(person=planted.person), id="another request"))
    assert not await holdings(emulated).find(planted.person)


async def test_a_copy_in_a_backup_is_closed_by_the_erasure_of_the_key(
    emulated: Emulated, planted: Planted, erasing: Erasing
) -> None:
    """Whoever restores objects and tables, and enrols the person again, still has no picture."""
    found = await holdings(emulated).find(planted.person)
    s3, bucket = emulated.aws.client("s3"), emulated.settings.bucket
    copies = {
        one.key: s3.get_object(Bucket=bucket, Key=one.key, VersionId=one.version)["Body"].read()
        for one in found.objects
    }
    await erasing.on_requested(received(PersonErasureRequested(person=planted.person)))
    keys = PersonKeys(emulated.aws, emulated.tables, emulated.settings)
    await keys.create(planted.person)
    for key, copy in copies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=copy)
    document = await PersonExport(emulated.aws, emulated.tables, keys, emulated.settings).gather(planted.person)
    assert document is not None
    assert [one.get("sealed") for one in document["pictures"]] == [True]  # the evidence has no record any more
    await erasing.on_requested(received(PersonErasureRequested(person=planted.person), id="the restored ones"))


async def test_an_erasure_that_was_interrupted_anywhere_is_finished_by_its_repeat(
    emulated: Emulated, planted: Planted, erasing: Erasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each removal in turn is the last one before the crash; the repeat still finds what is left."""
    event = received(PersonErasureRequested(person=planted.person))
    delete, left = emulated.tables.delete, [0]

    async def dying(table: str, key: Any) -> None:
        if left[0] == 0:
            raise _CrashError
        left[0] -= 1
        await delete(table, key)

    monkeypatch.setattr(emulated.tables, "delete", dying)
    for allowed in range(40):
        left[0] = allowed % 3
        try:
            await erasing.on_requested(event)
        except _CrashError:
            continue
        break
    else:
        pytest.fail("it never ends")
    left[0] = 1000
    assert {place for places in found_in_stores(emulated, planted.marks).values() for place in places} <= {
        "dynamodb audit"
    }


class _CrashError(Exception):
    pass


def test_every_table_is_either_personal_or_known_to_hold_nobody() -> None:
    """A new table must say how an erasure finds a person in it, or why it need not."""
    reached_through_others = {"attempts", "verdicts", "registered-keys"}
    # Of whom failures are counted there is a keyed hash that only the session service can make, for two days at most.
    # What was asked over HTTP is under the verification's id, which leads to nobody once its record is gone.
    hold_nobody = {"claims", "turns", "failures", "dead-letters", "audit", "audit-entries", "leases", "asked-over-http"}
    personal = {spec.name for spec in PERSONAL}
    assert {spec.name for spec in TABLES} == personal | reached_through_others | hold_nobody


# -- a person's own copy ---------------------------------------------------------------------------------------------


async def test_a_person_s_own_copy_has_everything_opened(emulated: Emulated, planted: Planted) -> None:
    keys = PersonKeys(emulated.aws, emulated.tables, emulated.settings)
    document = await PersonExport(emulated.aws, emulated.tables, keys, emulated.settings).gather(planted.person)
    assert document is not None
    text = json.dumps(document)
    for word in planted.marks.keys() - {"picture"}:
        assert word in text
    assert document["verified_codes"] == {"passport": planted.code}
    opened = [one for one in document["pictures"] if "picture" in one]
    assert len(opened) == 2  # the photo and the check's picture; the replaced photo is pinned by no record
    assert "wrapped" not in text
    assert await PersonExport(emulated.aws, emulated.tables, keys, emulated.settings).gather("nobody") is None


# -- retention -------------------------------------------------------------------------------------------------------


def deleter(emulated: Emulated, ahead_seconds: float, **settings: Any) -> Deleter:
    """A deleter whose clock is ahead."""
    chosen = RetentionSettings(table_prefix=emulated.settings.table_prefix, bucket=emulated.settings.bucket, **settings)
    erasure = Erasure(emulated.aws, emulated.tables, emulated.keys, emulated.settings)
    return Deleter(
        emulated.aws, emulated.tables, erasure, emulated.trail, chosen, clock=lambda: time.time() + ahead_seconds
    )


async def test_the_deleter_removes_nothing_before_its_time(emulated: Emulated, planted: Planted) -> None:
    held = (await holdings(emulated).find(planted.person)).counts
    await deleter(emulated, 0).run()
    assert (await holdings(emulated).find(planted.person)).counts == held


async def test_each_kind_is_removed_when_its_time_is_over_and_not_before(emulated: Emulated, planted: Planted) -> None:
    """Evidence that a crash left: hours; records: three days; replaced photos: a day; the person: with the purpose."""

    async def left() -> dict[str, int]:
        counts = (await holdings(emulated).find(planted.person)).counts
        return {name: counts[name] for name in ("s3 evidence", "s3 legal photos", "dynamodb verifications")}

    await deleter(emulated, 600).run()
    assert await left() == {"s3 evidence": 1, "s3 legal photos": 2, "dynamodb verifications": 1}
    await deleter(emulated, 901).run()
    assert await left() == {"s3 evidence": 0, "s3 legal photos": 2, "dynamodb verifications": 0}
    evidence = f"evidence/{planted.verification_id}/"
    assert emulated.versions(evidence) == 1
    await deleter(emulated, 2 * HOUR_SECONDS + 5).run()
    assert emulated.versions(evidence) == 0
    await deleter(emulated, 25 * HOUR_SECONDS).run()
    assert (await left())["s3 legal photos"] == 1
    await deleter(emulated, 30 * DAY_SECONDS).run()
    assert await holdings(emulated).find(planted.person)
    await deleter(emulated, 31 * DAY_SECONDS + 5).run()
    assert not await holdings(emulated).find(planted.person)


async def test_a_person_with_another_locator_stays_when_one_has_expired(emulated: Emulated, planted: Planted) -> None:
    later = f"locator-{uuid.uuid4().hex}"
    await emulated.people.issue(later, planted.person, datetime.fromtimestamp(planted.now + 60 * DAY_SECONDS, UTC))
    await deleter(emulated, 32 * DAY_SECONDS).run()
    found = await holdings(emulated).find(planted.person)
    assert found.items["locators"] == [{"locator": later}]
    assert found.items["persons"]


async def test_a_person_goes_thirty_days_after_the_last_locator_was_revoked(
    emulated: Emulated, planted: Planted
) -> None:
    """Not when it would have expired. A locator that leads nowhere goes by itself and takes nobody with it."""
    locators = Locators(emulated.tables)
    far = datetime.fromtimestamp(planted.now + 900 * DAY_SECONDS, UTC)
    token = uuid.uuid4().hex
    mine = await locators.issue(Issue("issuer.example", token, planted.person, far), datetime.now(UTC))
    near = datetime.fromtimestamp(planted.now + DAY_SECONDS, UTC)
    nobodys = await locators.issue(Issue("issuer.example", f"{token}2", NOBODY, near), datetime.now(UTC))
    await deleter(emulated, 32 * DAY_SECONDS).run()
    assert await locators.get(nobodys.locator) is None
    found = await holdings(emulated).find(planted.person)
    assert found.items["locators"] == [{"locator": mine.locator}]
    await locators.revoke(mine.locator)
    await deleter(emulated, 29 * DAY_SECONDS).run()
    assert await holdings(emulated).find(planted.person)
    await deleter(emulated, 30 * DAY_SECONDS + 60).run()
    assert not await holdings(emulated).find(planted.person)


async def test_a_person_nobody_has_checked_for_three_years_is_erased(emulated: Emulated, planted: Planted) -> None:
    """The most that BIPA allows, however long the locators last."""
    await emulated.people.issue(
        f"locator-{uuid.uuid4().hex}", planted.person, datetime.fromtimestamp(planted.now + 4000 * DAY_SECONDS, UTC)
    )
    await deleter(emulated, 1094 * DAY_SECONDS).run()
    assert await holdings(emulated).find(planted.person)
    await deleter(emulated, 1096 * DAY_SECONDS).run()
    assert not await holdings(emulated).find(planted.person)


async def test_a_photo_without_a_person_and_the_provider_s_own_bucket_are_cleaned_too(emulated: Emulated) -> None:
    nobody = f"person-{uuid.uuid4().hex}"
    await emulated.photos.save(nobody, make_picture(nobody))
    s3 = emulated.aws.client("s3")
    s3.create_bucket(Bucket="providers-own", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket="providers-own", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="providers-own", Key="sessions/1/reference.jpg", Body=b"x")
    s3.delete_object(Bucket="providers-own", Key="sessions/1/reference.jpg")  # leaves the version, and a marker
    s3.put_object(Bucket="providers-own", Key="another/1/reference.jpg", Body=b"x")
    removed = await deleter(emulated, 25 * HOUR_SECONDS, provider_bucket="providers-own/sessions/").run()
    assert removed["the provider's pictures"] == 2
    assert emulated.versions(f"persons/{nobody}/") == 0
    assert emulated.versions("", "providers-own") == 1


async def test_an_item_whose_time_was_put_off_stays(emulated: Emulated) -> None:
    """Between the look and the removal: the removal is conditional."""
    table = f"{emulated.settings.table_prefix}dead-letters"
    client, now = emulated.aws.client("dynamodb"), int(time.time())
    client.put_item(TableName=table, Item={"place": {"S": "a/0/1"}, "forget_at": {"N": str(now - 5)}})
    client.put_item(TableName=table, Item={"place": {"S": "a/0/2"}, "forget_at": {"N": str(now - 5)}})
    queries = emulated.queries
    plain = queries.delete_below

    async def put_off(spec: Any, key: Any, attribute: str, limit: int) -> None:
        if key == {"place": "a/0/1"}:
            client.put_item(TableName=table, Item={"place": {"S": "a/0/1"}, "forget_at": {"N": str(now + 9999)}})
        await plain(spec, key, attribute, limit)

    chosen = deleter(emulated, 0)
    chosen._queries.delete_below = put_off  # type: ignore[method-assign]
    await chosen.run()
    places = {item["place"]["S"] for item in client.scan(TableName=table)["Items"]}
    assert "a/0/1" in places
    assert "a/0/2" not in places
