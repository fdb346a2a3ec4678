from littoral.functions.core.window import NO_SEQ, Entry, Window
from littoral.functions.wire import Work


def entry(token, seq):
    return Entry(Work(token, 0), seq, 0, str(token), size=10)


def filled(*seqs):
    window = Window()
    entries = [entry(token, seq) for token, seq in enumerate(seqs, 1)]
    for one in entries:
        window.add(one)
    return window, entries


def test_the_cursor_follows_what_is_done_in_order():
    window, _ = filled(3, 5, 5)
    assert window.settled(9) == 2
    assert window.finish(1).done
    assert window.settled(9) == 4
    window.finish(2)
    assert window.settled(9) == 4  # another handler still has record 5
    window.finish(3)
    assert window.settled(9) == 9 and len(window) == 0 and window.bytes_used == 0


def test_an_effect_that_is_not_finished_holds_the_cursor():
    window, entries = filled(3, 5)
    entries[0].open_effects = 1
    window.finish(1)
    window.finish(2)
    assert window.settled(9) == 2
    entries[0].open_effects = 0
    assert window.settled(9) == 9


def test_a_tick_holds_no_cursor():
    window, _ = filled(NO_SEQ, 5)
    assert window.settled(9) == 4
    window, _ = filled(NO_SEQ)
    assert window.settled(9) == 9


def test_only_the_head_can_be_finished():
    window, entries = filled(3, 5)
    assert window.head is entries[0] and window.at(2) is entries[1]
    assert window.finish(2) is None and window.finish(7) is None
    assert [e.seq for e in window] == [3, 5]


def test_what_a_dead_worker_left_is_forgotten_but_not_its_open_effects():
    window, entries = filled(3, 5)
    entries[0].open_effects = 1
    window.finish(1)
    window.drop_waiting()
    assert len(window) == 0 and window.head is None and window.at(2) is None
    assert window.settled(4) == 2
    entries[0].open_effects = 0
    assert window.settled(4) == 4
