"""Budgets of addresses in memory."""

import pytest

from authgw.core import budget
from authgw.core.budget import AddressBudget
from authgw.core.limits import ThrottleLimit

LIMIT = ThrottleLimit(2, 60.0)


class BudgetClock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> BudgetClock:
    return BudgetClock()


def test_a_budget_lasts_until_its_window_ends(clock: BudgetClock) -> None:
    budget = AddressBudget(LIMIT, clock)
    assert budget.retry_after("192.0.2.1") == 0.0
    assert [budget.admit("192.0.2.1") for _ in range(4)] == [True, True, False, False]
    clock.now += 59.0
    assert not budget.admit("192.0.2.1")
    assert budget.retry_after("192.0.2.1") == 1.0
    # Attempts that were refused do not extend the window.
    clock.now += 1.0
    assert budget.retry_after("192.0.2.1") == 0.0
    assert [budget.admit("192.0.2.1") for _ in range(3)] == [True, True, False]


def test_a_success_does_not_count(clock: BudgetClock) -> None:
    budget = AddressBudget(LIMIT, clock)
    for _ in range(5):
        assert budget.admit("192.0.2.1")
        budget.give_back("::ffff:192.0.2.1")
    budget.give_back("192.0.2.1")
    budget.give_back("192.0.2.2")
    assert [budget.admit("192.0.2.1") for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("first", "second", "is_shared"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("unix", "192.0.2.1", False),
    ],
)
def test_a_network_of_a_customer_has_one_budget(
    clock: BudgetClock, first: str, second: str, is_shared: bool
) -> None:
    budget = AddressBudget(ThrottleLimit(1, 60.0), clock)
    assert budget.admit(first)
    assert budget.admit(second) is not is_shared


def test_the_number_of_addresses_is_bounded(
    clock: BudgetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "MAX_BUDGETED_ADDRESSES", 3)
    budgets = AddressBudget(ThrottleLimit(1, 60.0), clock)
    for number in range(1, 5):
        clock.now += 1.0
        assert budgets.admit(f"192.0.2.{number}")
    assert len(budgets) == 3
    # The address whose window began first made room.
    assert [budgets.admit(f"192.0.2.{number}") for number in (2, 3, 4, 1)] == [
        *(False, False, False),
        True,
    ]


def test_a_new_window_is_the_youngest(clock: BudgetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_BUDGETED_ADDRESSES", 2)
    budgets = AddressBudget(ThrottleLimit(1, 60.0), clock)
    assert budgets.admit("192.0.2.1")
    clock.now += 30.0
    assert budgets.admit("192.0.2.2")
    clock.now += 30.0
    assert budgets.admit("192.0.2.1")
    assert budgets.admit("192.0.2.3")
    assert not budgets.admit("192.0.2.1")
