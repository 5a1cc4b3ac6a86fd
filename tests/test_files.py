"""Nothing of the user's is overwritten; whole files or none."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from derivcheck import files
from derivcheck.errors import InputError
from derivcheck.files import KINDS, Outputs, digest, marked, marked_pdf, marked_png, usable_folder, written_by_us

TEXTS = {
    "python": '"""A file."""\nx = 1\n',
    "latex": "\\documentclass{article}\n",
    "markdown": "# Notes\n",
    "html": "<!DOCTYPE html>\n<p>ŷ</p>\n",
    "xml": '<?xml version="1.0" encoding="utf-8"?>\n<a/>\n',
    "json": '{\n  "a": 1\n}\n',
    "sarif": '{\n  "version": "2.1.0"\n}\n',
}


def outputs(*paths: Path, force: bool | None = False, read: tuple[Path, ...] = ()) -> Outputs:
    return Outputs([(p, "--out") for p in paths], lambda: read, force)


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_writes_text_and_bytes_into_new_folders(tmp_path: Path) -> None:
    a, b = tmp_path / "new" / "folder" / "a.txt", tmp_path / "new" / "b.bin"
    assert outputs(a, b).write({a: "ŷ", b: b"\x00"}) == [a, b]
    assert a.read_text(encoding="utf-8") == "ŷ" and b.read_bytes() == b"\x00"
    assert left(a.parent) == ["a.txt"] and left(b.parent) == ["b.bin", "folder"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_marked_file_is_known_until_it_is_changed(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(marked(TEXTS[kind], kind), encoding="utf-8")
    assert written_by_us(path) is True
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert written_by_us(path) is True, "how lines end does not count"
    path.write_bytes(path.read_bytes() + b"more\n")
    assert written_by_us(path) is False
    path.write_text(TEXTS[kind], encoding="utf-8")
    assert written_by_us(path) is None


def test_a_mark_does_not_spoil_the_file() -> None:
    assert ast.get_docstring(ast.parse(marked(TEXTS["python"], "python"))) == "A file."
    assert json.loads(marked(TEXTS["json"], "json"))["a"] == 1
    assert ElementTree.fromstring(marked(TEXTS["xml"], "xml").encode()).tag == "a"
    assert max(map(len, marked(TEXTS["python"], "python").splitlines())) <= 80


def test_a_marked_picture_is_whole(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    path = tmp_path / "b.png"
    path.write_bytes(marked_png((tmp_path / "a.png").read_bytes()))
    with Image.open(path) as image:
        image.verify()
    assert written_by_us(path) is True and written_by_us(tmp_path / "a.png") is None
    path.write_bytes(path.read_bytes() + b"\0")
    assert written_by_us(path) is False


def test_a_marked_document_keeps_its_addresses(tmp_path: Path) -> None:
    document = b"%PDF-1.5\n" + b"1 0 obj\n" * 200 + b"startxref\n9\n%%EOF"
    path = tmp_path / "a.pdf"
    path.write_bytes(document)
    assert written_by_us(path) is None
    path.write_bytes(marked_pdf(document))
    assert written_by_us(path) is True and path.read_bytes().startswith(document)
    path.write_bytes(path.read_bytes().replace(b"startxref\n9", b"startxref\n8"))
    assert written_by_us(path) is False


def test_the_report_beside_a_file_knows_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    report = json.dumps({"files": {"a.csv": [digest("x\n1\n")]}}, indent=2)
    (tmp_path / "report.json").write_text(report)
    assert written_by_us(tmp_path / "a.csv") is None, "a report of somebody else says nothing"
    (tmp_path / "report.json").write_text(marked(report, "json"))
    assert written_by_us(tmp_path / "a.csv") is True and written_by_us(tmp_path / "report.json") is True
    (tmp_path / "a.csv").write_text("x\n2\n")
    assert written_by_us(tmp_path / "a.csv") is False


@pytest.mark.parametrize("text", ["[]", "{", '{"written_by": 1, "files": 2}', "", "[" * 100_000])
def test_another_report_says_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text)
    (tmp_path / "a.csv").write_text("x")
    assert written_by_us(tmp_path / "a.csv") is None


def test_its_own_file_is_rewritten_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    for text in ("x = 1\n", "x = 2\n"):
        outputs(path).write({path: marked(text, "python")})
        assert text in path.read_text()
        path.chmod(0o640)
    assert left(tmp_path) == ["a.py"]
    outputs(path).write({path: marked("x = 3\n", "python")})
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("mine", "was not written by derivcheck"),
        ("", "was not written by derivcheck"),
        (marked("x", "python") + "y", "was changed since derivcheck wrote it"),
    ],
)
def test_what_is_not_its_own_is_refused_unless_forced(before: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(before)
    sentence = f"a.py is there and {why}; name another file with --out, or overwrite it with --force"
    for act in (Outputs.ask, lambda o: o.write({path: "new"})):
        with pytest.raises(InputError, match=sentence):
            act(outputs(path))
    with pytest.raises(InputError, match="name another file with --out, or remove it"):
        outputs(path, force=None).ask()
    assert path.read_text() == before
    outputs(path, force=True).write({path: "new"})
    assert path.read_text() == "new" and left(tmp_path) == ["a.py"]


@pytest.mark.parametrize("how", ["itself", "link", "hard link", "through ..", "its own"])
def test_what_is_read_is_never_written(how: str, tmp_path: Path) -> None:
    source, out = tmp_path / "layer.py", tmp_path / "out.py"
    source.write_text(marked("x = 1\n", "python") if how == "its own" else "x = 1\n")
    before = source.read_text()
    if how in ("itself", "its own"):
        out = source
    elif how == "link":
        out.symlink_to(source)
    elif how == "hard link":
        os.link(source, out)
    else:
        out = tmp_path / "folder" / ".." / "layer.py"
        (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is read by this command and is never overwritten"):
        outputs(out, read=(source,), force=True).write({out: "new"})
    assert source.read_text() == before


def test_loaded_code_is_never_written(tmp_path: Path) -> None:
    before = Path(files.__file__).read_text(encoding="utf-8")
    with pytest.raises(InputError, match="is code that this command uses and is never overwritten"):
        outputs(Path(files.__file__), force=True).write({Path(files.__file__): "new"})
    assert Path(files.__file__).read_text(encoding="utf-8") == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link, path = tmp_path / "link.py", tmp_path / "a.py"
    link.symlink_to(path)  # to nothing as yet
    for text in ("x = 1\n", "x = 2\n"):
        outputs(link).write({link: marked(text, "python")})
        assert link.is_symlink() and text in path.read_text()


@pytest.mark.parametrize("second", ["b.txt", "mine.txt", "folder", "a.txt", "mine.txt/b.txt", "loop"])
def test_all_are_asked_for_before_one_is_written(second: str, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    there = left(tmp_path)
    a, b = tmp_path / "a.txt", tmp_path / second
    named = Outputs([(a, "--junit"), (b, "--reproducer")])
    if second == "b.txt":
        assert named.write({a: "new", b: "new"}) == [a, b]
        return
    for act in (Outputs.ask, lambda o: o.write({a: "new", b: "new"})):
        with pytest.raises(InputError, match="--reproducer"):
            act(named)
    assert left(tmp_path) == there and (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("folder", "is a folder, where a file is to be written"),
        ("pipe", "is a device or a pipe"),
        ("mine/b.txt", r"cannot be written \(Not a directory\)"),
        ("x" * 300, r"cannot be written \(File name too long\)"),
    ],
)
def test_places_where_no_file_can_be(name: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine").write_text("mine")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=sentence + ".*name another file with --out"):
        outputs(tmp_path / name, force=True).write({tmp_path / name: "new"})
    assert left(tmp_path) == ["folder", "mine", "pipe"]


def test_a_folder_that_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    with pytest.raises(InputError, match=r"cannot be written \(the folder .* is not writable\); name another file with --out"):
        outputs(tmp_path / "new" / "a.txt").ask()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("at", ["replace", "chmod"])
def test_an_interrupted_write_leaves_what_was_there(
    error: BaseException, at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    before = marked("old", "python")
    a.write_text(before)

    def stopped(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(os if at == "replace" else Path, at, stopped)
    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt):
        outputs(a, b).write({a: "new", b: "new"})
    assert left(tmp_path) == ["a.txt"] and a.read_text() == before


def test_of_several_files_all_are_rewritten_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    for path in (one, two):
        path.write_text("old\n")
    replace = os.replace

    def once(source: Path, target: Path) -> None:
        if Path(target) == two:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", once)
    with pytest.raises(InputError, match="cannot be written"):
        files.rewritten({one: ("old\n", "new\n"), two: ("old\n", "new\n")})
    assert one.read_text() == two.read_text() == "old\n" and left(tmp_path) == ["one.py", "two.py"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"the output folder .*file/out cannot be written \(Not a directory\)"):
        usable_folder(tmp_path / "file" / "out")
