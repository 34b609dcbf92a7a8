"""Counters in Prometheus' text format."""

from collections import Counter

_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """What the service has done since it started."""

    def __init__(self) -> None:
        self.responses: Counter[int] = Counter()
        self.faces = 0
        self._seconds: Counter[float] = Counter()
        self._sum_s = 0.0

    def observe(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self.responses[status] += 1
        self._sum_s += seconds
        self._seconds[next((bound for bound in _BUCKETS_S if seconds <= bound), float("inf"))] += 1

    def text(self, *, waiting: int, batch_sizes: list[int]) -> str:
        """Format everything."""
        lines = ["# TYPE morphable_responses_total counter"]
        lines += [f'morphable_responses_total{{status="{s}"}} {n}' for s, n in sorted(self.responses.items())]
        lines += ["# TYPE morphable_faces_total counter", f"morphable_faces_total {self.faces}"]
        lines += ["# TYPE morphable_queue_length gauge", f"morphable_queue_length {waiting}"]
        mean = sum(batch_sizes) / len(batch_sizes) if batch_sizes else 0.0
        lines += ["# TYPE morphable_recent_batch_size gauge", f"morphable_recent_batch_size {mean:g}"]
        lines.append("# TYPE morphable_request_seconds histogram")
        total = 0
        for bound in (*_BUCKETS_S, float("inf")):
            total += self._seconds[bound]
            label = "+Inf" if bound == float("inf") else f"{bound:g}"
            lines.append(f'morphable_request_seconds_bucket{{le="{label}"}} {total}')
        lines += [f"morphable_request_seconds_sum {self._sum_s:g}", f"morphable_request_seconds_count {total}"]
        return "\n".join(lines) + "\n"
