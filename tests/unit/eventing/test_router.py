import asyncio

from littoral.eventing import Router, SignalContext


def seqs(batches):
    return [[r.seq for r in batch] for batch in batches]


def test_a_subscriber_of_one_entity_gets_its_records_once_per_commit(log, record):
    router, got = Router(log), []
    router.subscribe(got.append, entity="thing:a:b")
    log.commit(record(1), record(2, "thing:a:c"), record(3))
    log.commit(record(4, "thing:a:c"))
    assert seqs(got) == [[1, 3]]


def test_a_subscriber_without_filters_gets_every_commit_as_it_is(log, record):
    router, got = Router(log), []
    router.subscribe(got.append)
    log.commit(record(1), record(2, "tenant:T", "tenant.modified"))
    assert seqs(got) == [[1, 2]]


def test_prefix_and_kinds_narrow_a_subscription(log, record):
    router, got, kinds = Router(log), [], []
    router.subscribe(got.append, prefix="thing:a:", kinds=["thing.merged"])
    router.subscribe(kinds.append, entity="thing:a:b", kinds=["thing.deleted"])
    log.commit(record(1), record(2, "thing:b:b"), record(3, kind="thing.deleted"))
    assert seqs(got) == [[1]]
    assert seqs(kinds) == [[3]]


def test_a_closed_subscription_gets_nothing_even_within_the_same_commit(log, record):
    router, got = Router(log), []
    other = None

    def close_the_other(records):
        other.close()
        other.close()

    router.subscribe(close_the_other, entity="thing:a:b")
    other = router.subscribe(got.append, entity="thing:a:b")
    log.commit(record(1))
    assert got == []
    assert router.statistics().subscriptions == 1


def test_nothing_is_looked_at_without_subscribers(log):
    router = Router(log)
    for sub in (router.subscribe(list, entity="thing:a:b"), router.subscribe(list)):
        sub.close()
    log.commit(*[object()])  # anything that looked at this "record" would fail
    assert router.statistics().entities == 0


def test_ten_thousand_single_thing_subscribers_cost_one_look_up_a_record(log, record):
    router = Router(log)
    calls = []
    for i in range(10_000):
        router.subscribe(
            lambda records, i=i: calls.append((i, len(records))), entity=f"thing:a:{i}"
        )
    log.commit(*(record(n, f"thing:a:{n % 3}") for n in range(9)))
    assert calls == [(0, 3), (1, 3), (2, 3)]
    assert router.statistics().batches == 1 and router.statistics().passed == 9


def test_a_sink_that_fails_is_closed_and_told_and_the_others_get_theirs(log, record, world):
    async def main():
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda _, c: told.append(c["exception"]))
        router, got = Router(log), []

        def fail(records):
            raise KeyError("bug")

        router.subscribe(fail)
        router.subscribe(got.append)
        log.commit(record(1))
        log.commit(record(2))
        assert seqs(got) == [[1], [2]]
        assert [type(e) for e in told] == [KeyError]
        assert router.statistics().failed == 1 and router.statistics().subscriptions == 1

    world(main)


def test_what_caused_a_record_is_told_while_it_is_passed_on_and_then_forgotten(log, record):
    router, told = Router(log), []
    cause = SignalContext("c1", "nginx:ditto", {"mine": 1}, ("lab-1",))
    router.annotate(1, cause)  # nobody subscribes: nothing is kept
    router.subscribe(lambda records: told.append([router.context(r.seq) for r in records]))
    assert router.is_heard
    router.annotate(2, cause)
    router.annotate(4, cause)
    router.annotate(0, cause)  # nothing was written
    log.commit(record(1), record(2), record(3))
    assert told == [[None, cause, None]]
    assert router.context(2) is None
    # The commit of 4 failed; seqs go on, and it is not remembered for ever.
    log.commit(record(5))
    assert router.context(4) is None


def test_a_context_is_dropped_also_if_the_last_subscriber_is_gone(log, record):
    router = Router(log)
    subscription = router.subscribe(list)
    router.annotate(1, SignalContext("c1"))
    subscription.close()
    log.commit(record(1))
    assert router.context(1) is None and not router.is_heard
