"""A soak's account and figures say what happened."""

import os

import pytest

from bench.soak import Account
from bench.soak_plot import plot
from bench.soak_samples import Sample, samples_now, slope_mib_per_hour


def life(pid: int, start: float, count: int, growth_mib: float) -> list[Sample]:
    return [Sample(start + 5.0 * step, "inbox", pid, 80 + growth_mib * step, 40) for step in range(count)]


def test_a_process_that_grows_has_a_slope_and_a_steady_one_has_none() -> None:
    assert slope_mib_per_hour(life(1, 0, 60, 0.1), "inbox") == pytest.approx(72.0)
    assert slope_mib_per_hour(life(1, 0, 60, 0.0), "inbox") == 0


def test_a_restart_is_no_growth() -> None:
    samples = life(1, 0, 60, 0.0) + [Sample(900.0 + 5 * step, "inbox", 2, 120.0, 40) for step in range(20)]
    assert slope_mib_per_hour(samples, "inbox") == 0


def test_without_a_process_that_lives_long_enough_there_is_no_slope() -> None:
    assert slope_mib_per_hour(life(1, 0, 10, 0.1), "inbox") is None
    assert slope_mib_per_hour([], "inbox") is None


def test_this_process_is_seen_and_one_that_is_gone_is_left_out() -> None:
    (one,) = samples_now(0.0, {"me": os.getpid(), "gone": 2**22 + 1})
    assert one.resident_mib > 1
    assert one.handles > 0


def test_an_account_balances_only_when_all_is_answered_once_and_no_junk_is_accepted() -> None:
    assert Account(asked=3, answered_once=3).balances
    assert not Account(asked=3, answered_once=2).balances
    assert not Account(asked=3, answered_once=3, wrong=["x"]).balances
    accepted_junk = Account(asked=3, answered_once=3)
    accepted_junk.junk_answers[200] += 1
    assert not accepted_junk.balances


def test_a_plot_has_a_line_for_each_service() -> None:
    picture = plot([*life(1, 0, 5, 0.1), Sample(0.0, "session", 9, 70.0, 30)])
    assert picture.count("<polyline") == 4
