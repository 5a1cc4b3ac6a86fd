"""Results on disk: whole files or none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from derivcheck.errors import InputError


def usable_folder(path: Path) -> Path:
    """The folder, made where it is missing, after a trial write.

    Raises:
        InputError: it cannot be made or written.

    >>> import tempfile
    >>> usable_folder(Path(tempfile.mkdtemp()) / "new").is_dir()
    True
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".derivcheck-"):
            pass
    except OSError as e:
        raise InputError(f"the output folder {path} cannot be written ({e.strerror or e}); choose another with --out") from e
    return path


def write_all(folder: Path, files: Mapping[str, str | bytes]) -> list[Path]:
    """Write files under temporary names first, then rename them all: a reader never sees half of one.

    Args:
        files: content by name, text as UTF-8.

    Raises:
        InputError: the folder cannot be written; no file has changed then.
    """
    usable_folder(folder)
    staged: list[tuple[str, Path]] = []
    try:
        for name, content in files.items():
            handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}-")
            staged.append((temporary, folder / name))
            with os.fdopen(handle, "wb") as f:
                f.write(content.encode("utf-8") if isinstance(content, str) else content)
            os.chmod(temporary, 0o644)
        for _, final in staged:
            if final.is_dir():
                raise InputError(f"{final} is a folder, where a file is to be written; move it or choose another --out")
        for temporary, final in staged:
            os.replace(temporary, final)
    except OSError as e:
        raise InputError(f"the output folder {folder} cannot be written ({e.strerror or e}); choose another with --out") from e
    finally:
        for temporary, _ in staged:
            Path(temporary).unlink(missing_ok=True)
    return [final for _, final in staged]
