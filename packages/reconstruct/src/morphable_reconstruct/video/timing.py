"""Times of frames and sound: from zero, forward, without the jumps of broadcasts."""

MAX_JUMP_S = 10.0
"""A longer step of a format whose clock may jump (broadcasts) is such a jump."""
MAX_DISORDER_S = 0.5
"""Frames that a damaged file shows in disorder are at most this far back."""
SMALLEST_STEP_S = 1e-3


class Clock:
    """Turns the time stamps of one stream, in presentation order, into times that start at 0 and never go back."""

    def __init__(
        self, *, step_s: float, jumps: bool, zero_s: float | None = None, disorder_s: float = MAX_DISORDER_S
    ) -> None:
        """Start a clock.

        Args:
            step_s: Usual time from one item to the next, for items without a time stamp and after jumps.
            jumps: Whether the format's clock may jump forward.
            zero_s: Time stamp that becomes 0; by default the first one.
            disorder_s: Steps back as long as this or longer are jumps; in shorter ones items take the next moment.
        """
        self._step_s, self._jumps, self._disorder_s = step_s, jumps, disorder_s
        self._zero_s = self._offset_s = zero_s
        self._last_s = 0.0
        self._last_stamp_s: float | None = None

    @property
    def zero_s(self) -> float:
        """Time stamp that stands at 0."""
        return self._zero_s or 0.0

    def __call__(self, stamp_s: float | None, *, step_s: float | None = None) -> tuple[float, float]:
        """Return the time from zero of the next item, and its own time stamp, made up where it has none.

        Args:
            stamp_s: Time stamp of the item in its file, if it has one.
            step_s: Length of the item before it, where that is known.
        """
        step_s = step_s or self._step_s
        last_s, last_stamp_s = self._last_s, self._last_stamp_s
        if stamp_s is None:
            stamp_s = 0.0 if last_stamp_s is None else last_stamp_s + step_s
        if self._offset_s is None:
            self._zero_s = self._offset_s = stamp_s
        if last_stamp_s is not None:
            moved = stamp_s - last_stamp_s
            if moved <= -self._disorder_s or (self._jumps and moved > MAX_JUMP_S):
                self._offset_s = stamp_s - last_s - step_s
        time_s = stamp_s - self._offset_s
        if last_stamp_s is not None:
            time_s = max(time_s, last_s + SMALLEST_STEP_S)
        self._last_s, self._last_stamp_s = time_s, stamp_s
        return time_s, stamp_s
