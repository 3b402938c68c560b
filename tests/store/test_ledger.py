"""The ledger under every kind of damage: what was flushed is there, what was torn is owed, nothing raises."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from lakon.core.errors import StoreError
from lakon.store import filesystem
from lakon.store.filesystem import write_at
from lakon.store.ledger import ledger as ledger_module
from lakon.store.ledger import writer as ledger_writer
from lakon.store.ledger.ledger import MAGIC, Ledger
from lakon.store.locks import take_lock


def key(i: int) -> str:
    """The call key of the i-th request."""
    return f"{i:032x}"


def payload(i: int, size: int = 20) -> dict[str, object]:
    """A payload that names its key; larger ones are compressed on disk."""
    return {"i": i, "text": "ab" * (size // 2)}


def fill(path: Path, n: int, *, size: int = 20) -> list[int]:
    """Write n records one by one; the file's length after each."""
    ends: list[int] = []
    with Ledger.open(path) as ledger:
        for i in range(n):
            ledger.put(key(i), payload(i, size))
            ledger.flush()
            ends.append(path.stat().st_size)
    return ends


def held(path: Path) -> set[int]:
    """The records that a fresh opening can read back intact."""
    with Ledger.open(path) as ledger:
        found = {int(k, 16) for k in ledger.keys()}  # noqa: SIM118 - `keys` is the ledger's method, not a dict's
        assert all(ledger.get(key(i)) == payload(i) for i in found)
        assert len(ledger) == len(found)
        return found


def test_reads_back_what_was_put_before_and_after_the_commit(tmp_path: Path) -> None:
    path = tmp_path / "calls.ledger"
    with Ledger.open(path) as ledger:
        for i, size in enumerate((0, 20, 5_000, 300_000)):
            ledger.put(key(i), payload(i, size))
            assert key(i) in ledger
            assert ledger.get(key(i)) == payload(i, size)
        assert key(9) not in ledger
        assert ledger.get(key(9)) is None
    with Ledger.open(path, readonly=True) as ledger:
        assert sorted(ledger.keys()) == [key(i) for i in range(4)]
        assert ledger.get(key(3)) == payload(3, 300_000)
        assert path.stat().st_size < 20_000, "long texts are compressed"


def test_a_note_is_read_without_its_payload(tmp_path: Path) -> None:
    path = tmp_path / "calls.ledger"
    with Ledger.open(path) as ledger:
        ledger.put(key(1), payload(1), note=7)
        ledger.put(key(2), payload(2, 5_000))
        assert (ledger.note(key(1)), ledger.note(key(2)), ledger.note(key(3))) == (7, 0, None)
        ledger.flush()
        ledger.put(key(2), payload(2), note=(1 << 64) - 1)
        ledger.compact()
    with Ledger.open(path, readonly=True) as ledger:
        assert (ledger.note(key(1)), ledger.note(key(2)), ledger.note(key(3))) == (7, (1 << 64) - 1, None)
        assert ledger.get(key(1)) == payload(1)


def test_is_durable_without_a_flush_after_one_window(tmp_path: Path) -> None:
    path = tmp_path / "calls.ledger"
    with Ledger.open(path) as ledger:
        ledger.put(key(1), payload(1))
        time.sleep(0.2)
        with Ledger.open(path, readonly=True) as reader:
            assert reader.get(key(1)) == payload(1)


def test_the_newest_record_of_a_key_wins_and_compacting_drops_the_others(tmp_path: Path) -> None:
    path = tmp_path / "calls.ledger"
    with Ledger.open(path) as ledger:
        for version in range(5):
            for i in range(10):
                ledger.put(key(i), payload(100 * version + i))
            ledger.flush()
        before = path.stat().st_size
        saved = ledger.compact()
        assert path.stat().st_size == before - saved < before / 4
        ledger.put(key(3), payload(999))
        assert ledger.get(key(2)) == payload(402)
    with Ledger.open(path) as ledger:
        assert len(ledger) == 10
        assert ledger.get(key(3)) == payload(999)
        assert ledger.get(key(4)) == payload(404)


def test_a_crash_while_compacting_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calls.ledger"
    fill(path, 5)
    with Ledger.open(path) as ledger, monkeypatch.context() as patch:
        patch.setattr(filesystem, "write_at", _full_disk)
        with pytest.raises(StoreError):
            ledger.compact()
        patch.undo()
        ledger.put(key(5), payload(5))
    path.with_name(path.name + ".compact").write_bytes(b"half")
    assert held(path) == set(range(6))
    assert not path.with_name(path.name + ".compact").exists()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted under /proc")
@pytest.mark.parametrize("failing", ["replace", "sync"])
def test_a_disk_that_fails_while_compacting_costs_no_reply_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fault(*given: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "calls.ledger"
    fill(path, 5)
    before = open_files()
    with contextlib.suppress(StoreError), Ledger.open(path) as ledger:
        with monkeypatch.context() as patch:
            patch.setattr(*((Path, "replace") if failing == "replace" else (filesystem, "sync_folder")), fault)
            with pytest.raises(StoreError, match="Input/output error"):
                ledger.compact()
        assert ledger.get(key(4)) == payload(4)
        if failing == "replace":
            ledger.put(key(5), payload(5))
            ledger.flush()
        else:  # the disk may still bring the old file back, and what is put from now on would go with the new one
            with pytest.raises(StoreError, match="Input/output error"):
                ledger.put(key(5), payload(5))
        assert open_files() == before + 2, "the ledger and its lock"
    assert open_files() == before
    assert held(path) == set(range(6 if failing == "replace" else 5))
    assert not path.with_name(path.name + ".compact").exists()


@pytest.mark.parametrize("size", [20, 2_000], ids=["plain", "deflated"])
def test_a_file_cut_at_any_byte_owes_just_what_was_cut(tmp_path: Path, size: int) -> None:
    path, cut = tmp_path / "calls.ledger", tmp_path / "cut.ledger"
    ends = fill(path, 4, size=size)
    whole = path.read_bytes()
    assert ends[-1] == len(whole)
    for n in range(len(whole)):
        cut.write_bytes(whole[:n])
        kept = {i for i, end in enumerate(ends) if end <= n}
        with Ledger.open(cut) as ledger:
            assert {int(k, 16) for k in ledger.keys()} == kept  # noqa: SIM118
            ledger.put(key(7), payload(7))
        with Ledger.open(cut, readonly=True) as ledger:
            assert ledger.damaged == 0, "the torn tail was cut off before anything was written behind it"
            assert {int(k, 16) for k in ledger.keys()} == kept | {7}, f"cut at byte {n}"  # noqa: SIM118
            assert all(ledger.get(key(i)) == payload(i, size) for i in kept)


def test_any_flipped_byte_owes_only_the_record_it_lies_in(tmp_path: Path) -> None:
    path, bad = tmp_path / "calls.ledger", tmp_path / "bad.ledger"
    ends = fill(path, 4)
    whole = path.read_bytes()
    for n in range(len(MAGIC), len(whole)):
        bad.write_bytes(whole[:n] + bytes([whole[n] ^ 0x41]) + whole[n + 1 :])
        hit = next(i for i, end in enumerate(ends) if n < end)
        assert held(bad) == {0, 1, 2, 3} - {hit}, f"flipped byte {n}"


@pytest.mark.parametrize("at", [0, 5, 9, 13, 30, 41, 50], ids=["sync", "length", "crc", "note", "key", "check", "body"])
def test_a_damaged_record_is_counted_as_lost_until_its_call_is_there_again(tmp_path: Path, at: int) -> None:
    path, keys = tmp_path / "calls.ledger", [key(i) for i in range(4)]
    ends = fill(path, 4)
    data = bytearray(path.read_bytes())
    data[ends[0] + at] ^= 0x41
    path.write_bytes(data)
    with Ledger.open(path) as ledger:
        assert ledger.lost_among(keys) == 1
        assert ledger.lost_among([key(0), key(2)]) == 0
        ledger.put(key(1), payload(1))
        assert ledger.lost_among(keys) == 0
    with Ledger.open(path, readonly=True) as reader:
        assert reader.lost_among(keys) == 0


@pytest.mark.parametrize("checked_whole", [1 << 28, 0], ids=["found at opening", "found while compacting"])
@pytest.mark.parametrize("which", [1, 3], ids=["in the middle", "at the end"])
def test_the_note_of_a_damaged_record_outlives_compacting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: int, checked_whole: int
) -> None:
    monkeypatch.setattr(ledger_module, "CHECKED_WHOLE", checked_whole)
    monkeypatch.setattr(ledger_module, "CHECKED_TAIL", 0)
    path, others = tmp_path / "calls.ledger", {0, 1, 2, 3} - {which}
    with Ledger.open(path) as ledger:
        for i in range(4):
            ledger.put(key(i), payload(i), note=100 + i)
            ledger.flush()
    data = bytearray(path.read_bytes())
    data[data.index(b'{"i":%d' % which) + 5] ^= 1
    path.write_bytes(data)
    for _ in range(2):  # what is left of the record is kept by the next compaction, too
        with Ledger.open(path) as ledger:
            ledger.compact()
            assert ledger.lost_keys() == {key(which)}
    assert path.stat().st_size < len(data)
    with Ledger.open(path) as ledger:
        assert [ledger.note(key(i)) for i in range(4)] == [100, 101, 102, 103]
        assert not ledger.has_payload(key(which))
        assert {int(k, 16) for k in ledger.keys()} == others  # noqa: SIM118
        assert ledger.lost_keys() == {key(which)}
        ledger.put(key(which), payload(which), note=200)
        ledger.compact()
    with Ledger.open(path, readonly=True) as reader:
        assert (reader.note(key(which)), reader.lost_keys(), reader.damaged) == (200, set(), 0)
    assert held(path) == {0, 1, 2, 3}


def test_the_note_of_a_body_that_a_power_cut_tore_is_not_cut_off_with_it(tmp_path: Path) -> None:
    path = tmp_path / "calls.ledger"
    with Ledger.open(path) as ledger:
        ledger.put(key(0), payload(0), note=7)
    data = path.read_bytes()
    path.write_bytes(data[:-10] + bytes(10))
    Ledger.open(path).close()
    with Ledger.open(path, readonly=True) as reader:
        assert (reader.note(key(0)), reader.lost_keys(), reader.get(key(0))) == (7, {key(0)}, None)


@pytest.mark.parametrize("junk", [b"\0" * 300, b"\xf5LR\xff" * 50, b'{"i": 1}\n'])
def test_a_tail_of_junk_is_cut_off(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "calls.ledger"
    ends = fill(path, 3)
    path.write_bytes(path.read_bytes() + junk)
    with Ledger.open(path, readonly=True) as reader:
        assert len(reader) == 3
        assert reader.damaged == len(junk)
    assert path.stat().st_size == ends[-1] + len(junk), "a reader changes nothing"
    assert held(path) == {0, 1, 2}
    assert path.stat().st_size == ends[-1]


def test_a_body_damaged_far_from_the_end_is_owed_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "CHECKED_WHOLE", 0)
    monkeypatch.setattr(ledger_module, "CHECKED_TAIL", 10)
    path = tmp_path / "calls.ledger"
    ends = fill(path, 3)
    data = bytearray(path.read_bytes())
    data[ends[0] - 3] ^= 1
    path.write_bytes(data)
    with Ledger.open(path) as ledger:
        assert key(0) in ledger, "too far back to be checked at opening"
        assert ledger.get(key(0)) is None
        assert key(0) not in ledger
        assert ledger.damaged > 0
        assert ledger.get(key(1)) == payload(1)
        ledger.put(key(0), payload(0))
    assert held(path) == {0, 1, 2}


def test_refuses_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"my precious notes, not a ledger")
    with pytest.raises(StoreError, match="my precious"):
        Ledger.open(path)
    assert path.read_bytes().startswith(b"my precious")
    with pytest.raises(StoreError, match="no ledger"):
        Ledger.open(tmp_path / "absent", create=False)
    Ledger.open(tmp_path / "fresh").close()


def test_keeps_what_json_allows_but_utf8_does_not(tmp_path: Path) -> None:
    odd: dict[str, object] = {"text": "half a pair: \ud83d", "big": 2**70, "long": "\udc00" * 2_000}
    with Ledger.open(tmp_path / "calls.ledger") as ledger:
        ledger.put(key(1), odd)
    with Ledger.open(tmp_path / "calls.ledger") as ledger:
        assert ledger.get(key(1)) == odd


def test_refuses_bad_keys_and_values_at_once(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "calls.ledger") as ledger:
        with pytest.raises(ValueError, match="32"):
            ledger.put("ab", payload(1))
        with pytest.raises(TypeError):
            ledger.put(key(1), {"x": object()})
        assert len(ledger) == 0


def test_a_second_writer_is_told_who_holds_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "calls.ledger"
    with Ledger.open(path) as ledger:
        ledger.put(key(1), payload(1))
        ledger.flush()
        with pytest.raises(StoreError, match=f"process {os.getpid()} on "):
            Ledger.open(path)
        child = _run("Ledger.open(Path(sys.argv[1]))", path)
        assert child.returncode != 0
        assert f"process {os.getpid()} on ".encode() in child.stderr
        child = _run("print(len(Ledger.open(Path(sys.argv[1]), readonly=True)))", path)
        assert child.stdout == b"1\n", "readers are always allowed"
    Ledger.open(path).close()


def test_a_reader_cannot_write_and_a_closed_ledger_says_so(tmp_path: Path) -> None:
    path = tmp_path / "calls.ledger"
    fill(path, 1)
    with Ledger.open(path, readonly=True) as reader, pytest.raises(StoreError, match="reading only"):
        reader.put(key(1), payload(1))
    ledger = Ledger.open(path)
    ledger.close()
    ledger.close()
    with pytest.raises(StoreError, match="closed"):
        ledger.put(key(1), payload(1))


def test_a_forked_worker_does_not_keep_the_lock_alive(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    running, gate = fork.Event(), fork.Event()

    def work() -> None:
        running.set()
        gate.wait(20)

    lock = take_lock(tmp_path / "calls.lock", "the ledger")
    worker = fork.Process(target=work)
    worker.start()
    try:
        assert running.wait(10)
        with pytest.raises(StoreError, match=str(os.getpid())):
            take_lock(tmp_path / "calls.lock", "the ledger")
        lock.forget()  # as when this process is killed: nothing is unlocked by hand
        take_lock(tmp_path / "calls.lock", "the ledger").release()
    finally:
        gate.set()
        worker.join()


def _full_disk(fd: int, data: bytes, offset: int) -> int:
    # Half of it arrives, as it does when a disk fills up.
    os.pwrite(fd, bytes(data[: len(data) // 2]), offset)
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_a_clean_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calls.ledger"
    ends = fill(path, 3)
    ledger = Ledger.open(path)
    monkeypatch.setattr(ledger_writer, "write_at", _full_disk)
    ledger.put(key(3), payload(3))
    with pytest.raises(StoreError, match="No space left"):
        ledger.flush()
    with pytest.raises(StoreError, match="No space left"):
        ledger.put(key(4), payload(4))
    with pytest.raises(StoreError, match="No space left"):
        ledger.close()
    assert path.stat().st_size == ends[-1]
    monkeypatch.undo()
    assert held(path) == {0, 1, 2}


def test_a_failing_fsync_surfaces_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calls.ledger"
    ledger = Ledger.open(path)
    monkeypatch.setattr(os, "fsync", lambda fd: _full_disk(fd, b"", 0))
    ledger.put(key(0), payload(0))
    with pytest.raises(StoreError, match="No space left"):
        ledger.close()
    monkeypatch.undo()
    assert held(path) == set()


def test_a_slow_sync_keeps_no_record_out_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, gate, sync = tmp_path / "calls.ledger", threading.Event(), os.fsync
    ledger = Ledger.open(path)
    monkeypatch.setattr(os, "fsync", lambda fd: (gate.wait(20), sync(fd)))
    for i in range(3):
        ledger.put(key(i), payload(i))
        until = time.monotonic() + 10
        while path.stat().st_size < len(MAGIC) + 60 * (i + 1) and time.monotonic() < until:
            time.sleep(0.005)
        with Ledger.open(path, readonly=True) as reader:
            assert reader.get(key(i)) == payload(i), "a kill would not lose it"
    flush = threading.Thread(target=ledger.flush)
    flush.start()
    flush.join(0.1)
    assert flush.is_alive(), "a power cut might"
    gate.set()
    flush.join(10)
    assert not flush.is_alive()
    ledger.close()
    assert held(path) == {0, 1, 2}


def test_a_flush_returns_while_others_go_on_putting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write and every sync brings another record: at no moment is there nothing left to write."""
    path, sync, n = tmp_path / "calls.ledger", os.fsync, iter(range(1, 1_000_000))
    ledger = Ledger.open(path)

    def put_another() -> None:
        if not over.is_set():
            i = next(n)
            ledger.put(key(i), payload(i))

    def sync_and_put(fd: int) -> None:
        sync(fd)
        put_another()

    def write_and_put(fd: int, data: bytes, offset: int) -> int:
        put_another()
        return write_at(fd, data, offset)

    over = threading.Event()
    monkeypatch.setattr(ledger_writer, "write_at", write_and_put)
    monkeypatch.setattr(os, "fsync", sync_and_put)
    ledger.put(key(0), payload(0))
    flush = threading.Thread(target=ledger.flush, daemon=True)
    flush.start()
    flush.join(20)
    came_back = not flush.is_alive()
    over.set()
    flush.join(20)
    assert came_back
    ledger.close()
    found = held(path)
    assert found == set(range(len(found))), "what was put meanwhile is there after the close"
    assert len(found) > 2


def test_a_file_size_limit_behaves_like_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "calls.ledger"
    child = _run(
        """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        ledger = Ledger.open(Path(sys.argv[1]))
        for i in range(10_000):
            ledger.put(f"{i:032x}", {"i": i, "text": "ab" * 10})
            if i % 10 == 0:
                ledger.flush()
        """,
        path,
    )
    assert b"StoreError" in child.stderr
    found = held(path)
    assert found == set(range(len(found)))
    assert len(found) > 200


def test_kill_nine_while_writing_keeps_all_that_was_flushed(tmp_path: Path) -> None:
    rng = random.Random(5)
    for attempt in range(3):
        path = tmp_path / f"{attempt}.ledger"
        child = _start(
            """
            ledger = Ledger.open(Path(sys.argv[1]))
            for i in range(10**9):
                ledger.put(f"{i:032x}", {"i": i, "text": "ab" * 10})
                if i % 50 == 0:
                    ledger.flush()
                    print(i, flush=True)
            """,
            path,
        )
        assert child.stdout
        child.stdout.readline()
        time.sleep(rng.uniform(0.02, 0.15))
        child.send_signal(signal.SIGKILL)
        printed = child.stdout.read().split()
        child.wait()
        child.stdout.close()
        found = held(path)
        assert found == set(range(len(found))), "a prefix, with no hole in it"
        assert len(found) > int(printed[-1] if printed else 0)


def test_what_was_put_is_written_at_exit_even_without_close(tmp_path: Path) -> None:
    path = tmp_path / "calls.ledger"
    child = _run('Ledger.open(Path(sys.argv[1])).put(f"{1:032x}", {"i": 1, "text": "ab" * 10})', path)
    assert child.returncode == 0, child.stderr
    assert held(path) == {1}


def test_what_a_power_cut_can_tear_is_less_than_what_opening_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest_body = 8 << 20  # far beyond a reply of a million tokens, deflated
    unsynced = ledger_writer.UNSYNCED_MAX + 2 * (ledger_writer.PENDING_MAX + largest_body)
    assert unsynced < ledger_module.CHECKED_TAIL
    path, gate, sync = tmp_path / "calls.ledger", threading.Event(), os.fsync
    monkeypatch.setattr(ledger_writer, "PENDING_MAX", 5_000)
    monkeypatch.setattr(ledger_writer, "UNSYNCED_MAX", 20_000)
    monkeypatch.setattr(ledger_writer, "COMMIT_WINDOW_S", 0.0)
    with Ledger.open(path) as ledger:
        monkeypatch.setattr(os, "fsync", lambda fd: (gate.wait(20), sync(fd)))
        done: list[int] = []

        def put_all() -> None:
            for i in range(100):
                ledger.put(key(i), payload(i, 400))
                done.append(i)

        thread = threading.Thread(target=put_all)
        thread.start()
        with ledger._changed:
            assert ledger._changed.wait_for(lambda: not ledger._writer._has_room, 20)
        thread.join(0.2)
        assert len(done) < 80, "the disk has none of them, so the rest wait"
        assert path.stat().st_size < 20_000 + 2 * 5_500
        gate.set()
        thread.join(20)
        assert len(done) == 100


def test_put_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_writer, "PENDING_MAX", 10_000)
    largest = 0
    with Ledger.open(tmp_path / "calls.ledger") as ledger:
        for i in range(100):
            ledger.put(key(i), payload(i, 2_000))
            largest = max(largest, ledger._writer._waiting_bytes)
        assert largest < 13_000
    path = tmp_path / "calls.ledger"
    with Ledger.open(path) as ledger:
        assert len(ledger) == 100
        as_they_came = path.stat().st_size
        assert as_they_came > 50 * 2_000, "behind the replies, nobody deflates"
        assert ledger.compact() == as_they_came - path.stat().st_size
        assert path.stat().st_size < 100 * 150
    with Ledger.open(path, readonly=True) as ledger:
        assert all(ledger.get(key(i)) == payload(i, 2_000) for i in range(100))


def _script(code: str) -> str:
    head = "import sys\nfrom pathlib import Path\nfrom lakon.store.ledger.ledger import Ledger\n"
    return head + textwrap.dedent(code)


def _run(code: str, path: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", _script(code), str(path)], capture_output=True, timeout=20)


def _start(code: str, path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _script(code), str(path)], stdout=subprocess.PIPE)
