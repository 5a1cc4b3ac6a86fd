"""What a file is that is no CSV, from its first bytes, and in which encoding a text is that is no UTF-8."""

from __future__ import annotations

import stat
from pathlib import Path

from derivcheck.errors import InputError

HEAD = 4096
_STARTS = (
    (b"PAR1", "this is a Parquet file; name it .parquet"),
    (b"\x1f\x8b", "this is a gzip archive; unpack it first (gunzip)"),
    (b"BZh", "this is a bzip2 archive; unpack it first (bunzip2)"),
    (b"\xfd7zXZ", "this is an xz archive; unpack it first (unxz)"),
    (b"\x28\xb5\x2f\xfd", "this is a Zstandard archive; unpack it first (unzstd)"),
    (b"PK\x03\x04", "this is an Excel workbook or a ZIP archive; export the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "this is an old Excel workbook; export the sheet as CSV"),
    (b"%PDF-", "this is a PDF; export the table as CSV"),
    (b"SQLite format 3", "this is a SQLite database; export the table as CSV"),
    (b"\x89HDF", "this is an HDF5 file; export the table as CSV"),
    (
        b"\x93NUMPY",
        "this is a NumPy array; save it with a header by numpy.savetxt(…, delimiter=',', header='a,b', comments='')",
    ),
    (b"ARROW1", "this is an Arrow file; write it as Parquet or CSV"),
    (b"version https://git-lfs", "this is a Git LFS pointer, not the data; fetch it with git lfs pull"),
)


def foreign(path: Path) -> str | None:
    """What a file is instead of a CSV, with what to do; None where nothing speaks against one.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    try:
        if stat.S_ISFIFO(path.stat().st_mode):
            return "this is a pipe, which is read once alone; save it as a file"
        with path.open("rb") as f:
            head = f.read(HEAD)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror or e})") from None
    for start, what in _STARTS:
        if head.startswith(start):
            return f"{what}, expected a CSV file" if ";" not in what else what
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "this is an HTML or XML page (perhaps a log-in page that was saved); expected a CSV file"
    if text.startswith((b"{", b"[")):
        return "this is JSON; expected a CSV file with a header row"
    if b"\0" not in head:
        return None
    encoding = looks_like(path)
    if encoding is None:
        return "found NUL bytes; expected a CSV file in UTF-8"
    return f"found bytes that are not UTF-8 text; it looks like {encoding[0]}: iconv -f {encoding[1]} -t UTF-8 converts it"


def looks_like(path: Path) -> tuple[str, str] | None:
    """The encoding that a text is perhaps in, by its name and as iconv calls it."""
    with path.open("rb") as f:
        head = f.read(HEAD)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16", "UTF-16"
    for first, codec in ((0, "UTF-16BE"), (1, "UTF-16LE")):
        if len(head) > 3 and head[first::2].count(0) > len(head) // 4:
            return codec, codec
    if b"\0" in head:
        return None
    for name, codec in (("Chinese GB 18030", "gb18030"), ("Windows-1252", "cp1252")):
        try:
            text = head.decode(codec)
        except UnicodeDecodeError:
            continue
        if codec == "cp1252" or sum("\u4e00" <= c <= "\u9fff" for c in text) > 1:
            return name, codec.upper()
    return None
