"""A worker with more work than time."""

from bench.overload import overloaded


def test_an_overloaded_worker_processes_what_its_time_allows() -> None:
    run = overloaded(3, seconds=2.0, piece_s=0.5)
    detect = run.roles["detect"]
    # 30 frames a second in, 100 ms each; what else runs on this machine can only make it slower.
    assert 1 < detect.out_rate < 12
    assert run.roles["broker"].drop_rate > 0.5 * detect.out_rate
    assert len(run.pieces) >= 3
    assert detect.age_in_ms[0] < 750, "in a queue it would be as old as the link allows, 1500 ms"
