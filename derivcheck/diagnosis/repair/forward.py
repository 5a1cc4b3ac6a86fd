"""What the forward computes on its way, spelled in the backward's own variables: a step that the backward does not have."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from derivcheck.codegen.file.source import File
from derivcheck.derived import Derivation
from derivcheck.diagnosis.repair.bench import Bench
from derivcheck.diagnosis.repair.pool import PoolPart
from derivcheck.diagnosis.scene import Array
from derivcheck.diagnosis.wording import code_of
from derivcheck.notation.program.definitions import Definition

LONGEST, DEEPEST = 75, 5


def of_forward(d: Derivation, bench: Bench, env: Mapping[str, Any], outer: set[str]) -> list[PoolPart]:
    """Each floating-point step of the forward whose code is short, in variables that may be read.

    Args:
        env: the variables, with their values.
        outer: the names of the file.
    """
    written, values = _written(d), bench.values
    known = {n for n in env if isinstance(env[n], (torch.Tensor, int, float))} | ({"torch"} & outer)
    tensors = {n: v for n, v in env.items() if isinstance(v, torch.Tensor) and n.isidentifier()}
    held = list(tensors.values())
    own = {x.name: n for x in d.program.definitions if (n := _named(values.get(x.name), tensors)) is not None}
    same = _same(bench, env)
    found: dict[str, PoolPart] = {}
    for x in d.program.definitions:
        if x.kind != "float" or x.name not in values or x.name not in written:
            continue
        node = _as_written(x, d, same, outer) or _inlined(written[x.name], written, known, DEEPEST, own)
        if node is None or len(text := ast.unparse(node)) > LONGEST:
            continue
        value = torch.from_numpy(np.array(values[x.name], dtype=float))
        if any(v.shape == value.shape and torch.allclose(v.double(), value) for v in held):
            continue  # they have it already
        loose = not isinstance(node, (ast.Name, ast.Call, ast.Attribute, ast.Subscript))
        found.setdefault(text, PoolPart(text, value, 1.0 + len(text) / 100, "a step of the forward", loose))
    return list(found.values())


def _same(bench: Bench, env: Mapping[str, Any]) -> set[str]:
    """The variables that are what the forward's of the same name are."""
    known = {**bench.values, **{n: t.numpy() for n, t in bench.given.items()}}
    held = {n: v.detach().cpu().numpy() for n, v in env.items() if isinstance(v, torch.Tensor)}
    return {n for n, v in held.items() if n in known and known[n].shape == v.shape and np.allclose(v, known[n])}


def _as_written(x: Definition, d: Derivation, same: set[str], outer: set[str]) -> ast.expr | None:
    """The forward's own code of a step, where a backward may read all that it reads."""
    code = code_of(x, d.program)
    if code is None:
        return None
    node = ast.parse(code, mode="eval").body
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return node if names <= same | (outer & {"torch", "F", "nn", "math"}) else None


@lru_cache(maxsize=32)
def _written(d: Derivation) -> dict[str, ast.expr]:
    """The expression of each variable of the generated code that is assigned once."""
    try:
        tree = ast.parse(File(d.program, d.adjoint, d.name, d.values, d.wrt, made_up=()).text())  # by the Program's own names
    except Exception:  # a forward that no code is generated for
        return {}
    found: dict[str, ast.expr] = {}
    twice: set[str] = set()
    for n in ast.walk(tree):
        if isinstance(n, ast.Assign) and len(n.targets) == 1 and isinstance(n.targets[0], ast.Name):
            name = n.targets[0].id
            twice |= {name} if name in found else set()
            found[name] = n.value
    return {n: e for n, e in found.items() if n not in twice}


def _named(value: Array | None, tensors: Mapping[str, torch.Tensor]) -> str | None:
    """The variable that has this value."""
    if value is None or value.size < 2:
        return None
    shaped = ((n, v.detach().double().cpu().numpy()) for n, v in tensors.items() if tuple(v.shape) == value.shape)
    same = (n for n, v in shaped if np.allclose(v, value))
    return next(same, None)


def _inlined(
    node: ast.expr, written: Mapping[str, ast.expr], known: set[str], depth: int, own: Mapping[str, str]
) -> ast.expr | None:
    """An expression with what is not known replaced by what it is; None where that does not end."""
    if depth == 0:
        return None
    failed = False

    class Put(ast.NodeTransformer):
        def visit_Name(self, n: ast.Name) -> ast.expr:
            """The user's variable of this value, the name itself where it may be read, else what it is."""
            nonlocal failed
            if n.id in own:
                return ast.Name(own[n.id], ast.Load())
            if n.id in known:
                return n
            inner = _inlined(written[n.id], written, known, depth - 1, own) if n.id in written else None
            failed |= inner is None
            return n if inner is None else inner

    found = Put().visit(ast.parse(ast.unparse(node), mode="eval").body)
    return None if failed else found
