import threading
import time

from rfapp.runtime import Mailbox


def test_the_newest_wins_and_what_it_replaced_is_counted_and_returned():
    box: Mailbox[int] = Mailbox()
    assert box.put(1) is None
    assert box.put(2) == 1
    assert box.put(3) == 2
    assert box.take(0) == 3
    assert box.take(0) is None
    assert box.dropped == 2


def test_clearing_does_not_count_as_dropping():
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.clear()
    assert box.take(0) is None
    assert box.dropped == 0


def test_take_waits_for_what_another_thread_puts():
    box: Mailbox[str] = Mailbox()
    threading.Timer(0.05, box.put, ["late"]).start()
    assert box.take(5) == "late"


def test_take_gives_up_after_its_time():
    box: Mailbox[str] = Mailbox()
    started = time.monotonic()
    assert box.take(0.05) is None
    assert 0.04 < time.monotonic() - started < 2


def test_closing_wakes_who_waits_and_lets_nothing_through():
    box: Mailbox[int] = Mailbox()
    threading.Timer(0.05, box.close).start()
    assert box.take() is None
    box.put(1)
    assert box.take(0) is None
    assert box.closed


def test_a_fast_writer_and_a_slow_reader_never_store_more_than_one():
    box: Mailbox[int] = Mailbox()
    seen = []

    def write() -> None:
        for number in range(2000):
            box.put(number)
        box.put(-1)

    writer = threading.Thread(target=write)
    writer.start()
    while (number := box.take(5)) != -1:
        seen.append(number)
    writer.join()
    assert seen == sorted(seen)
    assert len(seen) + box.dropped == 2000
