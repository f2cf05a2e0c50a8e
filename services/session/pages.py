"""The scan page as plain HTML: every screen is one document, every action one form. No script is needed."""

import re
from dataclasses import dataclass
from html import escape
from typing import Final

from services.session.page_files import Program

STYLE: Final = """\
:root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 34rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; line-height: 1.2; }
button { font: inherit; font-weight: 600; padding: .8rem 1.6rem; border: 0; border-radius: .5rem;
  background: #0b57d0; color: #fff; width: 100%; }
button:focus-visible { outline: 3px solid #f9ab00; outline-offset: 2px; }
.asker { font-weight: 600; overflow-wrap: anywhere; }
.fallback { visibility: hidden; animation: appear 0s 6s forwards; }
@keyframes appear { to { visibility: visible; } }
@media (scripting: none) { .fallback { visibility: visible; animation: none; } }
"""

_NO_SCRIPT: Final = (
    "<p>The program of this page does not run in this browser, and without it the camera cannot be used here. Please "
    "open the check in a newer browser, with scripts allowed. What follows is for wallets that film by themselves.</p>"
)
_REFRESH: Final = re.compile(r'<meta http-equiv="refresh"[^>]*>')


@dataclass(frozen=True, slots=True)
class Own:
    """What the page of one browser needs: its own address and what its forms carry."""

    path: str
    form_token: str
    address: str = ""  # a keyed hash of where the request came from

    def form(self, identifier: str, action: str, label: str) -> str:
        """Return a form that is one button."""
        return (
            f'<form method="post" id="{identifier}" action="{escape(self.path)}/{action}">'
            f'<input type="hidden" name="form_token" value="{escape(self.form_token)}">'
            f'<button type="submit">{label}</button></form>'
        )


def _document(title: str, body: str, *, refresh: str = "") -> str:
    """Return a document; ``refresh`` is the content of its refresh: seconds, and the address if it is another."""
    again = f'<meta http-equiv="refresh" content="{escape(refresh)}">' if refresh else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'{again}<title>{escape(title)}</title><link rel="stylesheet" href="/scan.css"></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )


def with_program(document: str, program: Program) -> str:
    """Return a document whose body is shown only when the page's program does not come to replace it.

    Until then it is hidden by the style sheet alone: no script has to work for that.
    """
    head = "".join(f'<link rel="stylesheet" href="{escape(style)}">' for style in program.styles)
    script = f'<script type="module" src="{escape(program.script)}"></script>'
    return (
        # A refresh would take the page away from under the program, which looks for itself.
        _REFRESH.sub(r"<noscript>\g<0></noscript>", document)
        .replace("</head>", f"{head}{script}</head>", 1)
        .replace("<body><main>", f'<body><div id="program"></div><main id="plain" class="fallback">{_NO_SCRIPT}', 1)
    )


def start_page(own: Own, requester: str, purpose: str, *, again: bool) -> str:
    """Who asks and why, and the button that starts the check."""
    asker = f'<span class="asker">{escape(requester)}</span>' if requester else "This service"
    why = f"<p>Purpose: {escape(purpose)}</p>" if purpose else ""
    retry = "<p>The last try gave no result. Please try once more, in good light.</p>" if again else ""
    return _document(
        "Show that it is you",
        f"<p>{asker} asks whether you are really here. A short video of your face is checked and compared with your "
        f"legal photo. Only yes or no is passed on, never a picture. By starting you agree to that.</p>{why}{retry}"
        + own.form("start", "start", "Start the check"),
    )


def queue_page(own: Own, seconds: int) -> str:
    """Others are before this person, whose place is kept; the button may be pressed at any time."""
    return _document(
        "You are in line",
        f'<p role="status">Many people are being checked right now. It is your turn in about {seconds} seconds. Then '
        "press the button.</p>" + own.form("start", "start", "Start the check"),
    )


def check_page(own: Own, session_id: str) -> str:
    """The check itself: the element with ``data-session-id`` is where a liveness component works."""
    return _document(
        "Look into the camera",
        f'<div id="check" data-session-id="{escape(session_id)}"><p>The check is running. Keep your face in view, then '
        "press the button.</p></div>" + own.form("done", "done", "I am done"),
    )


def away_page(own: Own, url: str) -> str:
    """The way to the provider's own page, which films and leads back here."""
    return _document(
        "Look into the camera",
        "<p>Your camera is used on the page of the service that checks. You come back here when it is done.</p>"
        f'<p><a id="provider" rel="noreferrer" href="{escape(url)}">Go on to the check</a></p>'
        + own.form("done", "done", "I am done"),
    )


def back_page(own: Own) -> str:
    """Back from the provider's own page."""
    return _document("Welcome back", "<p>Press the button to go on.</p>" + own.form("done", "done", "I am done"))


_QUESTIONS: Final = {
    "first-school": "What was the name of your first school?",
    "first-pet": "What was the name of your first pet?",
    "street-of-childhood": "In which street did you live as a child?",
    "favourite-teacher": "Who was your favourite teacher?",
    "first-concert": "Which band or singer was at your first concert?",
}


def answer_page(own: Own, asks: str, *, again: bool) -> str:
    """What is asked besides the check; that the check was good is not said, and need not be so."""
    factor, _, question = asks.partition(" ")
    label = _QUESTIONS.get(question, "One-time password of six digits")
    kind = 'inputmode="numeric" autocomplete="one-time-code"' if factor == "code" else 'autocomplete="off"'
    wrong = '<p role="alert">That was not right. Please try again.</p>' if again else ""
    return _document(
        "One more question",
        f'{wrong}<form method="post" id="answer" action="{escape(own.path)}/answers">'
        f'<input type="hidden" name="form_token" value="{escape(own.form_token)}">'
        f'<p><label for="given">{escape(label)}</label></p>'
        f'<p><input id="given" name="answer" required maxlength="200" {kind}></p>'
        '<button type="submit">Go on</button></form>',
    )


def wait_page() -> str:
    """The result is being fetched."""
    return _document("One moment", '<p role="status">Your check is being looked at.</p>', refresh="2")


def finished_page() -> str:
    """The end, the same for every outcome."""
    return _document("Done", "<p>The check is finished. You can close this page.</p>")


def expired_page() -> str:
    """The time is over."""
    return _document("Too late", "<p>The time for this check is over. Please start again where you were asked.</p>")


def used_up_page() -> str:
    """No try is left."""
    return _document("No more tries", "<p>There are no tries left for this check. Please ask for a new one.</p>")


def later_page() -> str:
    """Too many checks have failed; why, and for whom, helps nobody who should pass."""
    return _document(
        "Try again later",
        "<p>This check cannot be done now. Please ask for a new one later where you were asked.</p>",
    )


def unknown_page() -> str:
    """The address is no good."""
    return _document("No such check", "<p>This address is not valid. Please open the check from your wallet.</p>")


def elsewhere_page() -> str:
    """Another browser has the page, or this one has lost its cookie."""
    return _document(
        "Open somewhere else",
        "<p>This check was opened in another browser, or this one keeps no cookies. Go on where you opened it first, "
        "or ask for a new check.</p>",
    )


def taken_page() -> str:
    """Another page of this browser has the running try."""
    return _document("Running elsewhere", "<p>The check is running in another window of this browser.</p>", refresh="3")


def busy_page(path: str) -> str:
    """A part is away. A click is answered at an address of its own, which a refresh could not get again."""
    return _document("Please wait", "<p>The check cannot start right now. This page tries again by itself.</p>",
                     refresh=f"5; url={path}")  # fmt: skip
