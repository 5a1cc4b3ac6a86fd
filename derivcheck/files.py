"""Files on disk: nothing of the user's is overwritten, and a file is there whole or not at all.

What derivcheck writes bears a mark in its head (a PDF after its end), a hash of the rest: as long as that fits, nobody has
changed the file and it may be written again.  A file that can bear no mark (a CSV) is known by ``report.json`` in its folder
(``files``).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from derivcheck.errors import InputError

MARK = "derivcheck; hash of the rest: "
KINDS = {  # how a line of each kind of text bears the mark, and how many lines stand before it
    "python": ("# Written by {}", 0),
    "latex": ("% Written by {}", 0),
    "markdown": ("<!-- Written by {} -->", 0),
    "html": ("<!-- Written by {} -->", 1),
    "xml": ("<!-- Written by {} -->", 1),
    "json": ('  "written_by": "{}",', 1),
    "sarif": ('  "properties": {{"written_by": "{}"}},', 1),  # the schema allows no key of our own
}
HEAD = 512  # bytes in which the mark is looked for
MARKED = re.compile(rb"^[^\n]*" + MARK.encode() + rb"([0-9a-f]{32})[^\n]*\n", re.MULTILINE)
PDF = b"%PDF-"
PNG, AFTER_HEADER = b"\x89PNG\r\n\x1a\n", 33  # a PNG's signature and first chunk; its text chunk may follow
REPORT = "report.json"


def digest(content: str | bytes) -> str:
    """The hash of a file's content; how its lines end does not count.

    >>> digest("a\\n") == digest(b"a\\r\\n") != digest("b\\n")
    True
    """
    return hashlib.blake2b(_bytes(content).replace(b"\r\n", b"\n"), digest_size=16).hexdigest()


def marked(text: str, kind: str) -> str:
    """The text with its mark in the head; ``kind`` is one of ``KINDS``, JSON an object that is not empty, indented.

    >>> print(marked("x = 1", "python"))
    # Written by derivcheck; hash of the rest: ...
    x = 1
    """
    line, before = KINDS[kind]
    lines = text.split("\n")
    return "\n".join([*lines[:before], line.format(MARK + digest(text)), *lines[before:]])


def marked_png(image: bytes) -> bytes:
    """A PNG with its mark in a text chunk."""
    chunk = b"tEXtComment\0" + (MARK + digest(image)).encode()
    framed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return image[:AFTER_HEADER] + framed + image[AFTER_HEADER:]


def marked_pdf(document: bytes) -> bytes:
    """A PDF with its mark in a comment after its end: a place within would shift every address in it."""
    document = document.rstrip(b"\n") + b"\n"
    return document + f"% Written by {MARK}{digest(document)}\n".encode()


def written_by_us(path: Path) -> bool | None:
    """True for a file that derivcheck wrote and nobody has changed, False for one changed since, None for any other."""
    content = path.read_bytes()
    if content.startswith(PNG) and MARK.encode() in content[:HEAD]:
        end = AFTER_HEADER + 12 + struct.unpack_from(">I", content, AFTER_HEADER)[0]
        return digest(content[:AFTER_HEADER] + content[end:]).encode() in content[AFTER_HEADER:end]
    found = MARKED.search(content, max(0, len(content) - HEAD)) if content.startswith(PDF) else MARKED.search(content[:HEAD])
    if found is not None:
        return digest(content[: found.start()] + content[found.end() :]) == found[1].decode()
    told = _told_beside(path)
    return digest(content) in told if told else None


def _told_beside(path: Path) -> list[str]:
    """The hashes of a file as the report in its folder has them."""
    try:
        report = json.loads(path.with_name(REPORT).read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(report, dict) or MARK not in str(report.get("written_by")) or not isinstance(report.get("files"), dict):
        return []
    told = report["files"].get(path.name)
    return told if isinstance(told, list) else []


def _nothing() -> Iterable[Path]:
    return ()


@dataclass(frozen=True)
class Outputs:
    """The files that one command may write: all are asked for before the work, then written all or none.

    Args:
        named: each file with the option that names it.
        read: gives the files that the command reads, which it never writes; nor does it write code that it has loaded.
        force: overwrite what else is there; None where that cannot be asked for.
        what: what the option names.
    """

    named: Sequence[tuple[Path, str]]
    read: Callable[[], Iterable[Path]] = _nothing
    force: bool | None = False
    what: str = "file"

    def ask(self) -> None:
        """Whether each of them may be written.

        Raises:
            InputError: one that may not, with the reason and what to do.
        """
        kept = [s for s in map(_stat, self.read()) if s is not None]
        seen: list[tuple[Path, str]] = []
        for path, option in self.named:
            for other, its in seen:
                if other == _place(path) or _same(other, path):
                    raise InputError(f"{its} and {option} both name {path}; name two files")
            self._ask(path, option, kept)
            seen.append((_place(path), option))

    def _ask(self, path: Path, option: str, kept: Sequence[os.stat_result]) -> None:
        """Refuse what would overwrite the user's, or cannot be written, before anything is."""
        try:
            there: os.stat_result | None = path.stat()
        except FileNotFoundError:
            there = None
        except OSError as e:
            raise self._unwritable(path, e.strerror or str(e), option) from e
        other = self._other(option)
        if there is not None:
            if stat.S_ISDIR(there.st_mode):
                raise InputError(f"{path} is a folder, where a file is to be written; {other}")
            if not stat.S_ISREG(there.st_mode):
                raise InputError(f"{path} is a device or a pipe, where a file is to be written; {other}")
            if any(os.path.samestat(there, k) for k in kept):
                raise InputError(f"{path} is read by this command and is never overwritten; {other}")
            if not os.access(path, os.R_OK | os.W_OK):
                raise self._unwritable(path, "Permission denied", option)
            self._keep(path, there, option)
        folder = _place(path).parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            raise self._unwritable(path, f"{folder} is not a folder", option)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise self._unwritable(path, f"the folder {folder} is not writable", option)

    def _keep(self, path: Path, there: os.stat_result, option: str) -> None:
        """Refuse to overwrite what is not derivcheck's own."""
        ours = written_by_us(path)
        if ours:
            return
        loaded = (_stat(Path(f)) for f in {getattr(m, "__file__", None) for m in list(sys.modules.values())} if f)
        if any(s is not None and os.path.samestat(there, s) for s in loaded):
            raise InputError(f"{path} is code that this command uses and is never overwritten; {self._other(option)}")
        if not self.force:
            why = "was not written by derivcheck" if ours is None else "was changed since derivcheck wrote it"
            how = "remove it" if self.force is None else "overwrite it with --force"
            raise InputError(f"{path} is there and {why}; {self._other(option)}, or {how}")

    def write(self, contents: Mapping[Path, str | bytes]) -> list[Path]:
        """Write some of the files: each under a temporary name in its folder, then all are renamed.

        Args:
            contents: of some or all of the files, text as UTF-8.

        Raises:
            InputError: one that may not or cannot be written; no file has changed then.
        """
        self.ask()
        options = dict(self.named)
        staged: list[tuple[Path, Path]] = []
        path = Path()
        try:
            for path, content in contents.items():
                final = _place(path)
                final.parent.mkdir(parents=True, exist_ok=True)
                temporary = final.with_name(f".derivcheck-{secrets.token_hex(8)}")
                staged.append((temporary, final))
                with temporary.open("xb") as f:
                    f.write(_bytes(content))
                if final.exists():
                    temporary.chmod(stat.S_IMODE(final.stat().st_mode))
            while staged:
                os.replace(*staged[0])
                del staged[0]
        except OSError as e:
            raise self._unwritable(path, e.strerror or str(e), options[path]) from e
        finally:
            for temporary, _ in staged:
                temporary.unlink(missing_ok=True)
        return list(contents)

    def _other(self, option: str) -> str:
        return f"name another {self.what} with {option}"

    def _unwritable(self, path: Path, why: str, option: str) -> InputError:
        return InputError(f"{path} cannot be written ({why}); {self._other(option)}")


def rewritten(texts: Mapping[Path, tuple[str, str]]) -> dict[Path, Path]:
    """Put other texts into files of the user's, who has asked for it; each is kept as it was beside it (``layer.py.orig``).

    Args:
        texts: of each file the text that it has, and the one that it is to have.

    Returns:
        Each file with its backup.

    Raises:
        InputError: a file that has another text by now, or that cannot be written; no file has changed then.
    """
    staged: list[tuple[Path, Path]] = []
    kept: dict[Path, Path] = {}
    replaced: list[tuple[Path, str]] = []
    path, done = Path(), False
    try:
        for path, (before, after) in texts.items():
            final = _place(path)
            if final.read_bytes() != before.encode():
                raise InputError(f"{path} has changed since it was read, and stays as it is; check the gradient again")
            if not os.access(final, os.W_OK):
                raise PermissionError(13, "Permission denied")
            backup = next(b for k in range(1000) if not os.path.lexists(b := Path(f"{final}.orig{k or ''}")))
            temporary = final.with_name(f".derivcheck-{secrets.token_hex(8)}")
            staged.append((temporary, final))
            temporary.write_bytes(after.encode())
            temporary.chmod(stat.S_IMODE(final.stat().st_mode))
            with backup.open("xb") as f:
                kept[path] = backup
                f.write(before.encode())
        for (temporary, final), (before, _) in zip(staged, texts.values()):
            os.replace(temporary, final)
            replaced.append((final, before))
        done = True
    except OSError as e:
        for final, before in replaced:
            final.write_bytes(before.encode())
        raise InputError(f"{path} cannot be written ({e.strerror or e}), and stays as it is") from e
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
        for backup in () if done else kept.values():
            backup.unlink(missing_ok=True)
    return kept


def usable_folder(path: Path, option: str = "--out") -> Path:
    """The folder, made where it is missing, after a trial write.

    Raises:
        InputError: it cannot be made or written.

    >>> import tempfile
    >>> usable_folder(Path(tempfile.mkdtemp()) / "new").is_dir()
    True
    """
    trial = path / f".derivcheck-{secrets.token_hex(8)}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as e:
        raise InputError(f"the output folder {path} cannot be written ({e.strerror or e}); choose another with {option}") from e
    return path


def _bytes(content: str | bytes) -> bytes:
    return content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content


def _place(path: Path) -> Path:
    """Where a path leads: a link stays a link, what it points to is written."""
    return Path(os.path.realpath(path))


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _same(a: Path, b: Path) -> bool:
    first, second = _stat(a), _stat(b)
    return first is not None and second is not None and os.path.samestat(first, second)
