"""Spans of time: lists of (from, to) in ns, sorted and apart from each other."""

from collections.abc import Iterable, Sequence

Span = tuple[int, int]


def union(spans: Iterable[Sequence[int]]) -> list[Span]:
    """Return the time that is in any of these spans, in whatever order they come; spans that touch become one."""
    merged: list[list[int]] = []
    for begin, end in sorted((begin, end) for begin, end in spans if end > begin):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    return [(begin, end) for begin, end in merged]


def common(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """Return the time that is in both."""
    both = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return [(begin, end) for begin, end in both if end > begin]


def length_ns(spans: Iterable[Span]) -> int:
    """Return the time of all spans together."""
    return sum(end - begin for begin, end in spans)


def most_at_once(people: Iterable[Sequence[Span]]) -> int:
    """Return the largest number of people who were there at one time; of each there are the spans of his stay."""
    steps = sorted((at, step) for spans in people for span in spans for at, step in zip(span, (1, -1), strict=True))
    most = now = 0
    for _, step in steps:  # at one time the ends come first
        now += step
        most = max(most, now)
    return most
