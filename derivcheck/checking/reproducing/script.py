"""A file in the making: what it brings along, the data that it runs on, and the names that are taken in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch

from derivcheck.checking.report.row import Row
from derivcheck.checking.reproducing.carry import Carrier
from derivcheck.checking.reproducing.snippets import statements_for
from derivcheck.checking.subject import wide
from derivcheck.checking.subject.subject import Subject
from derivcheck.checking.verdict.derived import JudgedRun

RESERVED = ("show", "forward", "forward_and_gradients", "floating")


class Script:
    """The code under test, then a function that runs it on the data of one faulty row.

    Lines call their own variables ``§name``: each gets a name that no input has.
    """

    def __init__(self, s: Subject, backward: Any, row: Row, evidence: JudgedRun, seed: int) -> None:
        self.s, self.backward, self.row, self.evidence, self.seed = s, backward, row, evidence, seed
        self.data = {**evidence.tensors, **evidence.upstream}
        self.local = {*self.data, *s.passed}
        self.file = Carrier((*RESERVED, *statements_for(wide, "Widening")))

    @property
    def double(self) -> bool:
        """Whether it runs in float64."""
        return self.row.verdict != "dtype" and any(t.dtype is torch.float64 for t in self.data.values())

    @property
    def of_value(self) -> bool:
        """Whether it is the forward's value that is wrong."""
        return self.row.name == "value" or self.row.name.startswith("value ")

    def text(self, lines: Iterable[str]) -> str:
        """The whole file, with these lines in its function, after the data."""
        body = "\n".join(lines)
        for name in sorted(set(re.findall(r"§(\w+)", body))):  # variables of this function: no input is called so
            body = re.sub(rf"§{name}\b", self.new(name), body)
        where = f", shown by {self.row.where}" if self.row.where else ""
        title = f"{self.s.name}: {self.row.sentence()}{where}.".replace("\\", "\\\\").replace('"', "'")
        shown = "\n".join(f"    {line}" if line else "" for line in body.split("\n"))
        code = self.file.text()
        return (
            f'"""{title}"""\n\nfrom __future__ import annotations\n\n{code}\n\n\n'
            f'def show():\n{shown}\n\n\nif __name__ == "__main__":\n    show()\n'
        )

    def data_lines(self) -> list[str]:
        """The data, and what every run of it starts from."""
        lines = [f"torch.manual_seed({self.seed})"]
        if self.double:
            lines.append("torch.set_default_dtype(torch.float64)")
        seen: dict[int, str] = {}
        for name, t in self.data.items():
            lines.append(f"{name} = {seen[id(t)] if id(t) in seen else self.file.expression(t)}")
            seen.setdefault(id(t), name)
        lines += [f"{name} = {self.apart(self.file.expression(value))}" for name, value in self.s.passed.items()]
        return lines

    def apart(self, expression: str) -> str:
        """An expression whose names no local variable hides."""
        root = expression.split(".")[0].split("(")[0].strip()
        if root.isidentifier() and root in self.local:
            name = next(n for n in (f"{root}_{k}" for k in range(2, 99)) if n not in self.local and n not in self.file.bound)
            self.file.bound[name] = None
            self.file.parts.append(f"{name} = {root}")
            return name + expression[len(root) :]
        return expression

    def new(self, name: str) -> str:
        """A local variable that nothing else is called."""
        while name in self.local:
            name += "_"
        self.local.add(name)
        return name


def listed(names: list[str]) -> str:
    """A list of variables."""
    return f"[{', '.join(names)}]"


def tupled(names: list[str]) -> str:
    """A tuple of variables."""
    return f"({', '.join(names)}{',' * (len(names) == 1)})"
