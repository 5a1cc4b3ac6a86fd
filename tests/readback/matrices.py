"""Printed matrix algebra: products, transposes, ⊙, sums, ones, diag, norms; what a line says in indices, in indices.

A vector is a column; the length of a vector of ones follows from what stands beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from derivcheck.notation.functions.float64 import numpy_function
from derivcheck.notation.text.latex.scope import BoundLetter
from derivcheck.notation.text.latex.signs import DrawnName
from derivcheck.notation.text.latex.tokens import LatexToken
from derivcheck.notation.text.syntax import At, Name, Piece
from tests.readback.latex import LatexLine
from tests.readback.legend import Legend, Misprint

RELATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": np.equal, r"\ne": np.not_equal, r"\ge": np.greater_equal, r"\le": np.less_equal, ">": np.greater, "<": np.less,
}  # fmt: skip


PARTS: dict[str, Callable[[Any], Any]] = {
    "chol": np.linalg.cholesky, "tril": np.tril, "triu": np.triu, "Phi": lambda a: np.tril(a) - np.diag(np.diag(a)) / 2,
}  # fmt: skip


def inverted(a: Any, turned: bool) -> Any:
    """The inverse, perhaps of the transposed matrix."""
    found = np.linalg.inv(np.asarray(a, float))
    return found.T if turned else found


def number_of(kind: int, a: Any) -> Any:
    """The determinant, the logarithm of it, or that of its magnitude."""
    return np.linalg.det(a) if not kind else np.linalg.slogdet(a)[1]


def rounded_alike(a: Any, b: Any) -> Any:
    """``a``, and ``b`` where they differ by the order in which a sum was rounded."""
    return np.where(np.isclose(a, b, rtol=1e-13, atol=0), b, a)


@dataclass(eq=False)
class Length:
    """A length that is to be found."""

    value: int | None = None
    same: Length | None = None

    @property
    def root(self) -> Length:
        return self if self.same is None else self.same.root


@dataclass
class Matrix:
    """A matrix that is computed once all lengths are known; no shape: a number."""

    shape: tuple[Length, Length] | None
    compute: Callable[[], Any] = field(repr=False)
    zero: bool = False


class MatrixLine(LatexLine):
    """Reads the sides of one printed line as matrices."""

    def __init__(
        self,
        text: str,
        legend: Legend,
        arrays: dict[str, np.ndarray],
        scalar: Callable[[Piece, dict[str, int]], float],
        sizes: dict[str, int],
    ) -> None:
        """``arrays``: the numbers of each name; ``scalar``: the value of a term in indices without free ones."""
        super().__init__(text, legend)
        self.arrays, self.scalar, self.sizes = arrays, scalar, sizes
        self.batch: dict[str, int] = {}  # how far the indices run that stay beside matrices
        self.place: dict[str, int] = {}
        self.unknown: list[Length] = []
        self.tolerant = False  # whether sides of a condition that differ by rounding are equal

    def compared_arrays(self, relation: str, a: Any, b: Any) -> Any:
        """A condition, by elements."""
        return RELATIONS[relation](rounded_alike(a, b) if self.tolerant else a, b).astype(float)

    def letters(self) -> dict[str, int]:
        """The indices that stay on the left side, and how far they run."""
        self.binding = True
        self.addends()
        self.binding = False
        self.k, self.unknown = 0, []
        return self.batch

    def values(self, place: dict[str, int]) -> list[np.ndarray]:
        """The value of each side at a place of the batch."""
        self.k, self.unknown, self.place = 0, [], dict(place)
        found = [self.addends()]
        while self.take("="):
            found.append(self.addends())
        if self.here.kind != "end":
            raise self.unexpected("the end of the line")
        for other in found[1:]:
            self.equal(found[0], other)
        if any(n.root.value is None for n in self.unknown):
            raise Misprint(f"nothing tells the length of a vector of ones: {self.text}")
        with np.errstate(all="ignore"):
            return [np.asarray(m.compute(), dtype=float) for m in found]

    # -- lengths ----------------------------------------------------------------------------------
    def length(self) -> Length:
        self.unknown.append(Length())
        return self.unknown[-1]

    def unify(self, a: Length, b: Length) -> None:
        a, b = a.root, b.root
        if a is b:
            return
        if a.value is not None and b.value is not None:
            if a.value != b.value:
                raise Misprint(f"{a.value} beside {b.value}: {self.text}")
        elif a.value is None:
            a.same = b
        else:
            b.same = a

    def equal(self, a: Matrix, b: Matrix) -> None:
        """Both have one shape; a matrix of one element is a number, and 0 a matrix of any shape."""
        if a.zero or b.zero:
            return
        for one, other in ((a, b), (b, a)):
            if one.shape is None:
                for n in other.shape or ():
                    self.unify(n, Length(1))
                return
        assert a.shape is not None and b.shape is not None
        for x, y in zip(a.shape, b.shape):
            self.unify(x, y)

    # -- algebra ----------------------------------------------------------------------------------
    def addends(self) -> Matrix:
        sign = self.take("-")
        found = self.elementwise()
        if sign:
            found = self.mapped(np.negative, found)
        if self.take(r"\bmod"):
            return self.both(np.mod, found, self.elementwise())
        while operator := self.take("+", "-"):
            right = self.elementwise()
            self.equal(found, right)
            found = self.both(np.add if operator.text == "+" else np.subtract, found, right)
        return found

    def both(self, f: Callable[[Any, Any], Any], a: Matrix, b: Matrix) -> Matrix:
        return Matrix(a.shape if a.shape is not None else b.shape, lambda: f(a.compute(), b.compute()))

    def mapped(self, f: Callable[[Any], Any], a: Matrix) -> Matrix:
        return Matrix(a.shape, lambda: f(a.compute()))

    def elementwise(self) -> Matrix:
        found = self.chain()
        while self.source(self.here.span) == r"\odot":
            self.k += 1
            right = self.chain()
            self.equal(found, right)
            found = self.both(selected, found, right)
        return found

    def chain(self) -> Matrix:
        """A matrix product, numbers among its factors."""
        found = self.powers()
        while self.here.kind != "end" and self.source(self.here.span) != r"\odot":
            if self.at(
                "+", "-", ")", "]", "}", "=", ",", r"\rangle", r"\|", ">", "<", r"\le", r"\ge", r"\ne", r"\rVert", r"\bmod"
            ):
                break
            if self.bars and self.at("|"):
                break
            self.take(r"\cdot")
            found = self.multiplied(found, self.powers())
        return found

    def multiplied(self, a: Matrix, b: Matrix) -> Matrix:
        if a.shape is None or b.shape is None:
            return self.both(selected, a, b)
        for one, other in ((a, b), (b, a)):  # a number in front, or behind
            assert one.shape is not None
            if all(n.root.value == 1 for n in one.shape):
                return Matrix(other.shape, lambda one=one, other=other: one.compute() * other.compute())  # type: ignore[misc]
        self.unify(a.shape[1], b.shape[0])
        return Matrix((a.shape[0], b.shape[1]), lambda: np.asarray(a.compute()) @ np.asarray(b.compute()))

    def powers(self) -> Matrix:
        found = self.single()
        while self.take("^"):
            begin, end = self.group()
            after, self.k = self.k, begin
            above = "".join(t.text for t in self.tokens[begin:end])
            if above in ("-1", r"-\top") and found.shape is not None and not all(n.root.value == 1 for n in found.shape):
                self.unify(*found.shape)
                turned = above != "-1"
                found = Matrix(found.shape, lambda a=found, t=turned: inverted(a.compute(), t))  # type: ignore[misc]
                self.k = after
                continue
            if end == begin + 1 and self.here.kind == "number":
                exponent = self.single()
                found = Matrix(found.shape, lambda a=found, e=exponent: np.asarray(a.compute(), float) ** e.compute())  # type: ignore[misc]
                self.k = after
                continue
            if self.take(r"\top"):
                if found.shape is None:
                    raise Misprint(f"a number is transposed: {self.text}")
                found = Matrix(found.shape[::-1], lambda inner=found: np.transpose(inner.compute()))  # type: ignore[misc]
            else:
                by_elements = self.take("∘") is not None
                if found.shape is not None and not by_elements and any(n.root.value != 1 for n in found.shape):
                    raise Misprint(f"a power of a matrix: {self.text}")
                exponent = self.addends()
                if exponent.shape is not None and not by_elements and any(n.root.value != 1 for n in exponent.shape):
                    raise Misprint(f"a power of a number, raised to a matrix: {self.text}")
                shape = found.shape if found.shape is not None else exponent.shape
                found = Matrix(shape, lambda a=found, e=exponent: np.asarray(a.compute(), float) ** e.compute())  # type: ignore[misc]
            if self.k != end:
                raise self.unexpected("'}'")
            self.k = after
        return found

    # -- one factor -------------------------------------------------------------------------------
    def inside(self, closing: str) -> Matrix:
        found = self.addends()
        self.need(closing)
        return found

    def single(self) -> Matrix:
        t = self.here
        if self.take("(", "{"):
            return self.inside({"(": ")", "{": "}"}[t.text])
        if self.take("["):
            left = self.addends()
            relation = self.need(*RELATIONS).text
            right = self.inside("]")
            if right.shape is not None:
                self.equal(left, right)
            return Matrix(left.shape, lambda: self.compared_arrays(relation, left.compute(), right.compute()))
        if self._one_here():
            self.k += 4
            n = self.length()
            return Matrix((n, Length(1)), lambda: np.ones((n.root.value or 0, 1)))
        if [t.text for t in self.tokens[self.k : self.k + 4]] == [r"\mathbf", "{", "I", "}"]:
            self.k += 4
            n = self.length()
            return Matrix((n, n), lambda: np.eye(n.root.value or 0))
        if self.take(r"\lVert"):
            inner = self.inside(r"\rVert")
            if not self.at("_"):
                return Matrix(None, lambda: np.sqrt(np.sum(np.square(inner.compute()))))
            for sign in ("_", "F", "^", "2"):
                self.need(sign)
            return Matrix(None, lambda: np.sum(np.square(inner.compute())))
        if self.take(r"\langle"):
            left = self.addends()
            self.need(",")
            right = self.inside(r"\rangle")
            self.equal(left, right)
            for sign in ("_", "F"):
                self.need(sign)
            return Matrix(None, lambda: np.sum(left.compute() * right.compute()))
        if (whole := self.whole_matrix()) is not None:
            return whole
        if t.text == r"\frac":
            return self.quotient()
        if t.text == r"\sqrt":
            self.k += 2
            inner = self.inside("}")
            return self.mapped(np.sqrt, inner)
        if self.big_here() in ("largest", "smallest"):
            return self.extreme(np.maximum if self.big_here() == "largest" else np.minimum)
        if self.big_here():
            return self.summed()
        if self.take("|"):
            self.bars += 1
            inner = self.inside("|")
            self.bars -= 1
            return self.mapped(np.abs, inner)
        if t.kind == "number":
            self.k += 1
            if self.take(r"\ldots"):
                self.rounded = True
            return Matrix(None, lambda: float(t.text), t.text == "0")
        if self.take(r"\infty"):
            return Matrix(None, lambda: np.inf)
        if self.at(r"\lfloor"):
            return self.in_indices(self.floored)
        if t.text == r"\pi" and "pi" not in self.legend.tensors:
            self.k += 1
            return Matrix(None, lambda: np.pi)
        return self.named()

    def whole_matrix(self) -> Matrix | None:
        """A determinant, a Cholesky factor, or a triangle."""
        texts = [t.text for t in self.tokens[self.k : self.k + 3]]
        if texts[:1] == [r"\det"] or texts[:2] == [r"\log", r"\det"] or texts == [r"\log", "|", r"\det"]:
            place = texts.index(r"\det")
            self.k += place + 1
            self.need("(")
            inner = self.inside(")")
            if place == 2:
                self.need("|")
            return Matrix(None, lambda: number_of(place, np.asarray(inner.compute())))
        if texts[0] == r"\Phi" and "Phi" not in self.legend.tensors and texts[1] == "(":
            self.k += 1
            word = "Phi"
        elif texts[0] == r"\operatorname" and self._word() in ("chol", "tril", "triu"):
            word = self._word()
            self.k = self.closing(self.k + 1) + 1
        else:
            return None
        self.need("(")
        inner = self.inside(")")
        assert inner.shape is not None
        return Matrix(inner.shape, lambda: PARTS[word](np.asarray(inner.compute())))

    def extreme(self, f: Callable[[Any, Any], Any]) -> Matrix:
        """The largest or smallest, by elements; a number stands for itself."""
        self.k += 1
        self.need("(")
        found = self.addends()
        while self.take(","):
            right = self.addends()
            if found.shape is not None and right.shape is not None:
                self.equal(found, right)
            found = self.both(f, found, right)
        self.need(")")
        return found

    def quotient(self) -> Matrix:
        self.k += 1
        self.need("{")
        if self.take(r"\partial"):
            if self.called(*self.symbol()) not in (self.signs.get(self.loss), "?loss"):
                raise Misprint(f"a derivative of something else than the loss: {self.text}")
            for sign in ("}", "{", r"\partial"):
                self.need(sign)
            found = self.slice(lambda name: self.legend.gradients[name])
            self.need("}")
            return found
        above = self.inside("}")
        self.need("{")
        below = self.inside("}")
        if above.shape is not None or below.shape is not None:
            raise Misprint(f"a quotient of matrices: {self.text}")
        return self.both(np.divide, above, below)

    def symbol(self) -> Any:
        start = self.here.span
        s, raised = self.marked(self.nucleus())
        if self.at("_"):
            self.k += 1
            begin, end = self.group()
            s = replace(s, lowered="".join(t.text for t in self.tokens[begin:end]))
        return s, self.since(start)

    def named(self) -> Matrix:
        """A function by elements, diag, a tensor or a size."""
        start = self.k
        if self.here.text == r"\operatorname" and self.tokens[self.k + 2].text == "d" and self._word() == "diag":
            self.k = self.closing(self.k + 1) + 1
            self.need("(")
            inner = self.inside(")")
            if inner.shape is None:
                raise Misprint(f"diag of a number: {self.text}")
            self.unify(inner.shape[1], Length(1))
            return Matrix((inner.shape[0], inner.shape[0]), lambda: np.diag(np.asarray(inner.compute())[:, 0]))
        function = self._function_name()
        if function:
            while self.at("^", "_", "'"):
                mark = self.here.text
                self.k += 1
                begin, end = (self.k, self.k) if mark == "'" else self.group()
                word = "".join(t.text for t in self.tokens[begin:end]).lstrip("\\")
                if (function, word) == ("digamma", "(1)"):
                    return self._trigamma()
                function = {
                    ("erf", "-1"): "erfinv", ("normal", "-1"): "ndtri", ("log", "2"): "log2", ("log", "10"): "log10",
                    ("gelu", "tanh"): "gelu_tanh", ("sinc", ""): "sinc_slope", ("i0", "e"): "i0e", ("i1", "e"): "i1e",
                }[function, word]  # fmt: skip
            self.need("(", "{")
            inner = self.inside({"(": ")", "{": "}"}[self.tokens[self.k - 1].text])
            return self.mapped(lambda v: np.sign(v) if function == "sign" else numpy_function(function)(v), inner)
        self.k = start
        letter = self.here.text
        if self.here.kind == "letter" and (letter in self.place or self.binding and DrawnName(letter) not in self.signs):
            self.k += 1
            while self.take("'"):
                letter += "'"
            number = self.place.get(letter, 0) + self.legend.first
            return Matrix(None, lambda: float(number))
        s, span = self.symbol()
        if s not in self.signs and s.lowered:  # an element
            self.k = start
            return self.slice()
        name = self.called(s, span)
        if name not in self.legend.dims:
            return Matrix(None, lambda: float(self.sizes[name]))
        return self.tensor(name)

    def _trigamma(self) -> Matrix:
        self.need("(")
        return self.mapped(lambda v: numpy_function("polygamma")(1, v), self.inside(")"))

    def _word(self) -> str:
        end = self.closing(self.k + 1)
        return "".join(t.text for t in self.tokens[self.k + 2 : end])

    def summed(self) -> Matrix:
        """Σ of matrices over indices that stay beside them; else of numbers, in indices."""
        start, kind = self.k, self.big_here()
        lone = self.tokens[self.k + 1].text == "_" and kind == "sum"
        begin = self.k + 2
        end = self.closing(begin) if lone and self.tokens[begin].text == "{" else begin
        letters = self.letters_between(begin, end)
        if lone and letters and not any(t.text in ("=", r"\le") for t in self.tokens[begin:end]):
            return self.batch_sum(letters, end + 1)
        self.k = start
        self.env |= {n: BoundLetter(n) for n in self.place}
        self.keys |= set(self.place)
        piece, place = self.over(kind), dict(self.place)
        return Matrix(None, lambda: self.scalar(piece, place))

    def letters_between(self, begin: int, end: int) -> list[str]:
        """Letters with their primes."""
        found: list[str] = []
        for t in self.tokens[begin : max(end, begin + 1)]:
            if t.kind == "letter":
                found.append(t.text)
            elif t.text == "'" and found:
                found[-1] += "'"
        return found

    def batch_sum(self, letters: list[str], k: int) -> Matrix:
        """The sum of matrices over letters, which run as far as the dimensions that they stand in."""
        before, bound, known = dict(self.place), dict(self.batch), list(self.unknown)
        parts = []
        self.k, self.binding = k, True  # read once for how far the letters run alone
        for n in letters:
            self.batch.pop(n, None)
            self.place.pop(n, None)
        self.chain()
        self.binding, self.unknown = False, known
        for at in itertools.product(*(range(self.batch[n]) for n in letters)):
            self.k = k
            self.place = {**before, **dict(zip(letters, at))}
            parts.append(self.chain())
        self.place, self.batch = before, bound
        for other in parts[1:]:
            self.equal(parts[0], other)
        return Matrix(parts[0].shape, lambda: sum(np.asarray(p.compute(), dtype=float) for p in parts))

    def slice(self, renamed: Callable[[str], str] = str) -> Matrix:
        """A tensor at the indices below it."""
        at_name, start = self.k, self.here.span
        s, _ = self.marked(self.nucleus())
        if s not in self.signs and self.at("_"):  # a name with a label below it
            self.k += 1
            begin, end = self.group()
            s = replace(s, lowered="".join(t.text for t in self.tokens[begin:end]))
        name = renamed(self.called(s, self.since(start)))
        at: list[int] = []
        if self.take("_"):
            begin, end = self.group()
            if self._top_level(begin, end)[1] or any(self.is_computed(t) for t in self.tokens[begin:end]):
                return self.computed(at_name, renamed)
            after, self.k = self.k, begin
            while self.k < end:
                token = self.here
                self.k += 1
                if token.kind == "number":
                    at += [int(c) - self.legend.first for c in token.text]
                elif token.kind == "letter":
                    letter = token.text + "'" * sum(self.take("'") is not None for _ in range(3))
                    if letter not in self.place and self.binding:
                        self.batch[letter] = np.asarray(self.arrays[name]).shape[len(at)]
                    elif letter not in self.place:
                        raise self.fail(token.span, f"nothing binds {letter}")
                    at.append(self.place.get(letter, 0))
                elif token.text != ",":
                    raise self.fail(token.span, f"found {token.text!r} below a matrix")
            self.k = after
        return self.tensor(name, tuple(at))

    def is_computed(self, t: LatexToken) -> bool:
        """Whether a position is more than letters and numbers."""
        return (
            t.text == "_"
            or t.kind == "command"
            or t.kind == "letter"
            and t.text not in self.place
            and DrawnName(t.text) in self.signs
        )

    def computed(self, k: int, renamed: Callable[[str], str]) -> Matrix:
        """An element whose positions are computed."""
        self.k = k

        def read() -> Piece:
            found = self.element()[0]
            assert isinstance(found, (At, Name))
            return replace(found, name=renamed(found.name))

        return self.in_indices(read)

    def in_indices(self, read: Callable[[], Piece]) -> Matrix:
        """A number that is written in indices."""
        self.env = {n: BoundLetter(n) for n in self.place}
        self.keys = set(self.place)
        piece, place = read(), dict(self.place)
        return Matrix(None, lambda: self.scalar(piece, place))

    def tensor(self, name: str, at: tuple[int, ...] = ()) -> Matrix:
        """A tensor, or what stands at a place of it, as a matrix."""
        array = np.asarray(self.arrays[name], dtype=float)[at]
        if array.ndim > 2:
            raise Misprint(f"{name} has {array.ndim} dimensions: {self.text}")
        if array.ndim == 0:
            return Matrix(None, lambda: array)
        table = array if array.ndim == 2 else array[:, None]
        return Matrix((Length(table.shape[0]), Length(table.shape[1])), lambda: table)


def selected(a: Any, b: Any) -> Any:
    """The product by elements; a factor that is 0 selects, whatever the other is."""
    return np.where((np.asarray(a) == 0) | (np.asarray(b) == 0), 0.0, np.asarray(a) * b)
