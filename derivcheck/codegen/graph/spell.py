"""The torch text of each operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from derivcheck.codegen.graph.nodes import BOOL, FLOAT, INT, ONE_SIZE, Node, convolves_batches
from derivcheck.codegen.graph.numbers import AND, ATOM, COMPARE, MATMUL, POWER, PRODUCT, SUM, UNARY, Speller
from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Poly, as_poly

Arg = Callable[[int, int], str]
Spelled = tuple[str, int]

SHORT = 16  # numbers in a row whose sum a processor finds faster by a product
CHOICE = -1  # binds less than all else: in brackets wherever it is an operand
_BINARY = {
    "add": ("+", SUM, SUM, MATMUL),
    "sub": ("-", SUM, SUM, MATMUL),
    "mul": ("*", PRODUCT, PRODUCT, UNARY),
    "div": ("/", PRODUCT, PRODUCT, UNARY),
    "floordiv": ("//", PRODUCT, PRODUCT, UNARY),
    "and": ("&", AND, AND, SUM),
    "matmul": ("@", MATMUL, UNARY, UNARY),
    "pow": ("**", POWER, ATOM, ATOM),
}
for _relation in (">=", ">", "<=", "<", "==", "!="):
    _BINARY[_relation] = (_relation, COMPARE, AND, AND)

_PREFIX = {"neg": "-", "not": "~"}
_CALLS = frozenset({"exp2", "sqrt", "rsqrt", "where", "maximum", "minimum", "addmm", "dot"})  # torch's, of the arguments alone
_ALONG = frozenset(
    {"sum", "mean", "amax", "amin", "prod", "argmax", "argmin", "cumsum", "cumprod", "flip"}
)  # methods, along dimensions


def _triangle(side: str, unit: bool) -> str:
    return f"upper={side == 'upper'}{', unitriangular=True' if unit else ''}"


def _sums_rows(n: Node) -> bool:
    """Whether it sums floating numbers over the last dimension of several, which may be short."""
    (x,) = n.args
    if n.op != "sum" or n.kind != FLOAT or x.rank < 2 or n.params[0] != (x.rank - 1,):
        return False
    return x.dims[-1].constant is None or x.dims[-1].constant <= SHORT


class NodeSpelling:
    """Spells nodes; ``dtype`` and ``device`` are those of new tensors, ``filled`` the dimensions that must not be empty."""

    def __init__(
        self,
        numbers: Speller,
        names: Mapping[str, str],
        dtype: str,
        device: str,
        functional: bool = False,
        conv_of_batches: str = "_conv",
    ) -> None:
        """``functional``: nothing is written into a tensor, as vmap needs it; ``conv_of_batches``: what computes a weight's
        gradient of a convolution."""
        self.conv_of_batches = conv_of_batches
        self.inplace = "" if functional else "_"
        self.lean = False  # sums of short rows are written as a processor is faster
        self.numbers, self.names, self.dtype, self.device = numbers, names, dtype, device
        self.filled: dict[Poly, None] = {}

    def node(self, node: Node, arg: Arg) -> Spelled:
        """The text of a node; ``arg(k, level)`` is the text of its k-th argument."""
        op, p = node.op, node.params
        if op == "number":
            return self.numbers._number(p[0])
        if op == "var":
            return self.names[p[0]], ATOM
        if op in _BINARY:
            sign, own, left, right = _BINARY[op]
            space = "" if sign == "**" else " "
            return f"{arg(0, left)}{space}{sign}{space}{arg(1, right)}", own
        if op == "if_any":
            like = self.dtype.removesuffix(".dtype")
            empty = f"torch.zeros({self.sizes(node.dims)}, dtype={self.dtype}, device={self.device})"
            if self.device == f"{like}.device":
                empty = f"{like}.new_zeros({self.sizes(node.dims)})"
            return f"{arg(0, 0)} if {self._p(p[0], AND)} else {empty}", CHOICE
        if op in _PREFIX:
            return f"{_PREFIX[op]}{arg(0, UNARY)}", UNARY
        if op in _CALLS:
            return f"torch.{op}({', '.join(arg(k, 0) for k in range(len(node.args)))})", ATOM
        if op in _ALONG:
            return self._along(node, op, arg), ATOM
        method: Callable[[Node, tuple[Any, ...], Arg], str] = getattr(self, f"_{op}")
        return method(node, p, arg), ATOM

    def sizes(self, dims: tuple[Poly, ...]) -> str:
        """A shape as a Python tuple."""
        inner = ", ".join(self.numbers.poly(d) for d in dims)
        return f"({inner},)" if len(dims) == 1 else f"({inner})"

    def _p(self, poly: Poly, level: int = 0) -> str:
        return self.numbers.poly(poly, level)

    # -- leaves and kinds ---------------------------------------------------------------
    def _arange(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"torch.arange({self._p(p[0])}, device={self.device})"

    def _as_tensor(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        kind = "torch.int64" if p[0] == INT else self.dtype
        return f"torch.as_tensor({arg(0, 0)}, dtype={kind}, device={self.device})"

    def _full(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        dtype = "torch.int64" if p[1] == INT else self.dtype
        where = f"dtype={dtype}, device={self.device}"
        value = arg(0, 0)
        if value in ("0", "1"):
            return f"torch.{'ones' if value == '1' else 'zeros'}({self.sizes(p[0])}, {where})"
        return f"torch.full({self.sizes(p[0])}, {value}, {where})"

    def _to_float(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{arg(0, ATOM)}.to({self.dtype})"

    def _to_int(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{arg(0, ATOM)}.long()"

    def _step(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{self.names[p[0] + ' steps']}[{self._p(p[1])}]"

    def _spelled(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return str(p[0]).format(*(arg(k, ATOM) for k in range(len(n.args))))

    # -- elementwise ------------------------------------------------------------------------
    def _func(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        row = functions()[p[0]]
        texts = [arg(k, ATOM if "{}." in row.torch else 0) for k in range(len(n.args))]
        if row.torch.startswith("_"):
            self.numbers.use(row.torch.partition("(")[0])
        return row.torch.format(*texts)

    def _normal(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{self.numbers.use('_normal_share')}({arg(0, 0)})"

    def _clamp(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        top = self._p(p[1]) if nonnegative(p[1] - 1) else f"{self.numbers.use('max')}({self._p(p[1])}, 0)"
        return f"{arg(0, ATOM)}.clamp({self._p(p[0])}, {top})"

    def _clamp_by(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        side, bound = ("min", p[0]) if p[0] is not None else ("max", p[1])
        return f"{arg(0, ATOM)}.clamp({side}={self.numbers.number(bound)})"

    # -- contractions -------------------------------------------------------------------------
    def _einsum(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f'torch.einsum("{p[0]}", {arg(0, 0)}, {arg(1, 0)})'

    def _convolved(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        sizes, stride, offset, dilation, groups = p
        options = f"stride={stride}, offset={self.sizes(offset)}, dilation={dilation}"
        options += "" if groups is ONE_SIZE else f", groups={self._p(groups)}"
        name = self.conv_of_batches if convolves_batches(n) else f"_{n.op}"
        return f"{self.numbers.use(name)}({arg(0, 0)}, {arg(1, 0)}, {self.sizes(sizes)}, {options})"

    _conv = _conv_transpose = _convolved

    # -- matrices -----------------------------------------------------------------------------
    def _det(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"torch.linalg.det({arg(0, 0)})"

    def _logdet(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"torch.logdet({arg(0, 0)})"

    def _logabsdet(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"torch.linalg.slogdet({arg(0, 0)})[1]"

    def _cholesky(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"torch.linalg.cholesky({arg(0, 0)})"

    def _inv(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        """The inverse; of a triangle, by solving for the unit matrix."""
        side, unit = p
        if not side:
            return f"torch.linalg.inv({arg(0, 0)})"
        eye = f"torch.eye({self._p(n.dims[-1])}, dtype={self.dtype}, device={self.device})"
        if n.rank > 2:
            eye = f"{eye}.expand({self.sizes(n.dims)})"
        return f"torch.linalg.solve_triangular({arg(0, 0)}, {eye}, {_triangle(side, unit)})"

    def _solve(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        side, unit, left = p
        name = "solve_triangular" if side else "solve"
        options = [_triangle(side, unit)] if side else []
        options += [] if left else ["left=False"]
        return f"torch.linalg.{name}({', '.join([arg(0, 0), arg(1, 0), *options])})"

    # -- over dimensions ------------------------------------------------------------------------
    def _along(self, n: Node, name: str, arg: Arg) -> str:
        """A method along one dimension, or over several with ``keepdim``; an extreme needs an element there."""
        over = isinstance(n.params[0], tuple)
        dims, keep = n.params if over else (n.params, False)
        rank = n.args[0].rank
        if name.endswith(("max", "min")):
            sizes = (n.args[0].dims[k] for k in dims)
            self.filled.update(dict.fromkeys(p for p in sizes if not p.indices and not nonnegative(p - 1, 0)))
        if over and len(dims) == rank and not keep and name in ("sum", "mean"):
            return f"{arg(0, ATOM)}.{name}()"
        if self.lean and _sums_rows(n):
            return f"{self.numbers.use('_row_sums')}({arg(0, 0)}{', keepdim=True' if keep else ''})"
        last = 0 if over else 1  # of a vector, only a reduction counts its one dimension from the end
        spots = [-1 if k == rank - 1 and k >= last and len(dims) == 1 else k for k in dims]
        inside = str(spots[0]) if len(spots) == 1 else f"({', '.join(map(str, spots))})"
        return f"{arg(0, ATOM)}.{name}({inside}{', keepdim=True' if keep else ''})"

    def _others(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{self.numbers.use('_product_of_others')}({arg(0, 0)}, {p[0]})"

    def _slices(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        k, start, length, step, dilation, count = p
        options = f"{self._p(start)}, {self._p(length)}, {step}, {dilation}, {count}"
        self.numbers.use("_window")
        return f"{self.numbers.use('_sum_of_slices')}({arg(0, 0)}, {k}, {options})"

    def _laid_over(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        k, stride, offset, size = p
        self.numbers.use("_window")
        return f"{self.numbers.use('_overlap_add')}({arg(0, 0)}, {k}, {stride}, {self._p(offset)}, {self._p(size)})"

    def _repeat(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{arg(0, ATOM)}.repeat_interleave({p[1]}, {p[0]})"

    def _others_alike(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{self.numbers.use('_product_of_others_alike')}({arg(0, 0)}, {arg(1, 0)}, {p[0]}, {self._p(p[1])})"

    def _arriving(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        """A product or an extreme into places; what starts there changes nothing."""
        start = {"prod": "1", "max": "-math.inf", "min": "math.inf"}[p[1]]
        how = p[1] if p[1] == "prod" else f"a{p[1]}"
        whole = f"torch.full({self.sizes(n.dims)}, {start}, dtype={self.dtype}, device={self.device})"
        return f'{whole}.scatter_reduce({p[0]}, {arg(1, 0)}, {arg(0, 0)}, "{how}")'

    def _cumsum_exp(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{self.numbers.use('_cumsum_exp')}({arg(0, 0)}, {arg(1, 0)}, {arg(2, 0)}, {p[0]})"

    # -- shapes --------------------------------------------------------------------------------------
    def _permute(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        """``.mT`` or ``.transpose`` where that is all."""
        order: tuple[int, ...] = p[0]
        rank = len(order)
        if order[:-2] == tuple(range(rank - 2)):
            return f"{arg(0, ATOM)}.mT"
        moved = [k for k in range(rank) if order[k] != k]
        if len(moved) == 2:
            return f"{arg(0, ATOM)}.transpose({moved[0]}, {moved[1]})"
        return f"{arg(0, ATOM)}.permute({', '.join(map(str, order))})"

    def _unsqueeze(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        """A call for each dimension; in code that runs one for all."""
        text, rank = arg(0, ATOM), n.rank
        places: tuple[int, ...] = p[0]
        if self.lean and len(places) > 1 and not any(d.indices for d in n.dims):
            return f"{text}.view({self.sizes(n.dims)})"
        if places == tuple(range(rank - len(places), rank)):
            return text + ".unsqueeze(-1)" * len(places)
        for k in places:
            text += f".unsqueeze({k})"
        return text

    def _reshape(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        """``flatten`` or ``unflatten`` where only neighbours are joined or split."""
        new, old = n.dims, n.args[0].dims
        head = 0
        while head < min(len(new), len(old)) and new[head] is old[head]:
            head += 1
        tail = 0
        while tail < min(len(new), len(old)) - head and new[-1 - tail] is old[-1 - tail]:
            tail += 1
        if len(new) - head - tail == 1 and len(old) - head - tail > 1:
            end = len(old) - tail - 1
            ends = f"({head})" if tail == 0 else f"({head}, {end})"
            return f"{arg(0, ATOM)}.flatten{ends}"
        if len(old) - head - tail == 1 and len(new) - head - tail > 1:
            if self.lean and not any(d.indices for d in new):
                return f"{arg(0, ATOM)}.view({self.sizes(new)})"
            return f"{arg(0, ATOM)}.unflatten({-1 if tail == 0 else head}, {self.sizes(new[head : len(new) - tail])})"
        return f"{arg(0, ATOM)}.reshape({self.sizes(new)})"

    def _expand(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{arg(0, ATOM)}.expand({self.sizes(p[0])})" if n.dims else arg(0, ATOM)

    # -- positions ------------------------------------------------------------------------------------
    def _select(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        k, at = p
        if k == n.args[0].rank - 1 and k > 0:
            return f"{arg(0, ATOM)}[..., {self._p(at)}]"
        return f"{arg(0, ATOM)}[{':, ' * k}{self._p(at)}]"

    def _select_or_0(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        k, at = p
        return f"{self.numbers.use('_window')}({arg(0, 0)}, {k}, {self._p(at)}, 1).squeeze({k})"

    def _slice(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        """Basic slicing; what is the whole length is left out."""
        k, start, length, step = p
        first = "" if start is as_poly(0) else self._p(start)
        end = start + step * length  # not one behind the last, which is before the start where there is none
        whole = n.args[0].dims[k] in (end, end - step + 1)
        last = "" if whole else self._p(end)
        space = " " if " " in first or " " in last else ""
        by = "" if step is ONE_SIZE else f"{space}:{space}{self._p(step)}"
        text = f"{first}{space if first else ''}:{space if last else ''}{last}{by}"
        if k == n.args[0].rank - 1 and k > 0:
            return f"{arg(0, ATOM)}[..., {text}]"
        return f"{arg(0, ATOM)}[{':, ' * k}{text}]"

    def _window(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        k, start, length, step = p
        by = "" if step is ONE_SIZE else f", {self._p(step)}"
        return f"{self.numbers.use('_window')}({arg(0, 0)}, {k}, {self._p(start)}, {self._p(length)}{by})"

    def _moved(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{self.numbers.use('_moved')}({arg(0, 0)}, {arg(1, 0)}, {p[0]})"

    def _joined(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        parts = ", ".join(arg(k, 0) for k in range(len(n.args)))
        return f"torch.{n.op}(({parts}), {-1 if p[0] == n.rank - 1 and p[0] else p[0]})"

    _cat = _stack = _joined

    def _diagonal(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        j, k = p
        if n.args[0].rank == 2:
            return f"{arg(0, ATOM)}.diagonal()"
        return f"{arg(0, ATOM)}.diagonal(dim1={j}, dim2={k})"

    def _take(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        at = p[0]
        if len(n.args) == 2 and n.args[1].rank == 1:
            return f"{arg(0, ATOM)}.index_select({at}, {arg(1, 0)})"
        return f"{arg(0, ATOM)}[{':, ' * at}{', '.join(arg(k, 0) for k in range(1, len(n.args)))}]"

    def _pick(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        places = ", ".join(arg(k, 0) for k in range(1, len(n.args)))
        return f"{self.numbers.use('_pick')}({arg(0, 0)}, {p[0]}, {places})"

    def _gather(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{arg(0, ATOM)}.gather({p[0]}, {arg(1, 0)})"

    def _zeros(self, n: Node, *_: Any) -> str:
        dtype = "torch.int64" if n.kind in (INT, BOOL) else self.dtype
        return f"torch.zeros({self.sizes(n.dims)}, dtype={dtype}, device={self.device})"

    def _scatter_add(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{self._zeros(n)}.scatter_add{self.inplace}({p[0]}, {arg(1, 0)}, {arg(0, 0)})"

    def _add_at(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{arg(0, ATOM)}.scatter_add({p[0]}, {arg(1, 0)}, {arg(2, 0)})"

    def _item(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        return f"{arg(0, ATOM)}[{p[0]}]{p[1]}"

    def _scatter(self, n: Node, p: tuple[Any, ...], arg: Arg) -> str:
        """Add into zeros: by ``index_add_`` along one dimension, else by ``index_put_``."""
        count = p[0]
        zeros = self._zeros(n)
        if len(n.args) == 2 and n.args[1].op != "clamp":
            spots, values = arg(1, 0), arg(0, 0)
            if count > 1:
                spots, values = f"{arg(1, ATOM)}.flatten()", f"{arg(0, ATOM)}.flatten(0, {count - 1})"
            return f"{zeros}.index_add{self.inplace}(0, {spots}, {values})"
        spots = ", ".join(arg(k, 0) for k in range(1, len(n.args)))
        if any(a.op == "clamp" and not nonnegative(d - 1, least=0) for a, d in zip(n.args[1:], n.dims)):
            one = "," if len(n.args) == 2 else ""
            return f"{self.numbers.use('_accumulate')}({zeros}, ({spots}{one}), {arg(0, 0)})"
        return f"{zeros}.index_put{self.inplace}(({spots}{',' if len(n.args) == 2 else ''}), {arg(0, 0)}, accumulate=True)"
