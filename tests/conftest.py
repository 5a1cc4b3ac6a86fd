"""In CI the property tests draw the same examples each time, so that what lands hangs on no luck; elsewhere they look on."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, database=None)
if os.environ.get("CI"):
    settings.load_profile("ci")
