"""In CI the property tests draw the same examples each time, so that what lands hangs on no luck; elsewhere they look on.

A search for a fix counts its looks at the clock: what it finds does not depend on how busy the machine is.
"""

from __future__ import annotations

import gc
import os

from hypothesis import settings

from derivcheck.diagnosis.repair.clock import clock

settings.register_profile("ci", derandomize=True, database=None)
if os.environ.get("CI"):
    settings.load_profile("ci")

clock.step = 0.001  # seconds, as in docs/make


def pytest_collection_finish() -> None:
    """What stands now stays to the end: the collector need not go through it again and again."""
    gc.collect()
    gc.freeze()
