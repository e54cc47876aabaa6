"""The dashboard in a real browser, on real data, live: `make test-browser`."""

import re
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from events.topics import DEAD_LETTERS, DECISIONS, REQUESTS
from tests.support import generator, marked_person
from tests.support.browsing import PAGES, PATIENCE_MS, Console, abroad, chromium, dashboard, level
from tests.support.case_records import case, line, publish_cases, written
from tests.support.hostile_pages import EVERYTHING, HOSTILE, IMAGE
from tests.support.hostile_records import write_by_hand
from tests.support.requests import request
from tests.support.running import eventually, everything_on, publish, settings_for, worker
from tests.support.unprintable import unseen
from workers.configuration.settings import Settings
from workers.demo.run import REQUESTS_FILE
from workers.dev_brokers import Broker, KafkaBroker
from workers.event_log.json_files import events
from workers.state.request_digests import digest
from workers.topics import apply_topics

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

expect.set_options(timeout=PATIENCE_MS)

TOKEN = "correct horse battery"  # noqa: S105 (of tests)
ACT = "correct horse that may act"
PHONE = {"width": 390, "height": 844}


class Served(NamedTuple):
    """A deployment that has decided the demo's requests, and its dashboard."""

    found: Settings
    url: str
    folder: Path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def served(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("dashboard")
    found = settings_for(broker.bootstrap, f"browser-{time.time_ns()}.", folder)
    apply_topics.apply(found)
    with worker(found, folder), events(REQUESTS_FILE) as requests:
        publish(found, [one.raw for one in requests])
        with dashboard(found, folder, "--allow-redrive", "--reports", str(folder / "reports")) as url:
            yield Served(found, url, folder)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    yield context.new_page()
    context.close()


def test_every_page_shows_its_content_without_console_messages(served: Served, page: Page) -> None:
    """Every page shows what there is and writes nothing to the console."""
    console, asked = Console(page), []
    page.on("request", lambda request: asked.append(request.url))
    shows = {
        "/": "Requests are answered in time",
        "/cases": "open case",
        "/decisions": "37 decisions",
        "/policy": "19 revisions",
        "/dead-letters": "schema violation",
        "/replays": "There are no reports",
        "/audit": "Nothing was recorded in 90 days",
    }
    for path, text in shows.items():
        page.goto(served.url + path)
        expect(page.get_by_text(text).first).to_be_visible()

    page.goto(served.url + "/")
    expect(page.get_by_text("39 consumed, 37 decided, 0 duplicates, 2 dead letters")).to_be_visible()
    expect(page.get_by_text("0, 1, 2, 3")).to_be_visible()
    assert (console.errors, abroad(asked)) == ([], [])


def test_a_search_finds_a_trace_and_an_unknown_id_is_told(served: Served, page: Page) -> None:
    console = Console(page)
    page.goto(served.url + "/decisions")
    expect(page.get_by_text("37 decisions")).to_be_visible()
    page.get_by_label("Request id").fill("PA-2025-00101")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Request PA-2025-00101: A1 certified in total")).to_be_visible()
    expect(page.get_by_text("S1-relapsed: yes")).to_be_visible()
    expect(page.get_by_text("The malignancy has relapsed.")).to_be_visible()
    assert "PA-2025-00101" not in page.url

    page.get_by_label("Request id").fill("PA-0000-00000")
    page.get_by_role("button", name="Find its trace").click()
    page.get_by_role("button", name="Search all that is kept").click()
    expect(page.get_by_text("No answer to this request is kept")).to_be_visible()
    assert console.errors == []


def test_a_dead_lettered_request_is_found_by_its_id(served: Served, page: Page) -> None:
    publish(served.found, [request(request_id="R-refused", policy_number="X.1")])
    assert eventually(lambda: any(b"R-refused" in one.value for one in everything_on(served.found, DEAD_LETTERS)))
    page.goto(served.url + "/decisions")
    page.get_by_label("Request id").fill("R-refused")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Request R-refused: not decided, unknown policy")).to_be_visible()
    expect(page.get_by_text("service dates", exact=True)).to_be_visible()


def test_the_work_list_is_sent_to_a_colleague_by_its_address(served: Served, page: Page) -> None:
    """A filtered list has its filters in the address, saves a file, and links to each case's trace without its id."""
    console = Console(page)
    late, asks = case("PA-2025-00101"), case("R-asks", lines=(line(1, "information_needed"),), due_at=None)
    publish_cases(served.found, [written(late), written(msgspec.structs.replace(asks, state="waiting"), 1)])
    page.goto(served.url + "/")
    page.get_by_role("link", name=re.compile("[0-9]+ overdue, a physician: show them")).click()
    expect(page).to_have_url(served.url + "/cases?acts_next=physician_reviewer&due=overdue")
    # Besides the worker's own cases, whose deadlines have passed too.
    expect(page.get_by_text(re.compile("[0-9]+ open cases? of [0-9]+; [1-9][0-9]* overdue"))).to_be_visible()
    assert page.get_by_text("R-asks").count() == 0

    with page.expect_download() as saved:
        page.get_by_role("button", name="Export CSV").click()
    assert "PA-2025-00101,physician_reviewer" in saved.value.path().read_text("utf-8")
    page.get_by_role("link", name="PA-2025-00101").click()
    expect(page.get_by_text("Request PA-2025-00101: A1 certified in total, due")).to_be_visible()
    assert "PA-2025-00101" not in page.url

    page.goto(served.url + "/cases?urgency=urgent")
    expect(page.get_by_text("urgency is never urgent; it is one of standard, expedited")).to_be_visible()
    page.get_by_role("link", name="All open cases").click()
    expect(page.get_by_text(re.compile("^[0-9]+ open cases; [1-9][0-9]* overdue"))).to_be_visible()
    page.get_by_label("Acts next").click()
    page.get_by_role("option", name="the provider").click()
    expect(page).to_have_url(served.url + "/cases?acts_next=provider")
    expect(page.get_by_text(re.compile("[0-9]+ open cases? of [0-9]+; [0-9]+ overdue"))).to_be_visible()
    expect(page.get_by_text("R-asks")).to_be_visible()
    assert console.errors == []


AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
SERIOUS = "axe.run().then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v => v.id))"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(served: Served, browser: Browser, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]  # one of those
    page, found = context.new_page(), {}
    publish_cases(served.found, [written(case("R-axe"))])
    for path in (*PAGES, "/decisions?case=" + digest(b"R-axe").hex()):
        page.goto(served.url + path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_timeout(2_000)
        page.evaluate(AXE)
        found[path] = page.evaluate(SERIOUS)
    context.close()

    assert {path: problems for path, problems in found.items() if problems} == {}


def test_it_is_usable_by_keyboard_and_on_a_phone_light_and_dark(served: Served, browser: Browser) -> None:
    context = browser.new_context(viewport=PHONE, color_scheme="dark")  # type: ignore[arg-type]  # a plain mapping
    page = context.new_page()
    page.goto(served.url + "/")
    expect(page.get_by_text("Requests are answered in time")).to_be_visible()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    for path in PAGES:
        page.goto(served.url + path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
    page.goto(served.url + "/")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(served.url + "/decisions")
    page.get_by_role("button", name="Dark or light").click()
    page.wait_for_timeout(1000)
    page.reload()
    expect(page.get_by_text("37 decisions")).to_be_visible()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    context.close()

    assert dark != light


def test_a_letter_is_masked_and_resent_after_confirmation(served: Served, page: Page) -> None:
    """A dead letter is shown masked and is sent again after a confirmation."""
    console = Console(page)
    page.goto(served.url + "/dead-letters")
    row = page.get_by_role("row").filter(has_text="schema violation").first
    row.get_by_role("checkbox").click()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("what may be personal is masked")).to_be_visible()
    expect(page.get_by_text("***").first).to_be_visible()
    assert "MBR" not in page.content()

    before = len(everything_on(served.found, REQUESTS))
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("Send 1 of 1 events again?")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    assert len(everything_on(served.found, REQUESTS)) == before
    page.get_by_role("button", name="Send again").click()
    page.get_by_role("button", name="Send 1 again").click()
    expect(page.get_by_text("1 of 1 were sent again")).to_be_visible()
    assert len(everything_on(served.found, REQUESTS)) == before + 1
    # It fails as before, and what became of it shows without a reload.
    expect(page.get_by_text("1 more came since")).to_be_visible()
    assert console.errors == []


def log_in(page: Page, url: str, token: str) -> None:
    page.goto(url + "/dead-letters")
    expect(page).to_have_url(url + "/login")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_text("Requests are answered in time")).to_be_visible()


def test_a_token_opens_it_and_only_the_one_to_act_sends_again(served: Served, page: Page) -> None:
    with dashboard(served.found, served.folder, "--allow-redrive", token=TOKEN, act=ACT) as url:
        log_in(page, url, TOKEN)
        page.goto(url + "/dead-letters")
        expect(page.get_by_role("row").filter(has_text="undecodable").first).to_be_visible()
        expect(page.get_by_text("You are here to look")).to_be_visible()
        assert page.get_by_role("button", name="Send again").count() == 0

        page.get_by_role("button", name="Log out").click()
        expect(page).to_have_url(url + "/login")
        log_in(page, url, ACT)
        page.goto(url + "/dead-letters")
        expect(page.get_by_role("button", name="Send again")).to_be_visible()


def test_an_open_page_is_useless_once_its_session_has_ended(served: Served, page: Page) -> None:
    """An open page shows nothing and does nothing more once its session has ended."""
    with dashboard(served.found, served.folder, "--allow-redrive", token=TOKEN, act=ACT) as url:
        log_in(page, url, ACT)
        page.goto(url + "/dead-letters")
        row = page.get_by_role("row").filter(has_text="schema violation").first
        row.get_by_role("checkbox").click()
        page.get_by_role("button", name="Send again").click()
        expect(page.get_by_role("button", name="Send 1 again")).to_be_visible()
        before = len(everything_on(served.found, REQUESTS))
        other = page.context.new_page()
        other.goto(url + "/")
        other.get_by_role("button", name="Log out").click()
        expect(other).to_have_url(url + "/login")

        page.get_by_role("button", name="Send 1 again").click()
        page.wait_for_timeout(3000)
        assert page.get_by_text("were sent again").count() == 0
        assert len(everything_on(served.found, REQUESTS)) == before


def test_without_leave_nothing_can_be_sent_again(served: Served, page: Page) -> None:
    with dashboard(served.found, served.folder, token=TOKEN, act=ACT) as url:
        log_in(page, url, ACT)
        page.goto(url + "/dead-letters")
        expect(page.get_by_role("row").filter(has_text="undecodable").first).to_be_visible()
        assert page.get_by_role("button", name="Send again").count() == 0


def test_numbers_move_while_one_looks(served: Served, page: Page) -> None:
    console = Console(page)
    page.goto(served.url + "/decisions")
    expect(page.get_by_text("decisions, made from")).to_be_visible()
    before = len(everything_on(served.found, DECISIONS))
    publish(served.found, [generator.encode(one) for one in generator.requests(91, 50)])
    expect(page.get_by_text(f"{before + 50} decisions")).to_be_visible()
    assert console.errors == []


def test_no_page_shows_what_is_personal_unasked(served: Served, page: Page) -> None:
    before = len(everything_on(served.found, DEAD_LETTERS))
    publish(served.found, list(marked_person.events()))
    assert eventually(lambda: len(everything_on(served.found, DEAD_LETTERS)) >= before + 16)
    page.goto(served.url + "/dead-letters")
    expect(page.get_by_role("row").filter(has_text="schema violation").nth(10)).to_be_visible()
    page.get_by_role("checkbox").first.click()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("what may be personal is masked").nth(10)).to_be_visible()
    seen = {"letters": page.content()}
    # The work list names requests, for those who have to act on them.
    for path in (one for one in PAGES if one != "/cases"):
        page.goto(served.url + path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_timeout(1000)
        seen[path] = page.content()
    assert marked_person.leaks(seen) == {}

    page.goto(served.url + "/decisions")
    page.get_by_label("Request id").fill(f"{marked_person.MARK}-R-0")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Request {marked_person.MARK}-R-0: ")).to_be_visible()
    # Who knows the id sees what was decided, and never for whom.
    assert marked_person.PERSON not in page.content()
    for number in range(12):
        page.get_by_label("Request id").fill(f"{marked_person.MARK}-W-{number}")
        page.keyboard.press("Enter")
        expect(page.get_by_text(f"Request {marked_person.MARK}-W-{number}: not decided")).to_be_visible()
        assert marked_person.PERSON not in page.content()


def test_hostile_data_is_text_in_a_browser_too(broker: Broker, browser: Browser, tmp_path: Path) -> None:
    found = settings_for(broker.bootstrap, f"hostile-{time.time_ns()}.", tmp_path)
    apply_topics.apply(found)
    names = (IMAGE, "{{constructor.constructor('window.pwned=1')()}}", "W" * 100)
    with worker(found, tmp_path), dashboard(found, tmp_path) as url:
        publish(found, [request(request_id=name) for name in names])
        publish(found, [request(request_id=f"bad {number}", **{name: name}) for number, name in enumerate(names)])
        assert eventually(lambda: len(everything_on(found, DECISIONS)) == len(names))
        write_by_hand(found.bootstrap, found.topic(DECISIONS), found.topic(DEAD_LETTERS))
        context = browser.new_context(viewport=PHONE)  # type: ignore[arg-type]  # a plain mapping
        page = context.new_page()
        console = Console(page)

        def unharmed() -> None:
            made = "document.querySelectorAll('[src=x], [onload], [onclick]').length"
            assert page.evaluate(f"[window.pwned, {made}]") == [None, 0]
            assert unseen(page.locator("body").inner_text().replace("\t", "")) == set()
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]

        page.goto(url + "/decisions")
        expect(page.get_by_text(f"{len(names) + len(HOSTILE)} decisions")).to_be_visible()
        for name in names:
            page.get_by_label("Request id").fill(name)
            page.keyboard.press("Enter")
            expect(page.get_by_text(f"Request {name}: ")).to_be_visible()
            unharmed()
        page.get_by_label("Request id").fill(EVERYTHING)
        page.keyboard.press("Enter")
        expect(page.get_by_text("It is not among the decisions and dead letters")).to_be_visible()
        page.get_by_label("Revision").click()
        expect(page.get_by_role("option").filter(has_text="<img").first).to_be_visible()
        page.get_by_role("option").filter(has_text="<img").first.click()
        page.locator(".nicegui-echart").first.hover()
        page.wait_for_timeout(1000)
        unharmed()

        page.goto(url + "/dead-letters")
        page.get_by_role("checkbox").first.click()
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_text("The event as it came").first).to_be_visible()
        page.wait_for_timeout(1000)
        unharmed()
        for path in PAGES:
            page.goto(url + path)
            page.wait_for_timeout(1000)
            unharmed()
        assert console.errors == []
        context.close()


@pytest.mark.kafka
def test_the_page_reports_a_lost_broker_and_goes_on(browser: Browser, tmp_path: Path) -> None:
    """A broker that goes away and comes back is reported, and the page goes on."""
    with KafkaBroker() as broker:
        found = settings_for(broker.bootstrap, "restart.", tmp_path)
        apply_topics.apply(found)
        with worker(found, tmp_path), dashboard(found, tmp_path) as url:
            page = browser.new_page()
            console = Console(page)
            page.goto(url)
            expect(page.get_by_text("Requests are answered in time")).to_be_visible()
            broker.kill()
            expect(page.get_by_text("Not known: the brokers last answered")).to_be_visible()
            expect(page.get_by_text("No numbers are shown")).to_be_visible()
            broker.start()
            expect(page.get_by_text("Requests are answered in time")).to_be_visible()
            publish(found, [generator.encode(one) for one in generator.requests(92, 20)])
            page.goto(f"{url}/decisions")
            expect(page.get_by_text("20 decisions")).to_be_visible()
            assert console.errors == []
            page.close()


def test_a_worker_that_is_gone_never_looks_healthy(broker: Broker, browser: Browser, tmp_path: Path) -> None:
    found = settings_for(broker.bootstrap, f"gone-{time.time_ns()}.", tmp_path, stalled_seconds=3)
    apply_topics.apply(found)
    publish(found, [generator.encode(one) for one in generator.requests(93, 5)])
    with dashboard(found, tmp_path) as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.get_by_text("No worker is running")).to_be_visible()
        assert level(page) == "bad"
        expect(page.get_by_text("the oldest for").first).to_be_visible()
        page.close()
