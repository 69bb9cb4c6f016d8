import pytest

from snnprune.schedules import cubic


def test_cubic_by_hand():
    assert [cubic(step, start=1.0, end=0.2, steps=4) for step in range(6)] == pytest.approx(
        [1.0, 0.2 + 0.8 * 0.421875, 0.2 + 0.8 * 0.125, 0.2 + 0.8 * 0.015625, 0.2, 0.2]
    )
    assert cubic(-1, start=1.0, end=0.2, steps=4) == 1.0
