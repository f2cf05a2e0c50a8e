"""What the scan page takes answers with, on the emulated AWS."""

from collections.abc import Callable
from datetime import datetime

from services.session.answers import Answers
from shared.answer_box import AnswerBox
from shared.verifications import Verifications
from tests.support.emulated_aws import Emulated
from tests.support.recording import RecordingPublisher


def answers(emulated: Emulated, publisher: RecordingPublisher, clock: Callable[[], datetime]) -> Answers:
    """Return it."""
    box = AnswerBox(emulated.aws, emulated.settings)
    return Answers(box=box, verifications=Verifications(emulated.tables), publisher=publisher, clock=clock)
