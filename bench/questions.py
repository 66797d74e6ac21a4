"""Table of the benchmarks: each is a function `run(plan, say) -> Findings`, or one that yields what it found so far.

The functions are named, not imported: each benchmark loads its libraries in a process of its own.
"""

QUESTIONS = {
    "transport": "bench.transport:run",
    "capture": "bench.capture:run",
    "detect": "bench.detect:run",
    "people": "bench.people:run",
    "classify": "bench.classify:run",
    "player": "bench.player:run",
    "screen": "bench.screen:run",
    "ledger": "bench.ledger:run",
    "pipeline": "bench.pipeline:run",
    "scale": "bench.scale:run",
    "overload": "bench.overload:run",
    "soak": "bench.soak:run",
    "gpu": "bench.gpu:run",
}
LONG = ("screen", "soak")
"""Benchmarks that run only where they are named."""
STEPS = {"gpu_step": "bench.gpu_step:run"}
"""Parts of a benchmark that need a process of their own: `run(plan, say, *arguments) -> Findings`."""
