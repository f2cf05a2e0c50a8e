"""The benches' percentiles are nearest ranks."""

import pytest

from bench.load import percentile


def test_a_share_of_the_values_does_not_exceed_it() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0, 0.5, 0.95, 0.99, 1)] == [1, 50, 95, 99, 100]


def test_a_per_cent_is_no_share() -> None:
    with pytest.raises(ValueError, match="95 is no share"):
        percentile([1.0], 95)
