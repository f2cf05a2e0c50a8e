"""The scan page as plain HTML: every screen is one document, every action one form. No script is needed."""

from html import escape
from typing import Final

STYLE: Final = """\
:root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 34rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; line-height: 1.2; }
button { font: inherit; font-weight: 600; padding: .8rem 1.6rem; border: 0; border-radius: .5rem;
  background: #0b57d0; color: #fff; width: 100%; }
button:focus-visible { outline: 3px solid #f9ab00; outline-offset: 2px; }
.asker { font-weight: 600; overflow-wrap: anywhere; }
"""


def _document(title: str, body: str, *, refresh: str = "") -> str:
    """Return a document; ``refresh`` is the content of its refresh: seconds, and the address if it is another."""
    again = f'<meta http-equiv="refresh" content="{escape(refresh)}">' if refresh else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'{again}<title>{escape(title)}</title><link rel="stylesheet" href="/scan.css"></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )


def start_page(token: str, requester: str, purpose: str, *, again: bool) -> str:
    """Who asks and why, and the button that starts the check."""
    asker = f'<span class="asker">{escape(requester)}</span>' if requester else "This service"
    why = f"<p>Purpose: {escape(purpose)}</p>" if purpose else ""
    retry = "<p>The last try gave no result. Please try once more, in good light.</p>" if again else ""
    return _document(
        "Show that it is you",
        f"<p>{asker} asks whether you are really here. A short video of your face is checked and compared with your "
        f"legal photo. Only yes or no is passed on, never a picture.</p>{why}{retry}"
        f'<form method="post" id="start" action="/scan/{escape(token)}/start">'
        '<button type="submit">Start the check</button></form>',
    )


def check_page(token: str, session_id: str) -> str:
    """The check itself: the element with ``data-session-id`` is where a liveness component works."""
    return _document(
        "Look into the camera",
        f'<div id="check" data-session-id="{escape(session_id)}"><p>The check is running. Keep your face in view, then '
        "press the button.</p></div>"
        f'<form method="post" id="done" action="/scan/{escape(token)}/done">'
        '<button type="submit">I am done</button></form>',
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


def unknown_page() -> str:
    """The address is no good."""
    return _document("No such check", "<p>This address is not valid. Please open the check from your wallet.</p>")


def busy_page(token: str) -> str:
    """A part is away. A click is answered at an address of its own, which a refresh could not get again."""
    return _document("Please wait", "<p>The check cannot start right now. This page tries again by itself.</p>",
                     refresh=f"5; url=/scan/{token}")  # fmt: skip
