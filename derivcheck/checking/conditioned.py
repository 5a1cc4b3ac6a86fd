from typing import Any


def reconsider(s: Any, backward: Any, rows: Any, upstream: Any, right: Any) -> None:
    return None
