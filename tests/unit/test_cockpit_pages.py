"""The cockpit's pages in a real browser with canned answers: markup in names, keyboard, phone, dark, every fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import cockpit_answers
from tests.support.cockpit_pages import ORIGIN, Cockpit, browser

PAGES = ("overview", "stream", "quality", "objectives")
NOTHING = "\N{EN DASH}"
PHONE = {"width": 390, "height": 844}
Open = Callable[..., Cockpit]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture
def cockpit(chromium: Browser) -> Iterator[Open]:
    """Makes a cockpit in a window of its own; at the end, no page may have made an error or asked a stranger."""
    made = []

    def make(*, can_act: bool = True, **options: Any) -> Cockpit:
        context = chromium.new_context(locale="en-GB", timezone_id="UTC", **options)
        one = Cockpit(context.new_page(), cockpit_answers.answers(can_act=can_act))
        made.append(one)
        return one

    yield make
    for one in made:
        assert one.errors == []
        assert one.strangers == []
        one.page.context.close()


def pressed(page: Page, *keys: str) -> str:
    """What has the focus after some keys: its text or label."""
    for key in keys:
        page.keyboard.press(key)
    focus = "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"
    return str(page.evaluate(focus))


@pytest.mark.parametrize("name", PAGES)
def test_markup_in_the_data_is_text(cockpit: Open, name: str) -> None:
    page = cockpit().open(name)
    if name == "stream":
        page.get_by_text("Currency unknown").click()
        expect(page.locator(".samples pre").first).to_be_visible()
    expect(page.get_by_text(cockpit_answers.MARKUP.split(" ")[0]).first).to_be_visible()
    assert page.locator("img[onerror], main b").count() == 0
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_without_scrolling_sideways(cockpit: Open, name: str, scheme: str) -> None:
    page = cockpit(viewport=PHONE, color_scheme=scheme).open(name)
    expect(page.locator("html")).to_have_attribute("data-theme", scheme)
    page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true; })")
    expect(page.get_by_text("Fetching")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    outside = (
        "[...document.querySelectorAll('main *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1)"
    )
    assert page.evaluate(f"{outside}.map(one => one.outerHTML.slice(0, 120))") == []


def test_the_keyboard_alone_pauses_the_stream(cockpit: Open) -> None:
    one = cockpit()
    page = one.open("stream")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert pressed(page, "Tab") == "Skip to the content"
    page.keyboard.press("Enter")
    assert pressed(page, "Tab") == "Pause"
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Pause the stream?")
    expect(dialog).to_be_visible()
    # The focus is in the reason, and does not leave the dialog for the page behind it.
    expect(page.get_by_label("Reason")).to_be_focused()
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")

    page.get_by_label("Reason").focus()
    assert pressed(page, "Tab", "Tab") == "Pause the stream"
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("Say why, in 3 characters or more.")
    assert one.posts == []
    page.keyboard.type("disk is being moved")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    ((path, body, headers),) = one.posts
    assert (path, body) == ("stream/pause", {"reason": "disk is being moved"})
    assert headers["x-requested-with"] == "shopstream"


def test_escape_leaves_the_dialog_and_the_focus_returns(cockpit: Open) -> None:
    one = cockpit()
    page = one.open("stream")
    page.get_by_role("button", name="Drain").press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Drain")).to_be_focused()
    assert one.posts == []


def test_an_act_that_fails_says_why_and_can_be_tried_again(cockpit: Open) -> None:
    one = cockpit()
    page = one.open("stream")
    one.faults["stream/pause"] = (403, "Forbidden", "olga may look, but not act")
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Reason").fill("maintenance")
    page.get_by_role("button", name="Pause the stream").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_have_text("Forbidden: olga may look, but not act")
    del one.faults["stream/pause"]
    page.get_by_role("button", name="Pause the stream").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert [path for path, _, _ in one.posts] == ["stream/pause"] * 2


def test_a_viewer_sees_no_actions_and_no_raw_rows(cockpit: Open) -> None:
    one = cockpit(can_act=False)
    page = one.open("stream")
    page.get_by_text("Currency unknown").click()
    expect(page.get_by_text("your role does not show it").first).to_be_visible()
    for name in ("Pause", "Drain", "Resume"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page = one.open("objectives")
    page.locator("main details > summary").first.click()
    expect(page.get_by_text("alerts_mail").first).to_be_visible()
    for name in ("Acknowledge", "Resolve", "Change the note"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)


def test_only_who_acknowledged_an_alert_changes_its_note(cockpit: Open) -> None:
    one = cockpit()
    (first, second) = one.answers["alerts?state=open"].items
    page = one.open("objectives")
    mine = page.locator(f"details[data-key=alert-{second.alert_id}]")
    mine.locator("summary").first.click()
    expect(mine.get_by_role("button", name="Change the note")).to_be_visible()
    theirs = second.model_copy(update={"acknowledged_by": "pierre"})
    one.answers["alerts?state=open"] = cockpit_answers.models.Page[Any](items=[first, theirs], next=None)
    expect(mine.get_by_role("button", name="Change the note")).to_have_count(0)
    expect(mine.get_by_text("pierre")).to_be_visible()


FAULTS = {
    503: ("PostgreSQL does not answer", "make status"),
    401: ("You are not signed in any more", "Sign in to Airflow"),
    403: ("Forbidden", "Ask an administrator"),
}


@pytest.mark.parametrize("status", FAULTS)
def test_a_fault_says_what_happened_and_what_to_do(cockpit: Open, status: int) -> None:
    title, remedy = FAULTS[status]
    one = cockpit()
    one.faults["*"] = (status, title, "As the server says it.")
    page = one.open("overview")
    notice = page.locator("#notices")
    for text in (title, "As the server says it.", remedy):
        expect(notice).to_contain_text(text)
    expect(page.locator("#live")).to_have_text("Not live")
    expect(page.locator("main")).to_be_hidden()
    # It goes on by itself when the cause is over.
    one.faults.clear()
    expect(page.get_by_text("€4,182,335").first).to_be_visible(timeout=15_000)
    expect(notice).to_be_empty()


def test_buttons_come_when_it_is_known_who_looks(cockpit: Open) -> None:
    one = cockpit()
    one.faults["*"] = (503, "PostgreSQL does not answer", "")
    page = one.open("stream")
    expect(page.locator("#notices")).to_contain_text("PostgreSQL does not answer")
    one.faults.clear()
    expect(page.get_by_role("button", name="Pause")).to_be_visible(timeout=15_000)


def test_numbers_of_before_are_shown_as_old(cockpit: Open) -> None:
    one = cockpit()
    page = one.open("overview")
    one.faults["*"] = (503, "PostgreSQL does not answer", "")
    expect(page.locator("main.is-stale")).to_be_visible(timeout=30_000)
    expect(page.locator("#notices")).to_contain_text("What is shown is more than 10 s old")
    expect(page.get_by_text("€4,182,335").first).to_be_visible()


def test_before_the_first_event_nothing_looks_like_a_number(cockpit: Open) -> None:
    one = cockpit()
    one.answers["overview"] = cockpit_answers.empty_overview(datetime.now(UTC))
    page = one.open("overview")
    expect(page.get_by_text("Waiting for the first event")).to_be_visible()
    for text in ("No purchases yet today.", "No session yet.", "No product has been sold yet.", "age not known yet"):
        expect(page.get_by_text(text).first).to_be_visible()
    expect(page.get_by_text("NaN")).to_have_count(0)


def test_what_has_not_changed_is_not_sent_again(cockpit: Open) -> None:
    one = cockpit()
    page = one.open("overview")
    page.wait_for_event("response", lambda response: response.status == 304)
    value = page.locator(".tile .value").first.element_handle()
    revenue = one.answers["overview"].revenue
    first = revenue.currencies[0].model_copy(update={"revenue": revenue.currencies[0].revenue + 1000})
    changed = revenue.model_copy(update={"currencies": [first, *revenue.currencies[1:]]})
    one.answers["overview"] = one.answers["overview"].model_copy(update={"revenue": changed})
    expect(page.get_by_text("€4,183,335")).to_be_visible()
    # The element is the same one, so what is selected or has the focus stays so.
    assert value.text_content() == "€4,183,335"


def test_a_page_that_is_hidden_does_not_ask(cockpit: Open) -> None:
    one = cockpit()
    one.page.clock.install()
    page = one.open("overview")
    page.evaluate("""() => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => window.isAway });
        window.isAway = true;
        document.dispatchEvent(new Event('visibilitychange'));
    }""")
    before = len(one.asked)
    page.clock.run_for(60_000)
    # Requests are answered in their order: with this one, all before it have been.
    page.evaluate("fetch('static/icon.svg').then(answer => answer.status)")
    assert one.asked[before:] == []
    page.evaluate("window.isAway = false; document.dispatchEvent(new Event('visibilitychange'))")
    page.evaluate("fetch('static/icon.svg').then(answer => answer.status)")
    assert "overview" in one.asked[before:]
    before = len(one.asked)
    # While it is seen, it goes on.
    page.clock.run_for(2_000)
    page.evaluate("fetch('static/icon.svg').then(answer => answer.status)")
    assert one.asked[before:] == ["overview"]


def test_what_a_person_opened_stays_open(cockpit: Open) -> None:
    one = cockpit()
    page = one.open("quality")
    fold = page.locator("details[data-key=suite-batches]")
    fold.locator("summary").first.click()
    expect(fold.get_by_text("3 checks passed")).to_be_visible()
    failing = page.locator("details[data-key=suite-mart_product_performance]")
    failing.locator("summary").first.click()
    suites = list(one.answers["quality/suites"])
    one.answers["quality/suites"] = suites[:-1]
    expect(page.locator("details[data-key=suite-rollup_minute]")).to_have_count(0, timeout=15_000)
    expect(fold).to_have_attribute("open", "")
    expect(failing).not_to_have_attribute("open", "")


def test_rare_reasons_are_a_click_away(cockpit: Open) -> None:
    one = cockpit()
    rejects = one.answers["stream/rejects"]
    (frequent, *_) = rejects.reasons
    many = [frequent.model_copy(update={"reason": f"reason_{number}", "rows": 50 - number}) for number in range(20)]
    one.answers["stream/rejects"] = rejects.model_copy(update={"reasons": many})
    page = one.open("stream")
    reasons = page.locator("details[data-key^=reject-]")
    expect(reasons).to_have_count(8)
    page.get_by_role("button", name="All 20 reasons").click()
    expect(reasons).to_have_count(20)


def test_charts_are_read_with_the_arrow_keys(cockpit: Open) -> None:
    page = cockpit().open("stream")
    chart = page.locator("figure", has_text="Time per batch")
    plot = chart.get_by_role("group")
    plot.focus()
    newest = chart.locator(".readout").text_content()
    page.keyboard.press("Home")
    expect(chart.locator(".readout")).not_to_have_text(str(newest))
    expect(chart.locator(".readout")).to_contain_text("read and judge")
    page.keyboard.press("End")
    expect(chart.locator(".readout")).to_have_text(str(newest))


def test_airflows_theme_counts_inside_airflow(cockpit: Open) -> None:
    one = cockpit(color_scheme="light")
    one.page.goto(f"{ORIGIN}/plugin")
    one.page.evaluate("""() => {
        document.documentElement.className = 'dark';
        const frame = document.body.appendChild(document.createElement('iframe'));
        frame.sandbox = 'allow-scripts allow-same-origin allow-forms allow-downloads';
        frame.src = '/shopstream/quality';
    }""")
    root = one.page.frame_locator("iframe").locator("html")
    expect(root).to_have_attribute("data-theme", "dark")
    one.page.evaluate("document.documentElement.className = 'light'")
    expect(root).to_have_attribute("data-theme", "light")


def test_numbers_are_written_for_people(cockpit: Open) -> None:
    page = cockpit().open("overview")
    written = page.evaluate("""async () => {
        const f = await import('/shopstream/static/format.js');
        return [
            f.duration(0.1234), f.duration(4.5), f.duration(59.99), f.duration(200), f.duration(7260),
            f.duration(280_000),
            f.percent(0), f.percent(0.00001), f.percent(0.99999), f.percent(1), f.percent(null),
            f.money(12.5, 'EUR'), f.money(1234567, 'USD'), f.money(3, 'no code'), f.bytes(1536), f.bytes(0),
            f.decimal(0.01234), f.decimal(98.76), f.short(1_234_567), f.plural(1, 'file'), f.plural(2000, 'file'),
        ];
    }""")
    assert written == [
        *("123 ms", "4.5 s", "1 min", "3 min 20 s", "2 h 1 min", "3 d 6 h"),
        *("0%", "< 0.01%", "> 99.99%", "100%", NOTHING),
        *("€12.50", "US$1,234,567", "3.00 no code", "1.5 KiB", "0 B"),
        *("0.012", "98.8", "1.2m", "1 file", "2,000 files"),
    ]
