"""Silence of C++ libraries while they load: the lines that they are known to write to stderr are swallowed."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NOISE = (
    "INFO: Created TensorFlow Lite XNNPACK delegate",
    "WARNING: All log messages before absl::InitializeLog",
    "inference_feedback_manager.cc",
    "gl_context",
)


@contextmanager
def without_noise() -> Iterator[None]:
    """Swallow known lines that C++ code writes to stderr while a model loads. All others are passed on."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with os.fdopen(os.memfd_create("stderr"), "w+b") as caught:
            os.dup2(caught.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(saved, 2)
                caught.seek(0)
                for line in caught.read().decode(errors="replace").splitlines(keepends=True):
                    if not any(noise in line for noise in _NOISE):
                        sys.stderr.write(line)
    finally:
        os.close(saved)
