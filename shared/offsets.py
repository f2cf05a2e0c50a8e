"""Which offset of a partition may be committed: the end of the contiguous finished prefix (rule 1).

Records finish in any order; committing the consumer's position would lose the unfinished ones in a crash.
"""

from collections import deque


class OffsetWindow:
    """The records of one partition that were taken and not yet committed, in the order of their offsets.

    Offsets need not be dense (compaction and transactions leave gaps) but must be added in rising order.
    """

    __slots__ = ("_finished", "_next", "_open", "_taken")

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._finished: set[int] = set()
        self._taken = -1
        self._next: int | None = None

    def __len__(self) -> int:
        """Return how many records were taken and are not yet part of the finished prefix."""
        return len(self._open)

    def take(self, offset: int) -> bool:
        """Note that the record at ``offset`` is being handled; False when it was taken before (a re-read)."""
        if offset <= self._taken:
            return False
        self._taken = offset
        self._open.append(offset)
        return True

    def finish(self, offset: int) -> None:
        """Note that the record at ``offset`` is done for good."""
        self._finished.add(offset)
        while self._open and self._open[0] in self._finished:
            first = self._open.popleft()
            self._finished.discard(first)
            self._next = first + 1

    @property
    def committable(self) -> int | None:
        """The offset to commit (that of the next record to read after a restart), or None when nothing has finished."""
        return self._next
