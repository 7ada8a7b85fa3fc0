"""The whole control plane in this process, spoken to as a browser and as programs do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from control.clock import utcnow
from control.db.session import open_database
from control.inbox.batch import Sender
from control.inbox.service import InboxService
from control.paging import write_cursor
from control.server import serving
from control.settings import Settings
from tests.mesh_events import batch, changed, received

NORTH = Sender(node_id="n1", site="north")


@pytest.fixture
async def control(database_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a control plane that runs."""
    url_file = tmp_path / "database-url"
    url_file.write_text(database_url)
    settings = Settings.model_validate(
        {"data_dir": tmp_path / "data", "database_url_file": url_file, "http": "127.0.0.1:0", "https": "127.0.0.1:0",
         "grpc": "127.0.0.1:0"}
    )  # fmt: skip
    (tmp_path / "data").mkdir()
    async with serving(settings) as where:
        yield str(where.http)


@pytest.fixture
async def browser(control: str, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody who has logged in."""
    password = (tmp_path / "data" / "admin-password").read_text().strip()
    async with httpx2.AsyncClient(base_url=f"http://{control}", headers={"Origin": f"http://{control}"}) as client:
        answer = await client.post("/api/v1/login", json={"username": "admin", "password": password})
        assert answer.status_code == 200, answer.text
        yield client


async def another_replica_takes(database_url: str, *events: Any, epoch: int = 1) -> None:
    """Events that this process does not see coming: another replica writes them into the same database."""
    database = open_database(database_url)
    await InboxService(database, utcnow).push(NORTH, batch(events, epoch=epoch))
    await database.close()


def cookie(browser: httpx2.AsyncClient) -> str:
    return f"skerry_session={browser.cookies['skerry_session']}"


async def next_message(socket: Any) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await socket.recv())


async def test_a_study_is_searched_and_traced_over_rest(browser: httpx2.AsyncClient, database_url: str) -> None:
    await another_replica_takes(database_url, received(1), changed(2, 1, "delivered", attempts=1))
    found = (await browser.get("/api/v1/studies", params={"q": "doe", "state": "delivered"})).json()
    assert [item["study_instance_uid"] for item in found["items"]] == ["1.2.3"]
    assert found["next_cursor"] is None
    trace = (await browser.get("/api/v1/studies/1.2.3/trace")).json()
    assert trace["study"]["delivered"] == 1
    assert [one["deliveries"][0]["state"] for one in trace["instances"]] == ["delivered"]
    instances = (await browser.get("/api/v1/instances", params={"sop_instance_uid": "1.2.3.1.1"})).json()
    assert len(instances["items"]) == 1


async def test_a_study_with_an_odd_uid_or_none_is_traced_too(browser: httpx2.AsyncClient, database_url: str) -> None:
    odd = '../../etc/passwd?#"<b>'
    await another_replica_takes(database_url, received(1, study=odd), received(2, study=""))
    for uid, path in ((odd, quote(odd, safe="")), ("", "-")):
        trace = (await browser.get(f"/api/v1/studies/{path}/trace")).raise_for_status().json()
        assert trace["study"]["study_instance_uid"] == uid
        assert len(trace["instances"]) == 1


async def test_an_origin_that_is_none_is_another_site(control: str) -> None:
    async with httpx2.AsyncClient(base_url=f"http://{control}", headers={"Origin": "http://["}) as client:
        answer = await client.post("/api/v1/login", json={"username": "admin", "password": "x"})
    assert answer.status_code == 403


async def test_pages_follow_their_cursor_over_rest(browser: httpx2.AsyncClient, database_url: str) -> None:
    await another_replica_takes(database_url, *(received(n, study=f"1.{n}") for n in range(1, 6)))
    seen, cursor = [], None
    while True:
        page = (
            await browser.get("/api/v1/studies", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        seen += [item["study_instance_uid"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == ["1.5", "1.4", "1.3", "1.2", "1.1"]


async def test_bad_questions_are_problems_that_repeat_no_value(browser: httpx2.AsyncClient) -> None:
    for path, status in (
        ("/api/v1/studies?cursor=DOE", 422),
        (f"/api/v1/studies?cursor={write_cursor(2**62, 'x')}", 422),
        (f"/api/v1/instances?cursor={write_cursor(-(2**62), 'a', 'b')}", 422),
        ("/api/v1/studies?patient_id=%00", 422),
        ("/api/v1/studies?site=a%00", 422),
        ("/api/v1/studies?q=a%00b", 422),
        ("/api/v1/studies?sop_instance_uid=1%00", 422),
        ("/api/v1/instances?node_id=%00", 422),
        ("/api/v1/studies/1%00/trace", 422),
        ("/api/v1/studies?state=lost", 422),
        ("/api/v1/studies?study_date_from=DOE", 422),
        ("/api/v1/studies?q=a+b+c+d+e+f+g+h+DOE", 422),
        ("/api/v1/studies/9.9/trace", 404),
        ("/api/v1/events?after=-1", 422),
    ):
        answer = await browser.get(path)
        assert answer.status_code == status, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert "DOE" not in answer.text


async def test_nothing_is_told_to_a_stranger(control: str) -> None:
    async with httpx2.AsyncClient(base_url=f"http://{control}") as stranger:
        for path in ("/studies", "/studies/1.2.3/trace", "/instances", "/events", "/fleet"):
            assert (await stranger.get(f"/api/v1{path}")).status_code == 401, path


async def test_events_can_be_asked_for_behind_a_sequence(browser: httpx2.AsyncClient, database_url: str) -> None:
    await another_replica_takes(database_url, received(1), received(2, study="9.9"))
    page = (await browser.get("/api/v1/events", params={"after": 1})).json()
    assert [line["body"]["study_instance_uid"] for line in page["items"]] == ["9.9"]
    assert (page["newest"], page["refetch"]) == (2, False)
    assert (await browser.get("/api/v1/events", params={"after": 99})).json()["refetch"] is True


async def test_a_watcher_hears_of_what_another_replica_wrote(
    control: str, browser: httpx2.AsyncClient, database_url: str
) -> None:
    async with connect(
        f"ws://{control}/api/v1/live",
        origin=Origin(f"http://{control}"),
        additional_headers={"Cookie": cookie(browser)},
    ) as socket:
        assert await next_message(socket) == {"type": "hello", "sequence": 0}
        await another_replica_takes(database_url, received(1))
        told = await next_message(socket)
    assert (told["type"], told["sequence"], told["kind"]) == ("event", 1, "study_changed")
    assert told["body"]["received"] == 1


async def test_a_watcher_resumes_where_it_was(control: str, browser: httpx2.AsyncClient, database_url: str) -> None:
    await another_replica_takes(database_url, received(1), received(2, study="9.9"))
    headers = {"Cookie": cookie(browser)}
    async with connect(
        f"ws://{control}/api/v1/live?after=1", origin=Origin(f"http://{control}"), additional_headers=headers
    ) as socket:
        assert await next_message(socket) == {"type": "hello", "sequence": 2}
        assert (await next_message(socket))["sequence"] == 2
    async with connect(
        f"ws://{control}/api/v1/live?after=77", origin=Origin(f"http://{control}"), additional_headers=headers
    ) as socket:
        await next_message(socket)
        assert await next_message(socket) == {"type": "refetch", "sequence": 2}


async def test_a_program_watches_with_its_key(control: str, browser: httpx2.AsyncClient) -> None:
    key = (await browser.post("/api/v1/api-keys", json={"name": "wall-screen", "role": "viewer"})).json()["key"]
    assert (await browser.get("/api/v1/api-keys")).json()["items"][0]["role"] == "viewer"
    async with connect(f"ws://{control}/api/v1/live", additional_headers={"Authorization": f"Bearer {key}"}) as socket:
        assert (await next_message(socket))["type"] == "hello"


async def test_a_revoked_key_stops_watching_a_feed_that_is_never_silent(
    control: str, browser: httpx2.AsyncClient, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control.live.routes.ASK_AGAIN_SECONDS", 2.5)
    key = (await browser.post("/api/v1/api-keys", json={"name": "wall-screen", "role": "viewer"})).json()["key"]

    async def keep_busy() -> None:
        for number in range(1, 1000):
            await another_replica_takes(database_url, received(number))
            await asyncio.sleep(0.3)

    busy = asyncio.create_task(keep_busy())
    async with connect(f"ws://{control}/api/v1/live", additional_headers={"Authorization": f"Bearer {key}"}) as socket:
        (await browser.post("/api/v1/api-keys/wall-screen/revoke")).raise_for_status()
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(_watch(socket), 8)
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


async def _watch(socket: Any) -> None:
    while True:
        await socket.recv()


async def test_strangers_and_other_web_sites_cannot_watch(control: str, browser: httpx2.AsyncClient) -> None:
    async with connect(f"ws://{control}/api/v1/live", origin=Origin(f"http://{control}")) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await next_message(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401
    for origin in (Origin("http://evil.example"), None):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{control}/api/v1/live", origin=origin, additional_headers={"Cookie": cookie(browser)})
        assert refused.value.response.status_code == 403


class PageReader(HTMLParser):
    """What a page would run or fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.inline: list[str] = []
        self._open = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        for name, value in attrs:
            if name in {"src", "href"} and tag in {"script", "link", "img"}:
                self.fetched.append(value or "")
            if name.startswith("on") or name == "style":
                self.inline.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        if self._open in {"script", "style"} and data.strip():
            self.inline.append(data)


async def test_the_start_page_runs_nothing_inline_and_fetches_nothing_from_elsewhere(control: str) -> None:
    async with httpx2.AsyncClient(base_url=f"http://{control}") as client:
        page = await client.get("/")
        policy = page.headers["content-security-policy"]
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        reader = PageReader()
        reader.feed(page.text)
        assert reader.inline == []
        wanted = set(reader.fetched)
        kinds = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
        seen: set[str] = set()
        while wanted - seen:
            path = (wanted - seen).pop()
            seen.add(path)
            assert path.startswith("/static/")
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert answer.headers["content-type"].startswith(kinds[Path(path).suffix])
            wanted |= {f"/static/{name}" for name in re.findall(r'from "\./([a-z]+\.js)"', answer.text)}
        assert {path.rpartition("/")[2] for path in seen} >= {"main.js", "trace.js", "live.js", "dom.js", "app.css"}


async def test_page_files_are_named_never_found_by_path(control: str) -> None:
    async with httpx2.AsyncClient(base_url=f"http://{control}") as client:
        for path in ("/static/../pages.py", "/static/%2e%2e%2fpages.py", "/static/nothing.js"):
            assert (await client.get(path)).status_code == 404, path
        first = await client.get("/static/main.js")
        again = await client.get("/static/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


def test_no_script_of_the_page_makes_markup_of_text() -> None:
    for script in (Path(__file__).parents[3] / "control" / "static").glob("*.js"):
        text = script.read_text()
        for door in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "https://",
        ):
            assert door not in text, f"{script.name} uses {door}"
