"""A term as torch operations: each subterm becomes a node with one index per dimension.

The indices of the definition at hand order the dimensions; an operand is permuted or unsqueezed only where its
own order does not fit.
"""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.codegen.graph.nodes import BOOL, FLOAT, INT, NUMBER, SCALAR, Node, OverNode, broadcast
from derivcheck.codegen.graph.numbers import as_fraction, is_number
from derivcheck.codegen.lowering import onehot
from derivcheck.codegen.lowering.blocks import blocked, concatenated
from derivcheck.codegen.lowering.choices import chosen_before, joined_choices, remember_choice
from derivcheck.codegen.lowering.contraction import contract, is_contraction
from derivcheck.codegen.lowering.digits import digits_apart
from derivcheck.codegen.lowering.frame import Frame, Place
from derivcheck.codegen.lowering.hollow import before_sums, remember_means
from derivcheck.codegen.lowering.masks import implied, mask, masked, where
from derivcheck.codegen.lowering.matrices import made_of_matrix
from derivcheck.codegen.lowering.normal import normal
from derivcheck.codegen.lowering.products import arriving, product_of_others
from derivcheck.codegen.lowering.reading import integer, read
from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import MINUS_ONE, ONE, ZERO, add, coefficient, div, func, mul, neg, power
from derivcheck.notation.terms.nodes import MATRICES, Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.notation.terms.walk import factors, subterms


class Lowering(Frame):
    """The loop: every kind of term as a node, each term of a definition once."""

    memo: dict[tuple[Term, bool], OverNode]

    # -- definitions ---------------------------------------------------------------
    def define(self, d: Definition) -> Node:
        """The node of a definition, over all its indices in their order; one whose digits are read is two, until the end."""
        indices, term = digits_apart(d.indices, d.term)
        node = self.define_step(d, indices, term)
        return node if indices is d.indices else self.graph.reshape(node, d.dims)

    def spelled(self, d: Definition) -> Node | None:
        """The node of torch's own call; None where the call returns another expression of the definition, which is kept."""
        call = d.spelling
        assert call is not None
        remember_means(self, d.name, d.term)
        args = [self.graph.var(n, self.dims[n], "scalar" if n in self.scalars else self.kinds[n]) for n in call.names]
        if call.part is None:
            return self.graph.node("spelled", args, (call.template,), d.dims, d.kind)
        whole = self.graph.node("spelled", args, (call.template,), (), "tuple")
        node = self.graph.node("item", (whole,), (call.part, call.then), d.dims, d.kind)
        if call.of is None:
            if d.kind == "int" and isinstance(d.term, Over) and d.term.kind.startswith("arg"):
                self.below[d.name] = numel(i.size for i in d.term.indices)
            return node
        name = f"place of {d.name}"
        self.held[name], self.dims[name], self.kinds[name] = node, d.dims, "int"
        self.certain.add(name)
        self.places.append(Place(d.name, d.indices, call.of, name))
        return None

    def define_step(self, d: Definition, indices: tuple[Index, ...], term: Term) -> Node:
        """The node of ``term`` over ``indices``: a definition, or one step of it."""
        self.place = {i: k for k, i in enumerate(indices)}
        self.memo = {}
        self.integer_context = d.kind != "float"
        self.at = d.place
        self.remember(d, indices, term)
        value = self.bools(term) if d.kind == "bool" else self.value(term)
        node = self.spread(value, indices)
        if node.kind in (NUMBER, SCALAR) and (node.kind == NUMBER or indices or d.kind != "float" or self.steps):
            node = self.tensor(node)
        if d.kind == "int" and node.kind != INT:
            node = self.graph.unary("to_int", node, kind=INT)
        return node

    def remember(self, d: Definition, indices: tuple[Index, ...], term: Term) -> None:
        """What others may ask of a definition: which bounds it has, where it is no number, by what it was chosen."""
        if d.kind == "int" and isinstance(term, Over) and term.kind.startswith("arg"):
            self.below.setdefault(d.name, numel(i.size for i in term.indices))
        if self.unbounded(term):
            self.infinite.add(d.name)
        if isinstance(term, Over) and term.kind == "cholesky" and term.at == tuple(map(i_poly, indices[-2:])):
            self.lower.add(d.name)
        remember_choice(self, d.name, indices, term)
        remember_means(self, d.name, term)

    def bools(self, term: Term) -> OverNode:
        """A term that is 0 or 1 as a mask."""
        if isinstance(term, Bracket):
            return mask(self, term)
        value = self.value(term)
        if value.node.kind == BOOL:
            return value
        zero = self.graph.number(Number(0))
        return OverNode(self.graph.node("!=", (self.tensor(value.node), zero), (), value.node.dims, BOOL), value.axes)

    # -- terms -----------------------------------------------------------------------
    def value(self, term: Term) -> OverNode:
        """A term as a node with its indices."""
        key = term, self.integer_context
        found = self.memo.get(key)
        if found is None:
            found = self.memo[key] = self._value(term)
        return found

    def _value(self, term: Term) -> OverNode:
        """A node by its kind, through the rule for it."""
        g = self.graph
        if is_number(term, g.fixed):
            return OverNode(g.number(term), ())
        if isinstance(term, Ref):
            return self.as_float(read(self, term.name, term.at))
        if isinstance(term, SizeOf):
            return self.as_float(integer(self, term.value))
        if isinstance(term, Bracket):
            return self.as_float(mask(self, term))
        if isinstance(term, Add):
            return self.total(term.args)
        if isinstance(term, Mul):
            return before_sums(self, self.product(term.args), term.args)
        if isinstance(term, Pow):
            return self.power(term)
        if isinstance(term, Func):
            if self.to_two and to_base_two(term):
                exponent = self.value(div(term.args[0], func("log", Number(2))))
                return OverNode(g.unary("exp2", self.tensor(exponent.node), kind=FLOAT), exponent.axes)
            parts = [self.value(a) for a in term.args]
            axes = self.union([p.axes for p in parts])
            nodes = [self.align(p, axes) for p in parts]
            if term.name != "polygamma":  # its order is a Python integer
                nodes = [self.tensor(n) for n in nodes]
            dims = max((n.dims for n in nodes), key=len)
            for n in nodes:
                dims = broadcast(dims, n.dims)
            return OverNode(g.node("func", nodes, (term.name,), dims, FLOAT), axes)
        if isinstance(term, Over):
            return self.over(term)
        raise UnsupportedOperation(type(term).__name__, "no torch code is known for it", self.at)

    def total(self, args: Sequence[Term]) -> OverNode:
        """A sum of terms."""
        if (found := normal(self, args)) is not None:
            return self.binary("add", self.total(found[1]), found[0]) if found[1] else found[0]
        numbers = [a for a in args if is_number(a, self.graph.fixed)]
        rest = [a for a in args if not is_number(a, self.graph.fixed)]
        parts: list[tuple[bool, OverNode]] = []
        hots = [(a, one) for a in rest if len(args) > 1 and (one := onehot.hot(self, a)) is not None]
        if hots and len(hots) < len(rest) and not self.integer_context:
            base = self.total([a for a in args if all(a is not h for h, _ in hots)])
            for h, one in hots:
                more = onehot.added(self, base, one)
                base = more if more is not None else self.binary("add", base, self.value(h))
            return base
        while (joined := concatenated(self, rest)) is not None:
            parts.append((False, joined[0]))
            rest = joined[1]
        for a in joined_choices(self, rest):
            if isinstance(a, OverNode):
                parts.append((False, a))
            elif as_fraction(a) < 0:
                parts.append((True, self.value(neg(a))))
            else:
                parts.append((False, self.value(a)))
        last: list[tuple[bool, OverNode]] = []
        if numbers:
            number = add(*numbers)
            minus = as_fraction(number) < 0 and any(not negative for negative, _ in parts)
            at = 0 if args[0] is numbers[0] and not minus else len(parts)
            apart = at > 0 and not minus and any(p for p, _ in parts) and not all(p for p, _ in parts)
            own = (minus, OverNode(self.graph.number(neg(number) if minus else number), ()))
            if apart:
                last = [own]  # behind the difference, which beside it may be nothing: x - y + 1e-6
            else:
                parts.insert(at, own)
        parts.sort(key=lambda part: part[0])
        parts += last
        if not parts:
            return OverNode(self.graph.number(ZERO), ())
        negative, result = parts[0]
        if negative:
            result = self.scale(result, MINUS_ONE)
        for negative, part in parts[1:]:
            result = self.binary("sub" if negative else "add", result, part)
        return result

    def product(self, args: Sequence[Term]) -> OverNode:
        """A product, element by element; brackets select."""
        block = blocked(self, args) if any(isinstance(a, Bracket) for a in args) else None
        if block is not None:
            return block
        if (
            any(isinstance(a, Bracket) and a.relation == "==" for a in args)
            and (one := onehot.alone(self, mul(*args))) is not None
        ):
            return one
        number, brackets, rest = self.parted(args)
        brackets += [b for b in chosen_before(self, rest) if b not in brackets]
        brackets = [b for b in brackets if not implied(self, b, rest, all_of=True)]
        early = self.early(number, brackets, rest)
        if early is not None:
            return early
        value = self.elementwise(number, rest)
        if not brackets:
            return value
        bearing = next((b for b in brackets if b.operand in (mul(*rest), neg(mul(*rest)))), None)
        if bearing is not None and len(brackets) > 1:  # max(x, 0) among other conditions lets NaN pass, too
            value = masked(self, value, bearing)
            brackets.remove(bearing)
        if len(brackets) == 1 and rest:
            return masked(self, value, brackets[0])
        masks = mask(self, brackets[0], value.axes)
        for b in brackets[1:]:
            masks = self.binary("and", masks, mask(self, b, value.axes))
        if not rest and not any(isinstance(t, Func) for t in subterms(number)):  # 0 * inf would be nan
            return self.scale(self.as_float(masks), number)
        return where(self, masks, value, OverNode(self.graph.number(Number(0)), ()))

    def early(self, number: Term, brackets: Sequence[Bracket], rest: Sequence[Term]) -> OverNode | None:
        """A product whose conditions look at some of its indices: they select among the factors over these."""
        if not brackets or any(isinstance(b.operand, Term) and b.relation in (">", ">=") for b in brackets):
            return None
        narrow = frozenset().union(*(b.free for b in brackets))
        small = [f for f in rest if f.free <= narrow]
        large = [f for f in rest if f not in small]
        if not small or not large or any(self.unbounded(f) for f in large):
            return None
        return self.elementwise(ONE, [mul(number, *brackets, *small), *large])

    def elementwise(self, number: Term, rest: Sequence[Term]) -> OverNode:
        """``number · Π rest``, small factors first."""
        above: list[OverNode] = []
        below: list[OverNode] = []
        twice: list[OverNode] = []
        for f in rest:
            if (
                isinstance(f, Pow)
                and isinstance(f.exponent, Number)
                and f.exponent.value < 0
                and f.exponent.value.denominator == 1
            ):
                if f.exponent.value == -2:  # x/y/y: the square of y would leave the range of numbers first
                    twice.append(self.value(f.base))
                else:
                    below.append(self.value(power(f.base, Number(-f.exponent.value))))
            else:
                above.append(self.value(f))

        def rank(v: OverNode) -> tuple[int, int]:
            return (0 if v.node.kind == SCALAR else 1, len(v.axes))

        above.sort(key=rank)
        below.sort(key=rank)
        if not above:
            if not below and not twice:
                return OverNode(self.graph.number(number), ())
            top = OverNode(self.graph.number(number), ())
        else:
            top = above[0] if number is ONE else self.scale(above[0], number)
            every = frozenset().union(*(v.axes for v in above))
            for v in above[1:]:
                if len(top.axes) < len(every):  # divide while it is small
                    early = [d for d in below if set(d.axes) <= set(top.axes)]
                    below = [d for d in below if d not in early]
                    for d in early:
                        top = self.binary("div", top, d)
                top = self.binary("mul", top, v)
        if below:
            bottom = below[0]
            for v in below[1:]:
                bottom = self.binary("mul", bottom, v)
            top = self.binary("div", top, bottom)
        for v in twice:
            top = self.binary("div", self.binary("div", top, v), v)
        return top

    def power(self, term: Pow) -> OverNode:
        """A power; the usual ones by their own names."""
        g = self.graph
        base = self.value(term.base)
        e = term.exponent
        if isinstance(e, Number):
            tensor = OverNode(self.tensor(base.node), base.axes)
            if e.value == -1:
                return OverNode(g.binary("div", g.number(ONE), tensor.node), base.axes)
            names = {"1/2": "sqrt", "-1/2": "rsqrt"}
            name = names.get(str(e.value))
            if name:
                return OverNode(g.unary(name, tensor.node, kind=FLOAT), base.axes)
            return OverNode(g.node("pow", (tensor.node, g.number(e)), (), tensor.node.dims, tensor.node.kind), base.axes)
        exponent = self.value(e)
        axes = self.union([base.axes, exponent.axes])
        left, right = self.align(base, axes), self.align(exponent, axes)
        if left.kind != FLOAT:
            left = self.tensor(left)
        return OverNode(g.binary("pow", left, right), axes)

    # -- over indices ----------------------------------------------------------------
    def over(self, term: Over) -> OverNode:
        """``Σ``, ``Π``, an extreme or its place."""
        for i in term.indices:
            self.place.setdefault(i, len(self.place))
            if i.size.indices - self.graph.fixed:
                raise UnsupportedOperation("a ragged index", f"the size of {i} is {i.size}", self.at)
        if term.kind == "sum":
            return self.sum(term)
        if term.kind in MATRICES:
            return made_of_matrix(self, term)
        if term.kind == "prod" and (found := product_of_others(self, term)) is not None:
            return found
        if (found := arriving(self, term)) is not None:
            return found
        value = self.real(term.body) if term.kind.startswith("arg") else self.value(term.body)
        kept = tuple(i for i in value.axes if i not in term.indices)
        if term.kind in ("max", "min") or len(term.indices) == 1:  # where they stand; several are searched in row-major order
            axes = value.axes + tuple(i for i in term.indices if i not in value.axes)
        else:
            axes = kept + term.indices
        node = self.tensor(self.spread(value, axes))
        first = axes.index(term.indices[0])
        if term.kind in ("max", "min"):
            dims = [axes.index(i) for i in term.indices]
            return OverNode(self.graph.reduce("amax" if term.kind == "max" else "amin", node, dims), kept)
        shape = [i.size for i in kept]
        if len(term.indices) > 1:
            node = self.graph.reshape(node, [*shape, numel(i.size for i in term.indices)])
        kind = node.kind if term.kind == "prod" else INT
        found = OverNode(self.graph.node(term.kind, (node,), (first,), shape, kind), kept)
        return found if term.kind == "prod" else self.as_float(found)

    def sum(self, term: Over) -> OverNode:
        """``Σ``: contractions through matrix products, everything else through ``.sum``."""
        body = term.body
        if isinstance(body, Add) and any(is_contraction(self, a, term.indices) for a in body.args):
            return self.total([summation(term.indices, a) for a in body.args])
        return contract(self, term.indices, factors(body))


def to_base_two(term: Term) -> bool:
    """Whether it is an exponential of what has been rounded already, times a number: another number costs neither a pass nor
    digits."""
    if not isinstance(term, Func) or term.name != "exp":
        return False
    number, rest = coefficient(term.args[0])
    return abs(number) != 1 and isinstance(rest, (Mul, Pow, Add)) and not is_number(rest)
