"""The session service's composition root."""

import logging
from functools import partial
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from services.session.admission import Admission, Callers
from services.session.answers import Answers
from services.session.attempts import Attempts
from services.session.context import Fingerprints
from services.session.host_http import host_application
from services.session.page_api import PageApi
from services.session.page_files import PageFiles, Program, check_model, find_program
from services.session.page_headers import framed_by, program_headers
from services.session.prompting import Prompting
from services.session.prompts import prompts
from services.session.scan_page import ScanPage
from services.session.settings import SessionSettings
from services.session.tokens import Tokens
from services.session.turns import Turns
from shared.addresses import Addresses, networks
from shared.answer_box import AnswerBox
from shared.clock import now_utc
from shared.consuming import Consuming
from shared.errors import ConfigurationError
from shared.events import (
    CaptureCompleted,
    DeadlinePassed,
    PostRequested,
    ProofGiven,
    SessionCreated,
    VerificationOpened,
    VerificationRequested,
)
from shared.failure_tallies import KnownBlocks
from shared.liveness_providers import Providers, providers_from
from shared.liveness_settings import AZURE, REKOGNITION
from shared.people import People
from shared.received import event_decoder
from shared.service import Service
from shared.settings import Environment
from shared.tables import ATTEMPTS, FAILURES, LOCATORS, PERSON_KEYS, PERSONS, TURNS, VERIFICATIONS
from shared.verifications import Verifications

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from services.session.host import Host

log = logging.getLogger(__name__)

SETTINGS = SessionSettings

_TABLES = (LOCATORS, PERSONS, VERIFICATIONS, ATTEMPTS, FAILURES, TURNS)
_PLAIN = "its program (make page), FACESCAN_STREAMING_ROLE or FACESCAN_FACE_MODEL is missing"


def build(settings: SessionSettings) -> Service:
    """Put the session service together."""
    # Clients of what is not used are made when they are needed, if ever.
    uses = [name for name in (REKOGNITION,) if name in settings.providers_used]
    tables = (*_TABLES, PERSON_KEYS) if AZURE in settings.providers_used else _TABLES
    service = Service("session", settings, tables=tables, uses=uses)
    verifications = Verifications(service.tables)
    tokens = Tokens(settings.scan_token_secret.get_secret_value())
    fingerprints = Fingerprints(settings.scan_token_secret.get_secret_value())
    prompting = Prompting(
        people=People(service.tables),
        verifications=verifications,
        publisher=service.publisher,
        tokens=tokens,
        prompts=prompts(settings.popup_subject, settings.domain),
        public_url=settings.session_public_url,
        verification_seconds=settings.verification_seconds,
        clock=now_utc,
    )
    providers = providers_from(
        settings,
        service.aws,
        service.tables,
        streaming_role=settings.streaming_role,
        streaming_url=settings.development_streaming_url or "",
    )
    attempts = Attempts(
        verifications=verifications,
        publisher=service.publisher,
        providers=providers,
        turns=Turns(tables=service.tables, verifications=verifications, clock=now_utc),
        fingerprints=fingerprints,
        blocks=KnownBlocks(service.tables),
        attempt_seconds=settings.attempt_seconds,
        clock=now_utc,
    )
    answers = Answers(
        box=AnswerBox(service.aws, settings),
        verifications=verifications,
        publisher=service.publisher,
        clock=now_utc,
    )
    callers = Callers(Addresses(networks(settings.scan_trusted_proxies)), fingerprints)
    admission = Admission(tokens, settings.session_public_url, callers)
    program, headers, routes = _program(settings, service, verifications, attempts, answers, admission, providers)
    page = ScanPage(
        verifications=verifications,
        attempts=attempts,
        answers=answers,
        providers=providers,
        admission=admission,
        most_attempts=settings.most_attempts,
        clock=now_utc,
        program=program,
        program_headers=headers,
        more_routes=routes,
    )
    application: ASGIApp = page.application()
    if settings.development_framed_by is not None:
        application = framed_by(settings.development_framed_by, application)
    service.serve(application, settings.session_host, settings.session_port, variable="FACESCAN_SESSION_PORT")
    if settings.chat_port is not None:
        host = host_application(partial(_host, settings, verifications, attempts, tokens, fingerprints))
        service.serve(host, settings.chat_host, settings.chat_port, variable="FACESCAN_CHAT_PORT")
    service.read(
        Consuming(
            topic=VerificationRequested.topic,
            group="facescan.session.prompting",
            decode=event_decoder(VerificationRequested),
            publisher=service.publisher,
            handle=prompting.on_requested,
            drain_seconds=settings.drain_seconds,
        ),
        VerificationRequested,
        "Opens the pop-up and sets the deadline.",
    )
    service.writes(PostRequested, VerificationOpened, SessionCreated, CaptureCompleted, ProofGiven, DeadlinePassed)
    return service


def _host(
    settings: SessionSettings,
    verifications: Verifications,
    attempts: Attempts,
    tokens: Tokens,
    fingerprints: Fingerprints,
) -> "Host":
    # Here, because of the cryptography that it loads: an idle service has little room (ADR 7).
    from services.session.host import Host  # noqa: PLC0415

    return Host(
        verifications=verifications,
        attempts=attempts,
        tokens=tokens,
        fingerprints=fingerprints,
        domain=settings.domain,
        public_url=settings.session_public_url,
        clock=now_utc,
    )


def _program(
    settings: SessionSettings,
    service: Service,
    verifications: Verifications,
    attempts: Attempts,
    answers: Answers,
    admission: Admission,
    providers: Providers,
) -> tuple[Program | None, dict[str, str] | None, list[BaseRoute]]:
    """Return the page's program with its headers and routes, or nothing where a part of it is missing in development.

    Raises ConfigurationError.
    """
    program = find_program()
    if program is None and settings.environment is Environment.PRODUCTION:
        raise ConfigurationError("the scan page's program is not built: make page, or use the image")
    films = REKOGNITION in settings.providers_used
    if program is None or (films and (settings.streaming_role is None or settings.face_model is None)):
        log.info("the scan page is plain HTML", extra={"why": _PLAIN})
        return None, None, []
    api = PageApi(
        verifications=verifications,
        attempts=attempts,
        answers=answers,
        admission=admission,
        providers=providers,
        most_attempts=settings.most_attempts,
        lights_optional=settings.check_without_lights,
        clock=now_utc,
    )
    files = PageFiles(check_model(settings.face_model) if settings.face_model else None)
    streams = [url for name in sorted(settings.providers_used) if (url := providers.named(name).streaming_url)]
    return program, program_headers(streams), [*api.routes(), *files.routes()]
