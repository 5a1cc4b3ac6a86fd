"""One name, one thing: what is printed for two different things never looks alike, in any style and ink."""

from __future__ import annotations

import itertools
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

import pytest

from derivcheck.derivation.sweep import adjoint, apart
from derivcheck.notation.integers.polynomials import Index, as_poly, i_poly, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import add, func, mul, power, ref, size_of
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.notation.text.parse import parse_program
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.pages.formulas import steps
from derivcheck.notes.pages.html import mathml
from derivcheck.notes.pages.latex import to_latex
from derivcheck.notes.pages.style import Style
from derivcheck.notes.pages.unicode import derivation_text
from derivcheck.notes.symbols.looks import Looks
from derivcheck.notes.symbols.mentioned import mentioned
from derivcheck.notes.symbols.symbol import GREEK
from derivcheck.notes.symbols.symbols import symbols
from derivcheck.notes.writing.ink import Latex, Unicode
from derivcheck.notes.writing.writer import TermWriter
from tests.notes.programs import ALL, pair
from tests.proof.gallery import GALLERY

STYLES = ("index", "matrix", "scalar")
NAMES = """
    x X x_1 x1 x_12 x_hat xhat x_bar x_bar_bar x_n x_t z z_4 z4 z1 z_bar Z a A alpha α beta sigma σ pi psi mu mean eps
    epsilon L J loss weight weights W W_1 W1 w w_1 bias b b_1 b1 _0_weight _0_bias conv_weight weight_conv lin_bias
    target y t y_pred y_hat yhat pred output ŷ ȳ input key k query value v exp log max sum g grad_output g_bar
    grad_output_bar n i j N K in_ out Α gelu I I_0 rstd rstd_long rs td ab x_i x_ij C_size 权重 lambda_ _x x_ x__1 z_04
    z_4_bar mean_bar J_size i_index
""".split()
SIZES = ("N", "K", "W", "L", "C", "n", "k", "alpha", "in", "out", "size", "x", "J", "X")
INDICES = ("n", "k", "i", "j", "o", "x", "w", "alpha", "α", "N", "row", "z", "t", "l")


def normal(text: str) -> str:
    """Printed text as a reader sees it: no fonts, braces or spacing."""
    text = re.sub(r"\\(mathit|mathrm|mathcal|text|operatorname)\b|\\left|\\right|\\,|[{}\s]|\\(?=_)", "", text)
    text = re.sub(r"\\([A-Za-z]+)", lambda m: GREEK.get(m[1], m[1] if m[1] not in ("hat", "bar", "frac") else m[0]), text)
    return unicodedata.normalize("NFKC", text)


def printed(w: TermWriter, forward: Program, back: Program) -> Iterator[tuple[str, object]]:
    """Everything that has a name, as it is printed, with what it is; tensors with and without positions."""
    seen = mentioned(forward, back)
    table = w.symbols
    tensors = {n: forward.dims(n) for n in (*forward.inputs, *(d.name for d in forward.definitions))}
    tensors |= {up: forward.dims(out) for up, out in table.upstream_of.items() if not table.scalar}
    letters = [Index(i, size("N")) for i in seen.indices]
    for name, dims in tensors.items():
        yield normal(w.place(name, ())), name
        if dims:
            places = [*map(as_poly, (0, 4, 12)), *map(i_poly, letters)]
            for at in itertools.product(places if len(dims) < 3 else places[1:4], repeat=len(dims)):
                yield normal(w.place(name, at)), (name, tuple(map(w.poly, at)))
    for bar, name in table.adjoint_of.items():
        yield normal(w.place(bar, ())), f"gradient in {name}"
    for s in seen.sizes:
        yield normal(w.size_name(table.sizes[s])), f"size {s}"
    for i in seen.indices:
        for serial in (0, 1, 2, 5):
            yield normal(w.index(Index(i, size("N"), serial))), f"index {i} {serial}"
    for f in {*seen.functions} - {"polygamma", "pi"}:  # polygamma is digamma's own sign
        yield normal(w.function(f, ["?"])[0].split("(")[0].removesuffix(r"\left")), f"function {f}"
    if "pi" in seen.functions:
        yield normal(w.function("pi", [])[0]), "the number π"
    if not table.scalar:
        yield normal(table.loss.latex() if isinstance(w, Latex) else table.loss.unicode()), "the loss"


def told_by_an_argument(one: object, other: object, forward: Program) -> bool:
    """A tensor that has elements beside a function of its name: ``cos[n]`` and ``cos(x)``."""
    name, function = sorted(map(str, (one, other)), key=lambda t: t.startswith("function "))
    return len(name) > 1 and function == f"function {name}" and name in forward.names and bool(forward.dims(name))


def alike(forward: Program, back: Program) -> list[str]:
    """What looks like something else, in words."""
    found = []
    for style, ink in itertools.product(STYLES, (Latex, Unicode)):
        looks: dict[str, object] = {}
        for text, thing in printed(ink(symbols(forward, back, style)), forward, back):
            first = looks.setdefault(text, thing)
            if first != thing and not (style != "matrix" and told_by_an_argument(first, thing, forward)):
                found.append(f"{style} {ink.__name__}: {text} is {looks[text]} and {thing}")
    return found


def lefts(forward: Program, back: Program, drawn_too: bool = False) -> list[str]:
    """Left sides that stand twice in one derivation."""
    found = []
    twos = dict.fromkeys([*forward.sizes(), *back.sizes()], 2)
    ways: list[tuple[type[TermWriter], str, str, dict[str, int] | None]] = [
        (Latex, "index", "en", None),
        (Unicode, "index", "zh", None),
        (Latex, "matrix", "zh", None),
        (Latex, "scalar", "en", twos),
    ]
    for ink, style, lang, sizes in [*ways, *([(Latex, "scalar", "zh", None)] if drawn_too else [])]:
        left = [f.left for b in blocks(ink, forward, back, Style(style, lang, sizes)) for f in b.formulas]
        if ink is Latex and drawn_too:
            found += [f"{style} HTML: {t}" for t, c in Counter(map(mathml, left)).items() if c > 1]
        found += [f"{style} {ink.__name__}: {t}" for t, c in Counter(map(normal, left)).items() if c > 1]
    for texts in ([s.latex for s in steps(forward, back)], [s.text for s in steps(forward, back)]):
        found += [f"steps: {t}" for t, c in Counter(normal(t.split(" = ")[0]) for t in texts).items() if c > 1]
    return found


def hostile(seed: int) -> Program:
    """A random Program of names that are easily taken for each other."""
    r = random.Random(seed)
    names = r.sample(NAMES, 9)
    group = r.choice(["x", "z", "W", "b", "y", "mean", "alpha", "L", "g", "n", "k"])
    names += r.sample([n for n in NAMES if n not in names and n.lower().startswith(group.lower())] or ["q"], 1)
    r.shuffle(names)
    sizes, letters = r.sample(SIZES, 3), r.sample(INDICES, 3)
    axes = [Index(i, size(s)) for i, s in zip(letters, sizes)]
    known: dict[str, tuple[Index, ...]] = {}
    arguments, definitions = [], []

    def use(own: tuple[Index, ...]) -> Term:
        parts: list[Term] = []
        for name in r.sample(list(known), min(len(known), 3)):
            t: Term = ref(name, *known[name])
            bound = [i for i in known[name] if i not in own]
            t = func(r.choice(["exp", "sigmoid", "sin", "digamma", "log"]), t) if r.random() < 0.3 else power(t, 2)
            parts.append(summation(bound, t) if bound else t)
        number = func("pi") if r.random() < 0.3 else size_of(axes[0].size)
        return add(mul(*parts), *parts, size_of(size(r.choice(sizes))), number)

    for k, name in enumerate(names):
        own = tuple(r.sample(axes, r.choice([0, 0, 1, 1, 2])))
        if k < 5:
            arguments.append(Input(name, tuple(i.size for i in own), role=r.choice(["argument", "parameter"])))
        else:
            definitions.append(Definition(name, own, use(own), rule=r.choice(["given", "row"])))
        known[name] = own
    used = {n for d in definitions for n in d.term.names}
    outputs = [d.name for d in definitions if d.name not in used]
    return apart(Program(tuple(arguments), tuple(definitions), tuple(outputs)), tuple(a.name for a in arguments))


@pytest.mark.parametrize("name", ALL)
def test_gallery_of_notes(name: str) -> None:
    forward, back = ALL[name]()
    assert not alike(forward, back) and not lefts(forward, back, drawn_too=True)


def test_a_size_called_like_a_tensor_is_called_so_throughout() -> None:
    forward, back = pair("y[n] := sum(k: C[n,k]*x[k])/M_1", {"C": "N C", "x": "C", "M_1": ""})
    assert "for every size (N, C_size)" in derivation_text(forward, back)
    for style in STYLES:
        text = to_latex(forward, back, Style(style))
        assert r"\text{Forward (at C\_size = 2)}" in text or style != "scalar"
        assert not re.search(r"(?<!\\)_size", text)


def test_an_index_that_is_renamed_makes_no_element_of_a_name() -> None:
    """The tensor i takes the index's letter; of the letters left, k would make x_k of x."""
    forward, back = pair("y[i,j] := i[j]*x[i]*x_k[j]", {"i": "N", "x": "M", "x_k": "N"})
    assert not alike(forward, back) and not lefts(forward, back)
    assert not {"i", "k"} & set(symbols(forward, back).indices.values())


def test_gallery_of_layers() -> None:
    for e in GALLERY[::2]:
        forward = parse_program(e.forward, e.inputs)
        back = adjoint(forward)
        assert not (wrong := [*alike(forward, back), *lefts(forward, back)]), f"{e.name}: {wrong}"


def test_gradients_of_gradients() -> None:
    for name in ("linear", "names", "two outputs"):
        _, back = ALL[name]()
        wrt = tuple(a.name for a in back.arguments)
        forward = apart(back, wrt)
        again = adjoint(forward, wrt)
        assert not alike(forward, again) and not lefts(forward, again)


def test_a_variable_that_is_called_like_a_function_keeps_its_name() -> None:
    forward, back = pair("cos[n] := cos(a[n]); y[n] := cos[n]*exp(a[n])*exp", {"a": "N", "exp": ""})
    text = derivation_text(forward, back)
    assert "cos[n] = cos(a[n])" in text and "∂L/∂cos[n]" in text
    assert "exp(a[n]) · exp " not in f"{text} " and not alike(forward, back)  # a number has no index to be told apart by
    assert r"\mathit{cos}_n &= \cos\left(a_n\right)" in to_latex(forward, back, Style("index"))
    assert r"\mathit{cos} &=" not in to_latex(forward, back, Style("matrix"))


@pytest.mark.parametrize("part", range(4))
def test_hostile_names(part: int) -> None:
    for seed in range(part * 2, part * 2 + 2):
        forward = hostile(seed)
        back = adjoint(forward)
        assert not (wrong := [*alike(forward, back), *lefts(forward, back)]), f"{seed}: {wrong}\n{forward}"


def test_the_walk_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Looks, "take", lambda *a, **k: True)
    assert sum(bool(alike(f, adjoint(f))) for f in map(hostile, range(10))) > 5
    monkeypatch.setattr(Looks, "first", lambda self, wishes, elements=False: next(iter(wishes)))
    assert lefts(*pair("y := sum(n: weight[n]*weights[n])", {"weight": "N", "weights": "N"}))
