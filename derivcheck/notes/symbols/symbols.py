"""Readable symbols for what a derivation names: ``weight`` is W, ``target`` y, the prediction ŷ, the loss a script L.

One name, one thing: tensors, upstream gradients, sizes, indices and scalar functions never print alike, nor does a name
like another tensor's element, in any style.  A name that is a symbol already (``x``, ``W``, ``alpha``) keeps it, a size
keeps its name; where two would print alike, the later one prints as the word that it is.  An index takes another letter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, count

from derivcheck.derivation.cholesky import is_factor
from derivcheck.derivation.sweep import bar_names
from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.program import Program
from derivcheck.notes.symbols.looks import Looks, plain
from derivcheck.notes.symbols.mentioned import Mentioned, mentioned
from derivcheck.notes.symbols.symbol import GREEK, Symbol, look, size_looks

TABLE = {
    "weight": "W",
    "weights": "W",
    "bias": "b",
    "input": "x",
    "inputs": "x",
    "target": "y",
    "targets": "y",
    "loss": "L",
    "query": "q",
    "key": "k",
    "value": "v",
    "eps": "epsilon",
    "mean": "mu",
}
HATS = frozenset({"output", "pred", "prediction", "y_pred", "y_hat", "yhat", "ypred"})
_LABELLED = (re.compile(r"_*(?P<label>.*?)_*(?P<kind>weight|bias)$"), re.compile(r"(?P<kind>weight|bias)_(?P<label>\w+)$"))
_NUMBER = re.compile(r"(.*[^\W_])_(\d+)")
_OPERATORS = ("sum", "prod", "max", "min", "argmax", "argmin", "mod", "diag", "sign", "Σ", "Π")
_SPARE = "ijklmnpqrstuvhwabcdefgz"


@dataclass
class Symbols:
    """The symbols of a derivation in one style.

    Attributes:
        of: symbol by name of an input or definition of the forward, or of an upstream gradient.
        adjoint_of: for each adjoint definition, the name that it is the gradient in.
        upstream_of: for each upstream gradient, the output that it belongs to.
        scalar: the forward's output is one number, and its upstream gradient is 1.
        loss: what is differentiated: the symbol of a scalar output, else a script L.
        sizes: what a size is called.
        indices: the letter of an index.
        parameters: the forward's parameters.
        dims: the dimensions of every tensor.
        lower: Cholesky factors, which are lower triangular.
    """

    of: dict[str, Symbol]
    adjoint_of: dict[str, str]
    upstream_of: dict[str, str]
    scalar: bool
    loss: Symbol
    sizes: dict[str, str] = field(default_factory=dict)
    indices: dict[str, str] = field(default_factory=dict)
    parameters: frozenset[str] = frozenset()
    dims: Mapping[str, tuple[Poly, ...]] = field(default_factory=dict)
    lower: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Symbol:
        return self.of.get(name) or Symbol(name)

    def adjoint_of_name(self, name: str) -> str:
        """The adjoint's name for the gradient in ``name``, or the upstream gradient that it is."""
        for bar, of in (*self.adjoint_of.items(), *self.upstream_of.items()):
            if of == name:
                return bar
        return f"{name}_bar"

    def of_upstream(self, sentence: str, written: Callable[[str], str]) -> list[str]:
        """The sentence (with ``{bar}`` and ``{name}``) of each upstream gradient; a scalar output's is 1 and not told of."""
        pairs = () if self.scalar else self.upstream_of.items()
        return [sentence.format(bar=written(up), name=written(name)) for up, name in pairs]

    def index(self, i: Index) -> tuple[str, int]:
        """The letter of an index and how many primes follow it."""
        return self.indices.get(i.name, i.name), i.serial


def symbols(forward: Program, adjoint: Program, style: str = "index") -> Symbols:
    """Symbols for a forward Program and its gradient, in the ``index``, ``matrix`` or ``scalar`` style."""
    seen = mentioned(forward, adjoint)
    ranks = {n: len(forward.dims(n)) for n in (*forward.inputs, *(d.name for d in forward.definitions))}
    of, sizes, indices = _index_style(forward, ranks, seen, style)
    looks = _reserved(seen, style)
    for text in (*map(size_looks, sizes.values()), *(Symbol(i).looks() for i in indices.values())):
        looks.take(text)
    of = _styled(of, style, ranks, looks)
    outs = [o for o in forward.outputs if forward.kind(o) == "float"]
    bars = bar_names(forward)
    defined = {d.name for d in adjoint.definitions}
    adjoint_of = {bar: name for name, bar in bars.items() if bar in defined or bar in adjoint.outputs}
    scalar = forward.scalar and bool(outs)
    loss = of[outs[0]] if scalar else looks.first(chain((Symbol(c, script=True) for c in "LJEFR"), plain("loss")))
    upstream_of: dict[str, str] = {}
    for k, (up, out) in enumerate(zip((a.name for a in adjoint.arguments if a.name not in forward.inputs), outs)):
        wish = of[out].barred
        if out in upstream_of.values():  # an output that is given twice
            wish = replace(wish, label=f"{wish.label}{k}", low=False)
        of[up] = looks.first(chain((wish, Symbol("g")), plain(up)), ranks[out] > 0)
        upstream_of[up] = out
    parameters = frozenset(a.name for a in forward.arguments if a.role == "parameter")
    dims = {n: p.dims(n) for p in (forward, adjoint) for n in p.names}
    lower = frozenset(d.name for d in (*forward.definitions, *adjoint.definitions) if is_factor(d))
    return Symbols(of, adjoint_of, upstream_of, scalar, loss, sizes, indices, parameters, dims, lower)


def _index_style(
    forward: Program, ranks: dict[str, int], seen: Mentioned, style: str
) -> tuple[dict[str, Symbol], dict[str, str], dict[str, str]]:
    """The symbols of tensors, sizes and indices: own letters first, then sizes, a user's own index letters, the rest."""
    looks = _reserved(seen, style)
    hatted = prediction(forward)
    of: dict[str, Symbol] = {}
    own = [n for n in ranks if n != hatted and (len(n) == 1 or n in GREEK)]
    for name in sorted(own, key=lambda n: len(n) > 1):
        wish = Symbol(name, script=name == "L" and forward.scalar and name in forward.outputs)
        of[name] = looks.first(chain((wish,), plain(name)), ranks[name] > 0)
    sizes = {s: next(w for w in _numbered(s, f"{s}_size") if looks.take(size_looks(w))) for s in seen.sizes}
    indices: dict[str, str] = {}
    if seen.given:
        indices = {i: i for i in seen.indices if looks.take(Symbol(i).looks())}
    wishes = {n: _wishes(n, hatted, forward) for n in ranks if n not in of}
    numbers = Counter(w[-1] for w in wishes.values() if w[-1].label.isdigit())
    wide = frozenset().union(*((of[n] if n in of else wishes[n][0]).looks() for n, rank in ranks.items() if rank))
    for name, found in wishes.items():
        if numbers[found[-1]] > 1:  # W1 beside W_1: both as they are spelt
            found = []
        elif found[0].low and not wide.isdisjoint(replace(found[0], label="").looks()):  # z_4 is an element of z
            found = found[1:]
        of[name] = looks.first(chain(_bars(name, of), found, plain(name)), ranks[name] > 0)
    used = seen.indices
    field = {"o": "j", "i": "k"} if "o" in used and not seen.given and not {"j", "k"} & {*used, *looks.used} else {}
    for i in used:
        if i not in indices and looks.take(Symbol(field.get(i, i)).looks()):
            indices[i] = field.get(i, i)
    for i in used:
        if i not in indices:
            spare = [c for c in _SPARE if not any(n.endswith(f"_{c}") for n in ranks)]  # x_i stays no element of x
            indices[i] = next(w for w in _numbered(*spare, f"{i}_index") if looks.take(Symbol(w).looks()))
    return of, sizes, {i: indices[i] for i in used}


def _numbered(*wishes: str) -> Iterator[str]:
    """The wishes, then the last one with numbers."""
    yield from wishes
    for k in count(2):
        yield f"{wishes[-1]}_{k}"


def _reserved(seen: Mentioned, style: str) -> Looks:
    """Looks in which the signs of scalar functions and operators are taken; ``cos[n]`` may stand beside ``cos(x)``."""
    looks = Looks({*(i for i in seen.indices if len(i) == 1), "j", "k"})
    looks.used |= {*_OPERATORS}
    for name in seen.functions:
        row = functions().get(name)
        sign = look(row.latex if row else name)
        signs = {re.split(r"[_^(]", sign)[0], {"pi": "π"}.get(name, name)}
        words = {w for w in signs if len(w) > 1 and style != "matrix"}  # whole matrices have no indices to be told apart by
        looks.words |= words
        looks.used |= signs - words
    return looks


def _styled(of: dict[str, Symbol], style: str, ranks: dict[str, int], looks: Looks) -> dict[str, Symbol]:
    """Small letters for elements, capitals for matrices, where no other name has them."""
    wishes = {
        n: s.small if style == "scalar" else s.capital if style == "matrix" and ranks[n] >= 2 else s for n, s in of.items()
    }
    found: dict[str, Symbol] = {}
    for n in sorted(of, key=lambda n: wishes[n] != of[n]):
        found[n] = looks.first((wishes[n], of[n]), ranks[n] > 0)
    return {n: found[n] for n in of}


def prediction(forward: Program) -> str:
    """The definition that the loss compares with the target; it wears the hat."""
    if not forward.scalar or "target" not in forward.inputs:
        return ""
    defined = {d.name for d in forward.definitions if d.kind == "float"}
    beside = {n for d in forward.definitions if "target" in d.term.names for n in d.term.names if n in defined}
    return next(iter(beside)) if len(beside) == 1 else ""


def _bars(name: str, of: dict[str, Symbol]) -> list[Symbol]:
    """The symbol of an earlier gradient, whose tensor has one."""
    core, bars = _core(name)
    return [replace(of[core], bars=bars)] if bars and core in of else []


def _assigned_again(name: str, forward: Program) -> bool:
    """Whether a number tells two definitions of one variable apart, or values that have no name: ``h_1`` is h once more."""
    return any(d.name == name and d.variable != name for d in forward.definitions)


def _core(name: str) -> tuple[str, int]:
    """A name without its ``_bar``, and how many those were."""
    bars = 0
    core = re.sub(r"_bar_\d+$", "_bar", name)  # an earlier gradient, renamed beside a new one
    while core.endswith("_bar"):
        core, bars = core[:-4], bars + 1
    return core, bars


def _wishes(name: str, hatted: str, forward: Program) -> list[Symbol]:
    """The symbols that suit a name, the best first."""
    core, bars = _core(name)
    rank = len(forward.dims(name))
    if core == "grad_output" and bars == 0:
        return [Symbol("g")]
    if name == hatted or core in HATS:
        return [Symbol("y", hat=True, bars=bars)]
    if core in TABLE:
        script = TABLE[core] == "L" and core in forward.outputs
        letters = {"weight": "wW" if rank < 2 else "W" if rank == 2 else "WK", "target": "yt", "loss": "LJ"}
        return [Symbol(c, bars=bars, script=script) for c in letters.get(core, (TABLE[core],))]
    again = _NUMBER.fullmatch(core)
    if again and _assigned_again(name, forward):
        raised = Symbol(again[1], bars=bars, label=again[2])
        return [raised] if rank else [replace(raised, low=True), raised]
    parted = _LABELLED[0].fullmatch(core) or _LABELLED[1].fullmatch(core)
    if parted and parted["label"]:
        flat = parted["kind"] == "weight" and rank < 2
        return [Symbol("w" if flat else TABLE[parted["kind"]], bars=bars, label=parted["label"])]
    return [Symbol(core, bars=bars)]
