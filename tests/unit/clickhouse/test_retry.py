from __future__ import annotations

import pytest

from rangebar_enrich.clickhouse.retry import RetryCount, RetryPolicy, is_transient

driver = pytest.importorskip("clickhouse_connect.driver.exceptions")
QUICK = RetryPolicy(attempts=4, seconds=5, first_wait=0.0001, longest_wait=0.001)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(driver.DatabaseError("x", code=252), True, id="too-many-parts"),
        pytest.param(
            driver.DatabaseError("Too many parts (100000) in all partitions in total", code=252),
            False,
            id="too-many-parts-altogether",
        ),
        pytest.param(driver.DatabaseError("x", code=241), True, id="memory"),
        pytest.param(driver.DatabaseError("x", code=289), True, id="replica-not-in-quorum"),
        pytest.param(driver.DatabaseError("x", code=745), True, id="overloaded"),
        pytest.param(driver.DatabaseError("x", code=394), False, id="cancelled"),
        pytest.param(driver.DatabaseError("x", code=202), True, id="too-many-queries"),
        pytest.param(driver.DatabaseError("x", code=60), False, id="no-such-table"),
        pytest.param(driver.DatabaseError("x", code=516), False, id="wrong-password"),
        pytest.param(driver.OperationalError("x", code=62), False, id="syntax"),
        pytest.param(driver.DatabaseError("received HTTP status 503, x"), True, id="503"),
        pytest.param(driver.OperationalError("received HTTP status 429, x"), True, id="429"),
        pytest.param(driver.DatabaseError("received HTTP status 404, x"), False, id="404"),
        pytest.param(driver.OperationalError("Error reset executing"), True, id="transport"),
        pytest.param(driver.ProgrammingError("x"), False, id="programming"),
        pytest.param(ConnectionResetError(), True, id="socket"),
        pytest.param(TimeoutError(), True, id="timeout"),
        pytest.param(ValueError("x"), False, id="value"),
    ],
)
def test_what_heals_by_waiting(error, expected):
    assert is_transient(error) is expected


def failing(times: int, error: Exception):
    calls = []

    def action() -> int:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return action


def test_retry_until_it_works():
    count = RetryCount()
    assert QUICK.run(failing(3, ConnectionError()), count) == 4
    assert count.retries == 3


def test_retry_ends_with_the_last_error():
    count = RetryCount()
    with pytest.raises(ConnectionResetError, match="gone"):
        QUICK.run(failing(9, ConnectionResetError("gone")), count)
    assert count.retries == 3


def test_no_retry_of_what_cannot_heal():
    count = RetryCount()
    with pytest.raises(driver.DatabaseError, match="no such table"):
        QUICK.run(failing(1, driver.DatabaseError("no such table", code=60)), count)
    assert count.retries == 0


@pytest.mark.parametrize("code", [159, 241])
def test_a_query_that_is_too_large_is_tried_twice(code):
    count = RetryCount()
    with pytest.raises(driver.DatabaseError, match="too large"):
        QUICK.run(failing(9, driver.DatabaseError("too large", code=code)), count)
    assert count.retries == 1


def test_retry_ends_when_patience_does():
    patient = RetryPolicy(attempts=10_000, seconds=0.05, first_wait=0.001, longest_wait=0.01)
    count = RetryCount()
    with pytest.raises(TimeoutError):
        patient.run(failing(10_000, TimeoutError()), count)
    assert 0 < count.retries < 10_000
