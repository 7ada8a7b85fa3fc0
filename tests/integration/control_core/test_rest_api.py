"""The REST API of the real program, on both databases: permissions, problems, pages."""

from __future__ import annotations

import base64
import json
import uuid

import httpx2
import pytest

from tests.control_fixtures import BROKEN_POLICY, GOOD_POLICY, RunningControl
from tests.node_box import Box, enrol_body, enrol_box, new_box_key

PROBLEM = "application/problem+json"


@pytest.fixture
def api(control: RunningControl) -> httpx2.Client:
    return control.client()


@pytest.fixture
def site(api: httpx2.Client) -> str:
    name = f"s-{uuid.uuid4().hex[:8]}"
    api.post("/api/v1/sites", json={"name": name}).raise_for_status()
    return name


def code(answer: httpx2.Response) -> str:
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    return str(body["code"])


def test_nobody_gets_in_without_a_login(control: RunningControl) -> None:
    visitor = control.visitor()
    for method, path in (("GET", "/sites"), ("POST", "/sites"), ("GET", "/audit"), ("GET", "/fleet"), ("GET", "/me")):
        answer = visitor.request(method, f"/api/v1{path}")
        assert (answer.status_code, code(answer)) == (401, "NOT_AUTHENTICATED")
        assert answer.json()["hint"]


def test_a_wrong_password_is_refused_and_who_goes_on_guessing_is_slowed_down(control: RunningControl) -> None:
    # From another address of the loopback network, so that the other tests are not slowed down with it.
    guesser = httpx2.Client(base_url=control.url, transport=httpx2.HTTPTransport(local_address="127.0.0.2"))
    answers = [guesser.post("/api/v1/login", json={"username": "admin", "password": "guess"}) for _ in range(12)]
    assert (answers[0].status_code, code(answers[0])) == (401, "WRONG_CREDENTIALS")
    assert (answers[-1].status_code, code(answers[-1])) == (429, "TOO_MANY_ATTEMPTS")
    assert int(answers[-1].headers["retry-after"]) > 0
    assert control.client().get("/api/v1/me").status_code == 200


def test_the_session_cookie_is_out_of_reach_for_scripts_and_other_sites(api: httpx2.Client) -> None:
    assert api.get("/api/v1/me").json() == {
        "actor": "user:admin",
        "name": "admin",
        "role": "admin",
        "grants": [{"role": "admin", "site": None}],
    }
    (cookie,) = api.cookies.jar
    assert cookie.name == "skerry_session"
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "strict"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "null"},
        {},
    ],
)
def test_a_cookie_without_our_own_page_changes_nothing(
    control: RunningControl, api: httpx2.Client, headers: dict[str, str]
) -> None:
    elsewhere = httpx2.Client(base_url=control.url, cookies=api.cookies, headers=headers, trust_env=False)
    answer = elsewhere.post("/api/v1/sites", json={"name": "stolen"})
    assert (answer.status_code, code(answer)) == (403, "CROSS_SITE_REQUEST")
    assert elsewhere.get("/api/v1/me").status_code == 200
    assert all(one["name"] != "stolen" for one in api.get("/api/v1/sites?limit=1000").json()["items"])


def test_another_site_cannot_log_a_browser_in(control: RunningControl) -> None:
    answer = httpx2.post(
        f"{control.url}/api/v1/login",
        json={"username": "admin", "password": control.password},
        headers={"Origin": "https://evil.example"},
        trust_env=False,
    )
    assert (answer.status_code, code(answer)) == (403, "CROSS_SITE_REQUEST")


def test_a_viewer_sees_and_changes_nothing(control: RunningControl, api: httpx2.Client, site: str) -> None:
    key = api.post("/api/v1/api-keys", json={"name": f"k-{site}", "role": "viewer"}).json()["key"]
    viewer = httpx2.Client(base_url=control.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)
    assert viewer.get("/api/v1/sites").status_code == 200
    assert viewer.get("/api/v1/fleet").status_code == 200
    assert viewer.post("/api/v1/policies/check", content=GOOD_POLICY).status_code == 200
    forbidden = [
        viewer.post("/api/v1/sites", json={"name": "x"}),
        viewer.post(f"/api/v1/sites/{site}/tokens"),
        viewer.post(f"/api/v1/sites/{site}/policies", content=GOOD_POLICY),
        viewer.post(f"/api/v1/sites/{site}/policies/1/publish"),
        viewer.post("/api/v1/nodes/x/revoke"),
        viewer.get("/api/v1/audit"),
        viewer.get("/api/v1/api-keys"),
    ]
    assert {(one.status_code, code(one)) for one in forbidden} == {(403, "FORBIDDEN")}


def test_a_policy_that_does_not_compile_names_line_and_column(api: httpx2.Client, site: str) -> None:
    answer = api.post(f"/api/v1/sites/{site}/policies", content=BROKEN_POLICY)
    assert (answer.status_code, code(answer)) == (422, "INVALID_POLICY")
    (finding,) = answer.json()["diagnostics"]
    assert (finding["severity"], finding["line"]) == ("error", 6)
    assert finding["column"] > 1
    assert finding["message"]
    assert api.post("/api/v1/policies/check", content=BROKEN_POLICY).json() == {"diagnostics": [finding]}


def test_a_policy_goes_from_upload_to_active_and_back(api: httpx2.Client, site: str) -> None:
    base = f"/api/v1/sites/{site}/policies"
    for version in (1, 2):
        made = api.post(base, content=GOOD_POLICY)
        assert made.status_code == 201
        assert made.json()["version"] == version
        assert api.post(f"{base}/{version}/publish").json()["active"] is True
    assert api.post(f"{base}/1/publish").json()["generation"] == 2
    listed = api.get(base).json()["items"]
    assert [(one["version"], one["active"], one["generation"]) for one in listed] == [(2, False, None), (1, True, 2)]
    assert api.get(f"{base}/1").content == GOOD_POLICY


def test_what_is_not_there_is_called_so(api: httpx2.Client, site: str) -> None:
    for method, path, expected in (
        ("POST", "sites/nowhere/tokens", "UNKNOWN_SITE"),
        ("GET", "sites/nowhere/policies", "UNKNOWN_SITE"),
        ("GET", "nodes?site=nowhere", "UNKNOWN_SITE"),
        ("POST", f"sites/{site}/policies/7/publish", "UNKNOWN_POLICY_VERSION"),
        ("POST", "nodes/ffff/revoke", "UNKNOWN_NODE"),
        ("GET", "no-such-thing", "NOT_FOUND"),
    ):
        answer = api.request(method, f"/api/v1/{path}")
        assert (answer.status_code, code(answer)) == (404, expected)


def test_what_cannot_be_understood_is_said_without_repeating_it(api: httpx2.Client) -> None:
    for body in ({"name": "Has Blanks"}, {"name": "x" * 64}, {"name": "a/b"}, {}, {"name": "ok", "nmae": "secret"}):
        answer = api.post("/api/v1/sites", json=body)
        assert answer.status_code == 422
        assert code(answer) in {"INVALID_NAME", "INVALID_REQUEST"}
        assert "secret" not in answer.text
    for cursor in ("%%%", "bm9uc2Vuc2U", base64.b64encode(b'["a","b"]').decode(), "bnVsbA"):
        assert code(api.get("/api/v1/sites", params={"cursor": cursor})) == "INVALID_CURSOR"


def test_lists_come_in_pages(api: httpx2.Client, site: str) -> None:
    names = {f"{site}-{number}" for number in range(5)}
    for name in names:
        api.post("/api/v1/sites", json={"name": name}).raise_for_status()
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = api.get("/api/v1/sites", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        assert len(page["items"]) <= 2
        seen += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names <= set(seen)
    assert seen == sorted(set(seen))


def enrol(api: httpx2.Client, token: str, **change: str) -> httpx2.Response:
    body = json.loads(enrol_body(token, name="box", csr_pem=new_box_key().csr_pem)) | change
    return api.post("/api/v1/enrol", json=body)


def test_each_wrong_token_has_its_own_code_and_a_hint(control: RunningControl, api: httpx2.Client, site: str) -> None:
    visitor = control.visitor()
    token = api.post(f"/api/v1/sites/{site}/tokens").json()["token"]
    cases = (
        (enrol(visitor, token, tokenSecret="f" * 40), 403, "TOKEN_UNKNOWN"),
        (enrol(visitor, token, tokenSecret="short"), 400, "TOKEN_MALFORMED"),
        (enrol(visitor, token, csrPem=base64.b64encode(b"garbage").decode()), 422, "INVALID_CSR"),
        (visitor.post("/api/v1/enrol", content=b"{nonsense"), 400, "TOKEN_MALFORMED"),
        (visitor.post("/api/v1/enrol", content=b"\xff"), 400, "TOKEN_MALFORMED"),
    )
    assert enrol(visitor, token).status_code == 200
    for answer, status, expected in (*cases, (enrol(visitor, token), 409, "TOKEN_USED")):
        assert (answer.status_code, code(answer)) == (status, expected)
        assert answer.json()["hint"]
    other = api.post(f"/api/v1/sites/{site}/tokens").json()["token"]
    taken = enrol(visitor, other)
    assert (taken.status_code, code(taken)) == (409, "NAME_TAKEN")


def test_the_fleet_shows_a_node_that_was_never_heard_of_as_such(api: httpx2.Client, site: str) -> None:
    box: Box = enrol_box(api, site, "quiet")
    (node,) = api.get("/api/v1/nodes", params={"site": site}).json()["items"]
    assert (node["id"], node["state"], node["age_seconds"]) == (box.answer.node_id, "never", None)
    fleet = api.get("/api/v1/fleet", params={"limit": 1000}).json()["items"]
    (shown,) = [one for one in fleet if one["site"] == site]
    assert shown["nodes_online"] == 0
    assert shown["policy_wanted"] is None
    assert shown["nodes"][0]["policy_state"] == "none"


def test_changes_are_in_the_trail_with_their_author(api: httpx2.Client, site: str) -> None:
    rows = api.get("/api/v1/audit").json()["items"]
    assert any(row["object"] == f"site:{site}" and row["actor"] == "user:admin" for row in rows)
    assert api.get("/api/v1/audit/check").json() == {"intact": True, "first_broken_sequence": None}


def test_probes_and_metrics_answer_without_a_login(control: RunningControl) -> None:
    visitor = control.visitor()
    assert visitor.get("/livez").json() == {"status": "alive"}
    assert visitor.get("/readyz").json() == {"status": "ready"}
    assert "skerry_control_http_requests_total" in visitor.get("/metrics").text


def test_answers_are_kept_by_nobody(api: httpx2.Client) -> None:
    headers = api.get("/api/v1/sites").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


HOSTILE = [
    "%00",
    "a%00b",
    "%ff",
    "%ed%a0%80",
    "..",
    "%2e%2e%2fetc",
    "a" * 5000,
    "'; DROP TABLE site; --",
    "%F0%9F%98%80",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_unknown_and_never_an_error_of_ours(api: httpx2.Client, site: str, text: str) -> None:
    answers = [
        api.post(f"/api/v1/sites/{text}/tokens"),
        api.get(f"/api/v1/sites/{text}/policies"),
        api.post(f"/api/v1/nodes/{text}/revoke"),
        api.get(f"/api/v1/nodes/{text}"),
        api.get(f"/api/v1/nodes?site={text}"),
        api.post(f"/api/v1/api-keys/{text}/revoke"),
        api.get(f"/api/v1/sites?cursor={text}"),
        api.post(f"/api/v1/sites/{site}/policies/{text}/publish"),
    ]
    assert all(400 <= answer.status_code < 500 for answer in answers), [one.status_code for one in answers]


@pytest.mark.parametrize("place", ['["\\u0000"]', '["\\ud800"]', "[1e999]", "[99999999999999999999]", "[true]", "{}"])
def test_a_forged_cursor_is_an_invalid_one(api: httpx2.Client, place: str) -> None:
    cursor = base64.urlsafe_b64encode(place.encode()).decode()
    for path in ("sites", "audit", "nodes", "api-keys", "fleet"):
        assert code(api.get(f"/api/v1/{path}", params={"cursor": cursor})) == "INVALID_CURSOR"


def test_a_version_beyond_all_numbers_is_not_an_error_of_ours(api: httpx2.Client, site: str) -> None:
    assert api.post(f"/api/v1/sites/{site}/policies/{10**30}/publish").status_code == 422


@pytest.mark.parametrize(
    "body", [b'{"username": "\\u0000", "password": "x"}', b'{"username": "a", "password": "\\ud800"}']
)
def test_a_login_with_strange_texts_is_refused(api: httpx2.Client, body: bytes) -> None:
    answer = api.post("/api/v1/login", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {401, 422}


def test_a_body_without_end_is_cut_off(api: httpx2.Client, site: str) -> None:
    for path in ("login", "enrol", f"sites/{site}/policies"):
        answer = api.post(f"/api/v1/{path}", content=(b" " * 65536 for _ in range(64)))
        assert answer.status_code in {400, 413, 422}
