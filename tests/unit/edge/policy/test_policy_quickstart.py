"""`--to AETITLE@HOST:PORT`: a policy from one word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import PolicyError
from edge.model import DicomDestination
from edge.policy.document import check_policy, load_policy
from edge.policy.quickstart import everything_to


def test_everything_goes_to_every_peer() -> None:
    policy = load_policy(everything_to(["PACS@10.0.0.5:104", "PACS@[fd00::5]:11112", "MY PACS@pacs.example:1"]))
    assert policy.destinations == (
        DicomDestination(name="PACS", host="10.0.0.5", port=104, ae_title="PACS"),
        DicomDestination(name="PACS-2", host="fd00::5", port=11112, ae_title="PACS"),
        DicomDestination(name="MY-PACS", host="pacs.example", port=1, ae_title="MY PACS"),
    )
    (route,) = policy.routes
    assert (route.name, route.when, route.to) == ("everything", None, ("PACS", "PACS-2", "MY-PACS"))


def test_without_peers_the_node_only_buffers() -> None:
    policy = load_policy(everything_to([]))
    assert (policy.destinations, policy.routes) == ((), ())


@pytest.mark.parametrize("ae_title", ["NO", "1234", "~", "#1", "{A", "'\"", "&x", "_x", "null", "A" * 16])
def test_an_odd_ae_title_survives_yaml(ae_title: str) -> None:
    (destination,) = load_policy(everything_to([f"{ae_title}@h:104"])).destinations
    assert isinstance(destination, DicomDestination)
    assert destination.ae_title == ae_title


@pytest.mark.parametrize(
    "peer",
    [
        *("", "PACS", "PACS@host", "@host:104", "PACS@host:0", "PACS@host:70000", "PACS@host:x", "PACS@:104"),
        *("P\\S@h:1", "A" * 17 + "@h:1", "É@h:1", "PACS@a@b:104", "PACS@fd00::5:104", "PACS@h:104/x"),
    ],
)
def test_what_is_no_peer_is_refused_with_the_form_that_was_expected(peer: str) -> None:
    with pytest.raises(PolicyError) as caught:
        everything_to(["OK@h:1", peer])
    assert "AETITLE@HOST:PORT" in caught.value.hint


@given(st.lists(st.text(max_size=24), max_size=3))
def test_any_words_give_a_policy_that_loads_or_a_refusal(peers: list[str]) -> None:
    try:
        document = everything_to(peers)
    except PolicyError:
        return
    assert check_policy(document) == ()
