"""The brake on guessing passwords, at the real program."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.control_fixtures import running_control


def test_guesses_at_once_are_braked_like_guesses_in_a_row(tmp_path: Path) -> None:
    with running_control(tmp_path / "data") as control:

        def guess(number: int) -> int:
            with control.visitor() as visitor:
                body = {"username": "admin", "password": f"guess {number}"}
                return visitor.post("/api/v1/login", json=body).status_code

        with ThreadPoolExecutor(30) as pool:
            answers = Counter(pool.map(guess, range(30)))
    assert answers == {401: 10, 429: 20}


def test_who_forges_an_address_behind_a_trusted_proxy_is_braked_by_the_real_one(tmp_path: Path) -> None:
    with running_control(tmp_path / "data", "--behind-proxy") as control, control.visitor() as visitor:
        answers = Counter(
            visitor.post(
                "/api/v1/login",
                json={"username": "admin", "password": "guess"},
                headers={"X-Forwarded-For": f"10.9.{number}.1, 203.0.113.7"},
            ).status_code
            for number in range(12)
        )
    assert answers == {401: 10, 429: 2}
