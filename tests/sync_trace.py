"""A system-call trace of a node, read strictly: for each success that was sent, was its file on the disk before?

The trace is that of `strace -f -yy -xx`. A call counts from the line on which it returned, an answer from the line on
which its send began: whatever the kernel did between two lines, nothing is taken for earlier than it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests import byte_commands as commands
from tests import byte_pdus as pdus

CALLS = (
    "openat,mkdir,mkdirat,rename,renameat,renameat2,linkat,"
    "write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sendto,sendmsg"
)
MOST_BYTES = 4096
"""Of each buffer: more than the head of a spool file, and than any answer."""
_WRITES = frozenset({"write", "writev", "pwrite64", "pwritev", "pwritev2"})
_SENDS = frozenset({"sendto", "sendmsg", "write", "writev"})
_SYNCS = frozenset({"fsync", "fdatasync"})
_LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$")
_DESCRIPTOR = re.compile(r"^\d+<((?:->|[^<>])*)>")
_HEX = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_PATH_RESULT = re.compile(r"= \d+<([^<>]*)>$")
_UNFINISHED = " <unfinished ...>"


class BadTrace(AssertionError):
    """A line that the reader does not understand: a trace that cannot be read proves nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """One system call: its begin or its end, where it stands in the trace."""

    name: str
    arguments: str
    """With the result, when it has ended."""
    begins: bool
    ends: bool

    @property
    def target(self) -> str:
        """What its first argument, a descriptor, stands for."""
        found = _DESCRIPTOR.match(self.arguments)
        return _unescaped(found[1]) if found else ""

    @property
    def succeeded(self) -> bool:
        """Whether the result is no error."""
        return not re.search(r"= -1 E|= \?", self.arguments)


@dataclass(slots=True)
class Checked:
    """What a trace shows."""

    successes: int = 0
    violations: list[str] = field(default_factory=list)
    new_files: int = 0
    """Successes whose file was made for the instance."""
    used_files: int = 0
    """Successes whose file had been written and synced before it got the instance."""


@dataclass(slots=True)
class _File:
    written: set[str] = field(default_factory=set)
    """UIDs in what was written to it since its last sync."""
    durable: set[str] = field(default_factory=set)
    unsynced: bool = False
    ready: bool = False
    """It was synced while it held nothing, or another instance."""
    entered: bool = True
    """Whether its directory was synced since it was made."""


def check(lines: Iterable[str], uids: Iterable[str], port: int) -> Checked:
    """Judge the trace of a node that receives at `port`.

    `uids` are the SOP instances that were sent; each stands whole in the head of its file.
    """
    marks = {uid: uid.encode() for uid in uids}
    files: dict[str, _File] = {}
    folders: dict[str, bool] = {}
    checked = Checked()
    for call in calls(lines):
        if call.begins and call.name in _SENDS and call.target.startswith(f"TCP:[127.0.0.1:{port}->"):
            for uid in successes(content_of(call.arguments)):
                _judge(uid, files, folders, checked)
        elif call.ends and call.succeeded:
            _note(call, files, folders, marks)
    return checked


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """Begins and ends of calls, in the order of the trace."""
    begun: dict[tuple[str, str], str] = {}
    for line in lines:
        text = line.rstrip("\n")
        if " +++ " in text or " --- " in text or not text:
            continue
        found = _LINE.match(text)
        if found is None:
            raise BadTrace(text[:200])
        process, resumed, name, rest = found.groups()
        if resumed:
            start = begun.pop((process, resumed), None)
            if start is None:
                raise BadTrace(f"resumed, but never begun: {text[:200]}")
            yield Call(resumed, start + rest, begins=False, ends=True)
        elif rest.endswith(_UNFINISHED):
            start = rest.removesuffix(_UNFINISHED)
            begun[process, name] = start
            yield Call(name, start, begins=True, ends=False)
        else:
            yield Call(name, rest, begins=True, ends=True)


def successes(sent: bytes) -> list[str]:
    """The SOP instances of the C-STORE responses with status 0 in these bytes."""
    found: list[str] = []
    while sent[:1] == b"\x04":
        length = int.from_bytes(sent[2:6], "big")
        for one in pdus.read_pdvs(sent[6 : 6 + length]):
            assert one.is_command
            assert one.is_last, "a response in several fragments is not looked for here"
            command = commands.read_command(one.content)
            if command.field == commands.STORE_RSP and command.number(commands.STATUS) == 0:
                found.append(command.text(commands.AFFECTED_INSTANCE))
        sent = sent[6 + length :]
    return found


def _note(call: Call, files: dict[str, _File], folders: dict[str, bool], marks: dict[str, bytes]) -> None:
    if call.name in ("mkdir", "mkdirat"):
        folders[_texts(call.arguments)] = False
    elif call.name == "openat" and "O_CREAT" in call.arguments:
        path = _PATH_RESULT.search(call.arguments)
        if path and "O_EXCL" in call.arguments:
            files[_unescaped(path[1])] = _File(entered=False)
    elif call.name in ("rename", "renameat", "renameat2", "linkat"):
        if ".dcm" in _texts(call.arguments):
            raise BadTrace(f"spool files are expected to stay where they are: {call.arguments[:200]}")
    elif call.name in _WRITES and call.target.endswith(".dcm"):
        file = files.setdefault(call.target, _File())
        content = content_of(call.arguments)
        file.written |= {uid for uid, mark in marks.items() if _holds(content, mark)}
        file.unsynced = True
        if "RWF_DSYNC" in call.arguments:
            _synced(file, only_this=True, uids={uid for uid, mark in marks.items() if _holds(content, mark)})
    elif call.name in _SYNCS:
        if call.target.endswith(".dcm"):
            _synced(files.setdefault(call.target, _File()))
        elif call.name == "fsync":
            _entered(call.target, files, folders)


def _entered(folder: str, files: dict[str, _File], folders: dict[str, bool]) -> None:
    """The names in this folder would survive a power cut."""
    for path, file in files.items():
        file.entered |= parent(path) == folder
    for path in folders:
        folders[path] |= parent(path) == folder


def parent(path: str) -> str:
    """The folder that a path of the trace stands in."""
    return path.rpartition("/")[0]


def _synced(file: _File, *, only_this: bool = False, uids: Iterable[str] = ()) -> None:
    """A sync of the file makes all writes durable; a durable write only itself, and all when nothing else waited."""
    if not only_this:
        file.ready |= not file.written
        file.durable, file.written, file.unsynced = file.durable | file.written, set(), False
        return
    file.durable |= set(uids)
    file.written -= set(uids)
    file.unsynced = bool(file.written)


def _judge(uid: str, files: dict[str, _File], folders: dict[str, bool], checked: Checked) -> None:
    checked.successes += 1
    paths = [path for path, file in files.items() if uid in file.durable | file.written]
    holding = [files[path] for path in paths]
    if not holding:
        checked.violations.append(f"{uid}: success, and nothing of it was written")
        return
    if not any(uid in file.durable and uid not in file.written and not file.unsynced for file in holding):
        checked.violations.append(f"{uid}: success before its file was synced")
    elif not any(file.entered for file in holding):
        checked.violations.append(f"{uid}: success before the directory of its new file was synced")
    elif not all(done for path in paths for folder, done in folders.items() if path.startswith(folder + "/")):
        checked.violations.append(f"{uid}: success before the directory that its new directory stands in was synced")
    used = any(file.ready for file in holding)
    checked.used_files += used
    checked.new_files += not used


def _holds(content: bytes, mark: bytes) -> bool:
    """Whether the UID stands there whole: not as the beginning of a longer one."""
    return re.search(re.escape(mark) + rb"(?![0-9.])", content) is not None


def content_of(arguments: str) -> bytes:
    """The buffers and texts among the arguments of a call."""
    return b"".join(bytes.fromhex(one.replace("\\x", "")) for one in _HEX.findall(arguments))


def _texts(arguments: str) -> str:
    return content_of(arguments).decode("latin-1")


def _unescaped(path: str) -> str:
    """A path of `-xx -yy`: hexadecimal there too."""
    if "\\x" not in path:
        return path
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), path)
