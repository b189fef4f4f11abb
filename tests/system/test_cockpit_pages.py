"""Test the cockpit's pages in a real browser with canned answers: markup in names, keyboard, phone, dark, faults."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
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
    """Yield a function that opens a cockpit in its own window.

    At the end, check that no page had an error or sent a request to a foreign address.
    """
    made = []

    def make(*, can_act: bool = True, below: str = "", **options: Any) -> Cockpit:
        context = chromium.new_context(locale="en-GB", timezone_id="UTC", **options)
        one = Cockpit(context.new_page(), cockpit_answers.answers(can_act=can_act), below=below)
        made.append(one)
        return one

    yield make
    for one in made:
        assert one.errors == []
        assert one.strangers == []
        one.page.context.close()


def pressed(page: Page, *keys: str) -> str:
    """Press some keys and return the text or label of the focused element."""
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


_ALL_IS_OPEN = """() => {
    document.querySelectorAll("main details").forEach(one => { one.open = true; });
    return !document.querySelector("main").textContent.includes("Fetching");
}"""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_without_scrolling_sideways(cockpit: Open, name: str, scheme: str) -> None:
    page = cockpit(viewport=PHONE, color_scheme=scheme).open(name)
    expect(page.locator("html")).to_have_attribute("data-theme", scheme)
    # The parts of a page load one after the other.
    page.wait_for_load_state("networkidle")
    page.wait_for_function(_ALL_IS_OPEN)
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
    # The focus starts in the reason field and must not leave the dialog for the page behind it.
    expect(page.get_by_label("Reason")).to_be_focused()
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")

    page.get_by_label("Reason").focus()
    assert pressed(page, "Tab", "Tab") == "Pause the stream"
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("Enter a reason of at least 3 characters.")
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


def test_a_failed_action_shows_the_reason_and_can_be_retried(cockpit: Open) -> None:
    one = cockpit()
    page = one.open("stream")
    one.faults["stream/pause"] = (403, "Forbidden", "olga may read, but not act")
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Reason").fill("maintenance")
    page.get_by_role("button", name="Pause the stream").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_have_text("Forbidden: olga may read, but not act")
    del one.faults["stream/pause"]
    page.get_by_role("button", name="Pause the stream").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert [path for path, _, _ in one.posts] == ["stream/pause"] * 2


def test_a_viewer_sees_no_actions_and_no_raw_rows(cockpit: Open) -> None:
    one = cockpit(can_act=False)
    page = one.open("stream")
    page.get_by_text("Currency unknown").click()
    expect(page.get_by_text("your role does not show the row").first).to_be_visible()
    for name in ("Pause", "Drain", "Resume", "Retract", "Review"):
        expect(page.get_by_role("button", name=re.compile(rf"^{name}\b"))).to_have_count(0)
    page = one.open("objectives")
    page.locator("main details > summary").first.click()
    expect(page.get_by_text("alerts_mail").first).to_be_visible()
    for name in ("Acknowledge", "Resolve", "Change the note"):
        expect(page.get_by_role("button", name=re.compile(rf"^{name}\b"))).to_have_count(0)


def test_only_the_user_who_acknowledged_an_alert_changes_its_note(cockpit: Open) -> None:
    one = cockpit()
    (first, second) = one.answers["alerts?state=open"].items
    page = one.open("objectives")
    mine = page.locator(f"details[data-key=alert-{second.alert_id}]")
    mine.locator("summary").first.click()
    expect(mine.get_by_role("button", name="Change the note")).to_be_visible()
    theirs = second.model_copy(update={"acknowledged_by": "pierre"})
    page_of = one.answers["alerts?state=open"]
    one.answers["alerts?state=open"] = page_of.model_copy(update={"items": [first, theirs]})
    expect(mine.get_by_role("button", name="Change the note")).to_have_count(0)
    expect(mine.get_by_text("pierre")).to_be_visible()


FAULTS = {
    503: ("PostgreSQL does not answer", "make status"),
    401: ("You are no longer signed in", "Sign in to Airflow"),
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
    # The page recovers by itself when the cause is gone.
    one.faults.clear()
    expect(page.get_by_text("€4,182,335").first).to_be_visible(timeout=15_000)
    expect(notice).to_be_empty()


def test_buttons_appear_once_the_user_is_known(cockpit: Open) -> None:
    one = cockpit()
    one.faults["*"] = (503, "PostgreSQL does not answer", "")
    page = one.open("stream")
    expect(page.locator("#notices")).to_contain_text("PostgreSQL does not answer")
    one.faults.clear()
    expect(page.get_by_role("button", name="Pause")).to_be_visible(timeout=15_000)


def test_outdated_numbers_are_marked(cockpit: Open) -> None:
    one = cockpit()
    page = one.open("overview")
    one.faults["*"] = (503, "PostgreSQL does not answer", "")
    expect(page.locator("main.is-stale")).to_be_visible(timeout=30_000)
    expect(page.locator("#notices")).to_contain_text("The data shown are more than 10 s old")
    expect(page.get_by_text("€4,182,335").first).to_be_visible()


def test_before_the_first_event_nothing_looks_like_a_number(cockpit: Open) -> None:
    one = cockpit()
    one.answers["overview"] = cockpit_answers.empty_overview(datetime.now(UTC))
    page = one.open("overview")
    expect(page.get_by_text("Waiting for the first event")).to_be_visible()
    for text in ("No purchases yet today.", "No sessions yet.", "No products have been sold yet.", "age not yet known"):
        expect(page.get_by_text(text).first).to_be_visible()
    expect(page.get_by_text("NaN")).to_have_count(0)


def test_unchanged_data_is_not_sent_again(cockpit: Open) -> None:
    one = cockpit()
    page = one.open("overview")
    page.wait_for_event("response", lambda response: response.status == 304)
    value = page.locator(".tile .value").first.element_handle()
    revenue = one.answers["overview"].revenue
    first = revenue.currencies[0].model_copy(update={"revenue": revenue.currencies[0].revenue + 1000})
    changed = revenue.model_copy(update={"currencies": [first, *revenue.currencies[1:]]})
    one.answers["overview"] = one.answers["overview"].model_copy(update={"revenue": changed})
    expect(page.get_by_text("€4,183,335")).to_be_visible()
    # The element was not replaced, so selection and focus survive.
    assert value.text_content() == "€4,183,335"


def test_a_hidden_page_sends_no_requests(cockpit: Open) -> None:
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
    # Requests are answered in order. Once this one is answered, all earlier ones are.
    page.evaluate("fetch('static/icon.svg').then(answer => answer.status)")
    assert one.asked[before:] == []
    page.evaluate("window.isAway = false; document.dispatchEvent(new Event('visibilitychange'))")
    page.evaluate("fetch('static/icon.svg').then(answer => answer.status)")
    assert "overview" in one.asked[before:]
    before = len(one.asked)
    # A visible page keeps polling.
    page.clock.run_for(2_000)
    page.evaluate("fetch('static/icon.svg').then(answer => answer.status)")
    assert one.asked[before:] == ["overview"]


def test_details_opened_by_the_user_stay_open(cockpit: Open) -> None:
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
    expect(chart.locator(".readout")).not_to_be_empty()
    plot.focus()
    newest = chart.locator(".readout").text_content()
    page.keyboard.press("Home")
    expect(chart.locator(".readout")).not_to_have_text(str(newest))
    expect(chart.locator(".readout")).to_contain_text("read and validate")
    page.keyboard.press("End")
    expect(chart.locator(".readout")).to_have_text(str(newest))


def test_airflows_theme_applies_inside_airflow(cockpit: Open) -> None:
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


def test_numbers_are_formatted_for_reading(cockpit: Open) -> None:
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


def _stopped(one: Cockpit, state: Any, **more: Any) -> None:
    """Set up the answers of an overview whose only problem is a stopped stream."""
    shown = one.answers["overview"]
    calm = shown.attention.model_copy(
        update={
            "open_alerts": {"critical": 0, "warning": 0, "info": 0},
            "unacknowledged_alerts": 0,
            "held_views": 0,
            "failing_suites": 0,
            "missed_objectives": 0,
        }
    )
    waiting = shown.throughput.model_copy(update={"backlog_files": 5_000})
    condition = cockpit_answers.condition(state, **more)
    one.answers["overview"] = shown.model_copy(update={"attention": calm, "throughput": waiting, "stream": condition})


def test_the_overview_says_first_who_paused_the_stream_and_what_waits(cockpit: Open) -> None:
    one = cockpit()
    _stopped(one, "paused", since=datetime.now(UTC) - timedelta(hours=2), requested_by="olga")
    page = one.open("overview")
    said = page.locator(".lead > :nth-child(2)")
    expect(said).to_contain_text("The stream is paused (by olga, 2 hr ago); 5,000 files waiting")
    expect(page.get_by_text("All is well")).to_have_count(0)
    _stopped(one, "down", since=datetime.now(UTC) - timedelta(minutes=9))
    expect(said).to_contain_text("The stream is down (9 min ago)", timeout=10_000)
    _stopped(one, "running")
    expect(page.get_by_text("All is well: nothing needs attention")).to_be_visible(timeout=10_000)


def test_days_and_periods_are_named(cockpit: Open) -> None:
    page = cockpit().open("overview")
    today = datetime.now(UTC).date().isoformat()
    for text in (
        *("Revenue today (UTC)", "Order lines today (UTC)", f"Conversion on {today} (UTC)"),
        *("Top products in EUR, all days", "Categories today (UTC) in EUR"),
    ):
        expect(page.get_by_role("heading", name=text, exact=True)).to_be_visible()


def test_the_files_that_wait_are_counted_by_the_server(cockpit: Open) -> None:
    one = cockpit()
    one.answers["stream"] = one.answers["stream"].model_copy(update={"backlog_files": 5_000})
    page = one.open("stream")
    card = page.locator("section.card", has=page.get_by_role("heading", name="Files", exact=True))
    expect(card.locator("[data-key=waiting]")).to_contain_text("5,000 files")


def _page_of_files(one: Cockpit, ids: range, following: int | None, **change: Any) -> Any:
    file = one.answers["stream/files"].items[1]
    items = [file.model_copy(update={"file_id": number, "name": f"{number}.csv", **change}) for number in ids]
    return cockpit_answers.models.Page[Any](items=items, next=None if following is None else str(following))


def test_no_file_is_missing_after_older_ones_were_shown(cockpit: Open) -> None:
    one = cockpit()
    one.answers["stream/files"] = _page_of_files(one, range(100, 90, -1), 91)
    one.answers["stream/files?before=91"] = _page_of_files(one, range(90, 80, -1), None)
    page = one.open("stream")
    page.get_by_role("button", name="Older files").click()
    rows = page.locator("table[data-key='Files, newest first'] tbody tr")
    expect(rows).to_have_count(20)
    # Twelve new files arrive and shift the pages.
    one.answers["stream/files"] = _page_of_files(one, range(112, 102, -1), 103)
    one.answers["stream/files?before=103"] = _page_of_files(one, range(102, 92, -1), None)
    expect(rows.first).to_contain_text("112.csv", timeout=10_000)
    shown = [int(text.split(".csv")[0]) for text in rows.all_inner_texts()]
    assert shown == list(range(112, 92, -1))


def test_a_slower_answer_of_another_filter_is_not_shown(cockpit: Open) -> None:
    one = cockpit()
    quarantined = {"state": "quarantined", "fault": "not_utf8"}
    one.answers["stream/files?state=quarantined"] = _page_of_files(one, range(900, 890, -1), None, **quarantined)
    one.answers["stream/files?state=loaded"] = _page_of_files(one, range(50, 40, -1), None)
    one.slow["stream/files?state=quarantined"] = []
    page = one.open("stream")
    page.get_by_role("button", name="Quarantined").click()
    page.get_by_role("button", name="Loaded").click()
    rows = page.locator("table[data-key='Files, newest first'] tbody tr")
    expect(rows.first).to_contain_text("50.csv")
    (late, *_) = one.slow["stream/files?state=quarantined"]
    late()
    page.evaluate("fetch('static/icon.svg').then(answer => answer.status)")
    expect(page.get_by_text("900.csv")).to_have_count(0)
    expect(rows).to_have_count(10)


def test_the_reasons_of_one_file_are_a_click_away(cockpit: Open) -> None:
    page = cockpit().open("stream")
    page.get_by_role("button", name="Reasons for 1 rejected row").first.click()
    expect(page.get_by_text(re.compile("11 . Unit price invalid")).first).to_be_visible()
    expect(page.get_by_text("19;90").first).to_be_visible()


def test_all_open_alerts_are_counted_and_no_alert_is_asked_for_that_nobody_opened(cockpit: Open) -> None:
    one = cockpit()
    first = one.answers["alerts?state=open"].model_copy(
        update={"open_alerts": {"critical": 20, "warning": 100, "info": 0}, "unacknowledged": 90, "next": "open-7"}
    )
    older = first.items[0].model_copy(update={"alert_id": 3, "title": "an old one"})
    one.answers["alerts?state=open"] = first
    one.answers["alerts?state=open&before=open-7"] = first.model_copy(update={"items": [older], "next": None})
    page = one.open("objectives")
    expect(page.get_by_text("120 open alerts, 90 not acknowledged")).to_be_visible()
    expect(page.get_by_text("1 notification failed").first).to_be_visible()
    page.get_by_role("button", name="Older alerts").click()
    expect(page.get_by_text("an old one")).to_be_visible()
    assert [path for path in one.asked if path.startswith("alerts/")] == []


@pytest.mark.parametrize(
    ("path", "following", "button", "change", "text"),
    [
        ("objectives/misses", "7", "Older misses", {"miss_id": 3, "cause": "an old cause"}, "an old cause"),
        ("actions", "9", "Older actions", {"action_id": 1, "reason": "an old reason"}, "an old reason"),
    ],
)
def test_lists_of_past_entries_load_more(
    cockpit: Open, path: str, following: str, button: str, change: dict[str, Any], text: str
) -> None:
    one = cockpit()
    first = one.answers[path]
    one.answers[path] = first.model_copy(update={"next": following})
    older = first.items[0].model_copy(update=change)
    one.answers[f"{path}?before={following}"] = first.model_copy(update={"items": [older], "next": None})
    page = one.open("objectives")
    page.get_by_role("button", name=button).click()
    expect(page.get_by_text(text)).to_be_visible()
    expect(page.get_by_role("button", name=button)).to_have_count(0)


def test_links_to_airflow_work_below_a_path_prefix(cockpit: Open) -> None:
    page = cockpit().open("objectives")
    page.locator("main details > summary").first.click()
    link = page.get_by_role("link", name="Where it failed").first
    expect(link).to_have_attribute("href", f"{ORIGIN}/dags/check_quality")
    one = cockpit(below="/data/airflow")
    page = one.open("objectives")
    page.locator("main details > summary").first.click()
    link = page.get_by_role("link", name="Where it failed").first
    expect(link).to_have_attribute("href", f"{ORIGIN}/data/airflow/dags/check_quality")


def test_a_check_that_was_not_judged_is_not_shown_as_passed(cockpit: Open) -> None:
    one = cockpit()
    suites = [suite.model_copy(update={"last": suite.last}) for suite in one.answers["quality/suites"][2:]]
    last = suites[0].last.model_copy(update={"not_judged": 2})
    suites[0] = suites[0].model_copy(update={"last": last})
    one.answers["quality/suites"] = suites
    run = one.answers[f"quality/runs/{last.quality_run_id}"]
    unknown = [
        one_result.model_copy(update={"status": "not_judged", "result_id": 70 + index})
        for index, one_result in enumerate(run.results[:2])
    ]
    one.answers[f"quality/runs/{last.quality_run_id}"] = run.model_copy(update={"results": [*unknown, run.results[2]]})
    page = one.open("quality")
    expect(page.locator(".lead")).to_contain_text("2 checks not judged")
    expect(page.locator(".lead")).not_to_contain_text("passed")
    fold = page.locator(f"details[data-key=suite-{suites[0].suite}]")
    fold.locator("summary").first.click()
    expect(fold.get_by_text("2 checks not judged")).to_be_visible()
    expect(fold.get_by_text("1 check passed")).to_be_visible()


def test_earlier_runs_are_read_again_after_the_next_run(cockpit: Open) -> None:
    one = cockpit()
    (suite, *rest) = one.answers["quality/suites"]
    path = f"quality/suites/{suite.suite}/runs"
    one.answers[path] = cockpit_answers.models.Page[Any](items=[suite.last], next=None)
    page = one.open("quality")
    page.get_by_role("button", name="Earlier runs").first.click()
    rows = page.locator(f"table[data-key='Earlier runs of {suite.suite}'] tbody tr")
    expect(rows).to_have_count(1)
    following = suite.last.model_copy(update={"quality_run_id": 900})
    one.answers[path] = cockpit_answers.models.Page[Any](items=[following, suite.last], next=None)
    one.answers["quality/runs/900"] = one.answers[f"quality/runs/{suite.last.quality_run_id}"]
    one.answers["quality/suites"] = [suite.model_copy(update={"last": following}), *rest]
    expect(rows).to_have_count(2, timeout=15_000)


def test_one_run_has_a_page_and_earlier_runs_link_to_it(cockpit: Open) -> None:
    one = cockpit()
    suite = one.answers["quality/suites"][0]
    number = suite.last.quality_run_id
    earlier = cockpit_answers.models.Page[Any](items=[suite.last], next=None)
    one.answers[f"quality/suites/{suite.suite}/runs"] = earlier
    page = one.open("quality")
    page.get_by_role("button", name="Earlier runs").first.click()
    page.get_by_role("link", name="open").click()
    card = page.locator("main .card").filter(has=page.get_by_role("heading", name=f"Run {number} of {suite.suite}"))
    failed = next(one for one in one.answers[f"quality/runs/{number}"].results if one.status == "failed")
    expect(card).to_contain_text(str(failed.observed))
    expect(card).to_contain_text("failed")
    card.get_by_role("link", name="All suites").click()
    expect(page.locator(".lead")).to_contain_text("failing")
    expect(card).to_have_count(0)


def test_a_run_that_is_gone_is_named(cockpit: Open) -> None:
    one = cockpit()
    one.faults["quality/runs/999999"] = (404, "Not found", "quality run 999999 does not exist")
    page = one.open("quality?run=999999")
    expect(page.locator("main .card").first).to_contain_text("quality run 999999 does not exist")
    expect(page.get_by_role("link", name="All suites")).to_be_visible()


def test_restated_figures_say_from_what_to_what_and_why(cockpit: Open) -> None:
    page = cockpit().open("quality")
    rows = page.locator("table[data-key='Restated figures'] tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Revenue: 100.00 → 150.00")
    expect(rows.first).to_contain_text("late events")
    expect(rows.nth(1)).to_contain_text("new row")


def test_a_day_that_was_restated_is_marked(cockpit: Open) -> None:
    one = cockpit()
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    page = one.open("overview")
    row = page.locator("table[data-key^='The last seven days'] tbody tr", has_text=yesterday)
    expect(row).to_contain_text("late events")
    expect(row).to_contain_text("Revenue: 3,918,227.10 → 3,921,004.60")
    expect(row).to_contain_text("restated 3 min ago")
    expect(page.locator("table[data-key^='The last seven days'] tbody tr").first).to_contain_text("so far")
    row.get_by_role("link", name=f"All changes of {yesterday}").click()
    expect(page.get_by_text(f"Only {yesterday} (UTC)")).to_be_visible()
    expect(page.locator("table[data-key='Restated figures']")).to_be_visible()
    expect(page.get_by_text("2 closed days restated")).to_be_visible()


def test_the_conversion_of_a_closed_day_says_that_it_was_restated(cockpit: Open) -> None:
    one = cockpit()
    shown = one.answers["overview"]
    restated = shown.daily.items[3].restated.model_copy(
        update={"old": {"conversion_rate": "0.0312"}, "new": {"conversion_rate": "0.0298"}}
    )
    conversion = shown.conversion.model_copy(update={"restated": restated})
    one.answers["overview"] = shown.model_copy(update={"conversion": conversion})
    page = one.open("overview")
    expect(page.get_by_text("Conversion rate: 0.0312 → 0.0298")).to_have_count(2)


def _ask_to_retract(one: Cockpit) -> Page:
    one.answers["stream/files"] = _page_of_files(one, range(8_999, 8_989, -1), None)
    one.answers["files/8999/retract"] = {"dag_run_id": cockpit_answers.RUN_ID, "approval_url": "/"}
    page = one.open("stream")
    page.get_by_role("button", name="Retract 8999.csv").click()
    return page


def test_a_delivery_is_retracted_after_a_dry_run_and_a_confirmation(cockpit: Open) -> None:
    one = cockpit()
    now = datetime.now(UTC)
    path = f"retractions/requests/{cockpit_answers.RUN_ID}"
    one.answers[path] = cockpit_answers.request(now, "previewing", dry_run=None)
    page = _ask_to_retract(one)
    dialog = page.get_by_role("dialog", name="Retract this delivery?")
    expect(page.get_by_label("Reason for the retraction")).to_be_focused()
    dialog.get_by_role("button", name="Start dry run").click()
    expect(dialog.get_by_role("alert")).to_have_text("Enter a reason of at least 3 characters.")
    assert one.posts == []
    page.keyboard.type("prices are doubled")
    dialog.get_by_role("button", name="Start dry run").click()
    expect(dialog.get_by_text("Dry run in progress")).to_be_visible()
    ((asked, body, headers),) = one.posts
    assert (asked, body) == ("files/8999/retract", {"reason": "prices are doubled"})
    assert headers["x-requested-with"] == "shopstream"

    one.answers[path] = cockpit_answers.request(now)
    expect(dialog.get_by_text("Revenue: 4,182,335.10 → 2,091,167.55")).to_be_visible()
    expect(dialog.get_by_text("and 40 more rows")).to_be_visible()
    expect(dialog.get_by_text("104 rows read = 100 accepted")).to_be_visible()
    expect(dialog.get_by_role("textbox")).to_have_value("prices are doubled")
    one.answers[f"{path}/approve"] = {}
    dialog.get_by_role("button", name="Retract delivery").click()
    one.answers[path] = cockpit_answers.request(now, "retracting", answered_by="olga")
    expect(dialog.get_by_text("Approved by olga")).to_be_visible()
    assert one.posts[1][:2] == (f"{path}/approve", {"reason": "prices are doubled"})
    done = cockpit_answers.retractions(now).items[0]
    one.answers[path] = cockpit_answers.request(now, "done", answered_by="olga", retraction=done)
    expect(dialog.get_by_text("1 file: 100 events, 1 rejected row and 3 duplicates removed")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_retraction_request_can_be_rejected_or_postponed(cockpit: Open) -> None:
    one = cockpit()
    path = f"retractions/requests/{cockpit_answers.RUN_ID}"
    page = one.open("stream")
    requests = page.locator("table[data-key='Retraction requests'] tbody tr")
    expect(requests).to_have_count(2)
    expect(requests.nth(1)).to_contain_text("past retention")
    requests.first.get_by_role("button", name="Review").click()
    page.get_by_role("dialog").get_by_role("button", name="Decide later").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert one.posts == []
    requests.first.get_by_role("button", name="Review").click()
    dialog = page.get_by_role("dialog")
    one.faults[f"{path}/reject"] = (409, "Conflict with the current state", "ada has approved it")
    dialog.get_by_role("textbox").fill("the prices were right")
    dialog.get_by_role("button", name="Reject request").click()
    expect(dialog.get_by_role("alert")).to_contain_text("ada has approved it")
    del one.faults[f"{path}/reject"]
    dialog.get_by_role("button", name="Reject request").click()
    one.answers[path] = cockpit_answers.request(datetime.now(UTC), "rejected", answered_by="olga")
    expect(dialog.get_by_text("The request was rejected by olga")).to_be_visible()
    assert one.posts[-1][1] == {"reason": "the prices were right"}


def test_a_viewer_sees_the_dry_run_and_cannot_decide(cockpit: Open) -> None:
    page = cockpit(can_act=False).open("stream")
    page.locator("table[data-key='Retraction requests']").get_by_role("button", name="Show").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Revenue: 4,182,335.10 → 2,091,167.55")).to_be_visible()
    expect(dialog.get_by_role("textbox")).to_have_count(0)
    expect(dialog.get_by_role("button")).to_have_text(["Close"])


def test_retracted_deliveries_are_listed_and_marked(cockpit: Open) -> None:
    page = cockpit().open("stream")
    rows = page.locator("table[data-key='Retractions'] tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("and 11 more files")
    file = page.locator("table[data-key='Files, newest first'] tbody tr", has_text="retracted")
    expect(file).to_contain_text("was 104 = 100 + 3 + 1")
    expect(file).to_contain_text("Retracted by olga")
    expect(file.get_by_role("button", name="Retract")).to_have_count(0)
