"""What may be committed is the end of the contiguous finished prefix, in whatever order records finish."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.offsets import OffsetWindow


class WindowMachine(RuleBasedStateMachine):
    """Takes, finishes and takes again in any order, beside a model that keeps everything."""

    def __init__(self) -> None:
        super().__init__()
        self.window = OffsetWindow()
        self.taken: list[int] = []
        self.finished: set[int] = set()

    @rule(gap=st.integers(1, 4))
    def take_the_next(self, gap: int) -> None:
        offset = (self.taken[-1] if self.taken else -1) + gap
        assert self.window.take(offset)
        self.taken.append(offset)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def take_one_again(self, data: st.DataObject) -> None:
        assert not self.window.take(data.draw(st.integers(0, self.taken[-1])))

    @precondition(lambda self: set(self.taken) - self.finished)
    @rule(data=st.data())
    def finish_one(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(set(self.taken) - self.finished)))
        self.window.finish(offset)
        self.finished.add(offset)

    @precondition(lambda self: self.finished)
    @rule(data=st.data())
    def finish_one_twice(self, data: st.DataObject) -> None:
        self.window.finish(data.draw(st.sampled_from(sorted(self.finished))))

    @invariant()
    def the_prefix_is_committable(self) -> None:
        expected, waiting = None, len(self.taken)
        for offset in self.taken:
            if offset not in self.finished:
                break
            expected, waiting = offset + 1, waiting - 1
        assert self.window.committable == expected
        assert len(self.window) == waiting


TestAnyOrder = WindowMachine.TestCase


@given(st.lists(st.integers(0, 10**6), unique=True, min_size=1, max_size=60).map(sorted), st.randoms())
def test_when_all_have_finished_the_last_is_committable_whatever_the_gaps(offsets: list[int], order: object) -> None:
    window = OffsetWindow()
    for offset in offsets:
        window.take(offset)
    shuffled = list(offsets)
    order.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis' own Random
    for offset in shuffled:
        window.finish(offset)
    assert window.committable == offsets[-1] + 1
    assert len(window) == 0


def test_nothing_is_committable_before_the_first_has_finished() -> None:
    window = OffsetWindow()
    window.take(7)
    window.take(8)
    window.finish(8)
    assert window.committable is None
    window.finish(7)
    assert window.committable == 9
