"""Verdicts that are remembered from one run of a test suite to the next: passes alone, by all that they depend on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
import torch

from derivcheck.checking.report.report import Report
from derivcheck.pytest_plugin.fingerprint import Fingerprint
from derivcheck.pytest_plugin.parts import Unsure, codes
from derivcheck.pytest_plugin.surroundings import surroundings
from derivcheck.pytest_plugin.whose import is_library

KEPT = 10_000  # verdicts; those that were not asked for longest go first
REMEMBERED = "remembered from an earlier run of the tests; --derivcheck-no-cache checks it again"


@dataclass
class Verdicts:
    """The verdicts of one process of a test run.

    Attributes:
        known: those of earlier runs, each with the day when it was last asked for.
        fresh: those that this run adds, or has asked for.
        unsure: why a test's verdict is not remembered, by the test.
    """

    known: Mapping[str, dict[str, Any]]
    fresh: dict[str, dict[str, Any]] = field(default_factory=dict)
    unsure: dict[str, str] = field(default_factory=dict)
    remembered: int = 0
    asked: int = 0
    calls: dict[str, int] = field(default_factory=dict)

    def ask(self, request: pytest.FixtureRequest, call: AskedCheck) -> Question:
        """What is known of a check that a test asks for."""
        test = request.node.nodeid
        self.asked += 1
        self.calls[test] = self.calls.get(test, 0) + 1
        question = Question(self)
        try:
            for key in _keys(request, call, self.calls[test]):
                question.look(key)
                if question.report is not None:
                    break
        except Unsure as e:
            if not question.keys:
                self.unsure[test] = str(e)
        return question

    def to_dict(self) -> dict[str, Any]:
        """What a worker hands to its controller."""
        return {"fresh": self.fresh, "unsure": self.unsure, "remembered": self.remembered, "asked": self.asked}

    def add(self, data: Mapping[str, Any]) -> None:
        """Take over what a worker found."""
        self.fresh.update(data["fresh"])
        self.unsure.update(data["unsure"])
        self.remembered += data["remembered"]
        self.asked += data["asked"]

    def kept(self) -> dict[str, dict[str, Any]]:
        """What the next run is to know."""
        both = {**self.known, **self.fresh}
        return dict(sorted(both.items(), key=lambda item: item[1]["day"])[-KEPT:])

    def words(self, verbose: bool) -> list[str]:
        """What the end of the run says of it."""
        if not self.asked:
            return []
        again = "; --derivcheck-no-cache checks all again" if self.remembered else ""
        lines = [f"derivcheck: {self.remembered} of {self.asked} verdicts were remembered from earlier runs{again}"]
        if self.unsure:
            lines.append(f"derivcheck: {len(self.unsure)} {'tests' if len(self.unsure) > 1 else 'test'} cannot be remembered")
            lines += [f"  {test}: {why}" for test, why in self.unsure.items()] if verbose else ["  (-v says why)"]
        return lines


@dataclass(frozen=True)
class AskedCheck:
    """A check that a test asks for: what is passed to ``check``."""

    forward: Any
    inputs: Any
    backward: Any
    options: Mapping[str, Any]


@dataclass
class Question:
    """One check, with the keys under which its verdict may be known; none where nothing is remembered."""

    verdicts: Verdicts
    keys: list[str] = field(default_factory=list)
    report: Report | None = None

    def look(self, key: str) -> None:
        """Take what an earlier run found under a key."""
        self.keys.append(key)
        known = self.verdicts.known
        found = known.get(key)
        told = None if found is None else known.get(found.get("same", key), {}).get("report")
        if found is not None and told is not None:
            self.report = Report.from_dict({**told, "notes": [*told["notes"], REMEMBERED]})
            for k in {key, found.get("same", key)}:
                self.verdicts.fresh[k] = {**known[k], "day": _today()}
            self.verdicts.remembered += 1

    def keep(self, report: Report) -> None:
        """Remember a verdict that was found now, if it is a pass."""
        if not report.passed or not self.keys:
            return
        first, *others = self.keys
        self.verdicts.fresh[first] = {"report": report.to_dict(), "day": _today()}
        self.verdicts.fresh.update((key, {"same": first, "day": _today()}) for key in others)


def _today() -> int:
    return int(time.time() // 86_400)


def _keys(request: pytest.FixtureRequest, call: AskedCheck, number: int) -> Iterator[str]:
    """A key by the very data, and one by their kinds where all of the test's own code is known that makes them.

    Raises:
        Unsure: something that the verdict depends on cannot be followed.
    """
    if "monkeypatch" in request.fixturenames or "mocker" in request.fixturenames:
        raise Unsure("it uses monkeypatch")
    if hasattr(request.function, "hypothesis"):
        raise Unsure("hypothesis draws its data")
    around = (surroundings(), _conftests(request.config), _shallow(request.function))
    code = [call.backward, dict(call.options), *([] if _module(call.forward) else [call.forward])]
    by_data, by_kinds = Fingerprint(), Fingerprint()
    by_data.add([code, call.forward, call.inputs])
    yield _hash("data", *around, by_data.digest())
    by_kinds.add([*around, request.node.nodeid, number, code])  # the code first: what it holds counts by value
    by_kinds.add([call.forward, call.inputs], kinds=True)
    yield _hash("kinds", _test_code(request), by_kinds.digest())


def _module(forward: Any) -> bool:
    return isinstance(forward, torch.nn.Module)


def _hash(*words: str) -> str:
    return hashlib.blake2b("\0".join(words).encode(), digest_size=20).hexdigest()


def _shallow(f: Any) -> str:
    """The code of a test itself."""
    f = getattr(f, "__func__", f)
    if not isinstance(f, FunctionType):
        raise Unsure("a test that is no function")
    parts = [(c.co_code, c.co_names, repr([k for k in c.co_consts if not hasattr(k, "co_code")])) for c in codes(f.__code__)]
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _test_code(request: pytest.FixtureRequest) -> str:
    """All of the user's code that makes a test's data: the test, its class, its fixtures, the parameters."""
    found = Fingerprint(drawing=True)
    found.add([getattr(request.function, "__func__", request.function), request.cls])
    found.add(getattr(getattr(request.node, "callspec", None), "params", {}))
    definitions = request.node._fixtureinfo.name2fixturedefs  # as pytest --fixtures-per-test reads it
    for name in sorted(definitions):
        for d in definitions[name]:
            if not is_library(d.func.__code__.co_filename if isinstance(d.func, FunctionType) else None):
                found.add([name, d.func])
    return found.digest()


def _conftests(config: pytest.Config) -> str:
    """The texts of the conftest files that are in force."""
    files = sorted(str(p.__file__) for p in config.pluginmanager.get_plugins() if _conftest(p))
    return _hash(*(f"{f} {hashlib.blake2b(Path(f).read_bytes()).hexdigest()}" for f in files))


def _conftest(plugin: Any) -> bool:
    return isinstance(plugin, ModuleType) and Path(str(getattr(plugin, "__file__", ""))).name == "conftest.py"
