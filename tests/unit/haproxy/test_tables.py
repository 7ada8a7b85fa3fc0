"""HAProxy's tables are read whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haproxy.errors import AnswerGarbled
from haproxy.manager.deeds import AskAgent, SetState, SetWeight, needed
from haproxy.manager.observing import Reading
from haproxy.manager.state_file import WantedServer, server_state
from haproxy.sockets.tables import Processes, read_info, read_processes, read_servers_state, read_stat

SHOW_PROC = """#<PID>          <type>          <reloads>       <uptime>        <version>
700             master          3 [failed: 1]   0d00h00m42s     2.6.12-1+deb12u3
# workers
733             worker          0               0d00h00m08s     2.6.12-1+deb12u3
# old workers
701             worker          2               0d00h00m42s     2.6.12-1+deb12u3
712             worker          1               0d00h00m20s     2.6.12-1+deb12u3
# programs

"""
HEADING = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr srv_agent_port"
)


def line(server: str, *, admin: int = 0, weight: int = 100, own: int = 100, agent: int = 0, port: int = 104) -> str:
    return f"3 p.l 1 {server} 10.0.0.1 2 {admin} {weight} {own} 5 15 3 4 6 {agent} 0 0 - {port} - 0 0 - - 0"


def state_of(*lines: str) -> str:
    return "\n".join(["1", HEADING, *lines, "", ""])


def reading(*lines: str) -> Reading:
    heading, rows = read_servers_state(state_of(*lines))
    processes = Processes(master=1, reloads=0, failed=0, worker=2, old_workers=(), version="2.6")
    return Reading(processes=processes, stat=(), heading=heading, state=rows, sessions={}, at=0.0)


def wanted(server: str, **more: object) -> WantedServer:
    facts = {"proxy": "p.l", "server": server, "address": "10.0.0.1", "port": 104, "weight": 100, "state": "ready"}
    return WantedServer(**{**facts, **more})  # type: ignore[arg-type]


def test_the_processes_of_a_master_are_told_apart() -> None:
    found = read_processes(SHOW_PROC)
    assert (found.master, found.reloads, found.failed) == (700, 3, 1)
    assert (found.worker, found.old_workers) == (733, (701, 712))


@pytest.mark.parametrize("cut", [1, 40, 200, 300])
def test_an_answer_that_was_cut_off_is_an_error(cut: int) -> None:
    with pytest.raises(AnswerGarbled):
        read_processes(SHOW_PROC[:-cut])


@given(st.text(max_size=300))
def test_whatever_a_socket_says_is_a_table_or_an_error(text: str) -> None:
    for read in (read_stat, read_servers_state, read_processes, read_info):
        try:
            read(text)
        except AnswerGarbled:
            continue


def test_nothing_is_said_to_a_server_that_is_as_wanted() -> None:
    assert needed([wanted("a"), wanted("b", state="maint")], reading(line("a"), line("b", admin=1))) == ()


def test_a_server_that_rests_without_being_asked_to_is_brought_back() -> None:
    deeds = needed([wanted("a")], reading(line("a", admin=8)))
    assert deeds == (SetState(proxy="p.l", server="a", state="ready"),)


def test_the_agent_of_a_node_that_a_person_keeps_out_is_not_asked() -> None:
    deeds = needed([wanted("a", state="drain")], reading(line("a", agent=6)))
    assert deeds == (
        AskAgent(proxy="p.l", server="a", on=False),
        SetState(proxy="p.l", server="a", state="drain"),
    )
    assert AskAgent(proxy="p.l", server="a", on=True) in needed([wanted("a")], reading(line("a", admin=8, agent=2)))


def test_an_agent_that_is_asked_gives_the_weight() -> None:
    assert needed([wanted("a", weight=100)], reading(line("a", weight=75, agent=6))) == ()
    assert needed([wanted("a", weight=100)], reading(line("a", weight=75))) == (
        SetWeight(proxy="p.l", server="a", weight=100),
    )


def test_a_drain_is_in_the_file_that_a_new_worker_reads_also_for_a_server_that_is_new() -> None:
    before = reading(line("a"))
    text = server_state([wanted("a", state="drain"), wanted("new", state="maint")], before.state, before.heading)
    _, rows = read_servers_state(text + "\n")
    assert {row.server: row.admin for row in rows} == {"a": 8, "new": 1}


def test_a_server_that_moved_begins_anew() -> None:
    before = reading(line("a", port=104))
    text = server_state([wanted("a", port=11112)], before.state, before.heading)
    assert "p.l" not in text, "the old port would win"
