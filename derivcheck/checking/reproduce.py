from typing import Any


def reproducer(s: Any, rows: Any, upstream: Any, right: Any) -> Any:
    return None
