"""The pages as HTML: what others wrote is text on them, never markup."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from services.session import pages
from services.session.page_files import Program

OWN = pages.Own("/check/v-1", "form-1")
EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;"


class Reading(HTMLParser):
    """Notes every tag and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def value(self, tag: str, name: str) -> str | None:
        return next((value for where, what, value in self.attributes if (where, what) == (tag, name)), None)


def test_a_requester_and_a_purpose_with_markup_are_shown_as_text() -> None:
    read = Reading(pages.start_page(OWN, EVIL, EVIL, again=True))
    assert read.text.count(EVIL) == 2
    assert read.tags == Reading(pages.start_page(OWN, "shop.example", "a purpose", again=True)).tags


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_requester_and_no_purpose_adds_a_tag(requester: str, purpose: str) -> None:
    expected = Reading(pages.start_page(OWN, "a", "b", again=False)).tags
    assert Reading(pages.start_page(OWN, requester, purpose, again=False)).tags == expected


def test_the_start_page_says_who_asks_and_why_and_has_one_button() -> None:
    read = Reading(pages.start_page(OWN, "shop.example", "to open an account", again=False))
    assert "shop.example asks" in read.text
    assert "Purpose: to open an account" in read.text
    assert "last try" not in read.text
    assert read.value("form", "action") == "/check/v-1/start"
    assert read.tags.count("button") == 1
    assert ("input", "value", "form-1") in read.attributes


def test_without_requester_and_purpose_nothing_is_left_open() -> None:
    read = Reading(pages.start_page(OWN, "", "", again=False))
    assert "This service asks" in read.text
    assert "Purpose" not in read.text


def test_after_a_try_without_a_result_the_start_page_says_so() -> None:
    assert "The last try gave no result" in Reading(pages.start_page(OWN, "a", "", again=True)).text


def test_the_check_page_has_the_session_and_the_hint_s_form() -> None:
    read = Reading(pages.check_page(OWN, "session-1"))
    assert read.value("div", "data-session-id") == "session-1"
    assert (read.value("form", "method"), read.value("form", "action")) == ("post", "/check/v-1/done")


def test_no_page_needs_a_script_or_anything_from_elsewhere() -> None:
    every = [
        pages.start_page(OWN, "a", "b", again=True), pages.check_page(OWN, "s"), pages.wait_page(),
        pages.finished_page(), pages.expired_page(), pages.used_up_page(), pages.unknown_page(),
        pages.busy_page(OWN.path), pages.elsewhere_page(), pages.taken_page(),
    ]  # fmt: skip
    for html in every:
        read = Reading(html)
        assert {"script", "style", "img", "iframe"}.isdisjoint(read.tags)
        assert not any(name.startswith("on") or name == "style" for _, name, _ in read.attributes)
        assert read.value("link", "href") == "/scan.css"
        assert read.value("html", "lang") == "en"
        assert read.tags.count("h1") == 1
        assert "http://" not in html


def test_a_page_that_waits_comes_back_by_itself() -> None:
    assert 'http-equiv="refresh" content="2"' in pages.wait_page()
    assert f'http-equiv="refresh" content="5; url={OWN.path}"' in pages.busy_page(OWN.path)
    for html in (pages.finished_page(), pages.expired_page(), pages.used_up_page(), pages.unknown_page()):
        assert "refresh" not in html


def test_with_a_program_the_same_document_waits_behind_it_and_says_why_it_is_seen() -> None:
    program = Program("/assets/main-1.js", ("/assets/main-1.css",))
    read = Reading(pages.with_program(pages.start_page(OWN, EVIL, EVIL, again=True), program))
    assert read.value("script", "src") == "/assets/main-1.js"
    assert read.value("main", "class") == "fallback"
    assert "does not run in this browser" in read.text
    assert read.text.count(EVIL) == 2
    assert '<noscript><meta http-equiv="refresh"' in pages.with_program(pages.wait_page(), program)
