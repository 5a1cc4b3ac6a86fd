"""A derivation: a Program, its adjoint, and the readings of both (steps, torch source, LaTeX, SymPy)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from derivcheck.derivation.meant import gradient_of, meant
from derivcheck.derivation.sweep import adjoint, apart
from derivcheck.errors import InputError, perhaps
from derivcheck.notation.program.definitions import Definition, Path
from derivcheck.notation.program.names import ByName
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import ONE
from derivcheck.notation.terms.nodes import Ref, Term
from derivcheck.notation.terms.substitute import inline, transform
from derivcheck.notes.readings import Readings

if TYPE_CHECKING:
    import sympy
    import torch

    from derivcheck.codegen.file.variants import PythonLoops
    from derivcheck.layer.profile import Profile
    from derivcheck.notes.pages.formulas import Step


@dataclass(frozen=True)
class Gradient:
    """The gradient of one input.

    Attributes:
        name: the input's name.
        dims: the sizes of its dimensions, as text (``("out", "in")``).
        definition: its definition in the adjoint, ``<name>_bar[…] := …``.
    """

    name: str
    dims: tuple[str, ...]
    definition: Definition
    derivation: Derivation

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths of the chain rule that reach this input, each a contribution to the gradient."""
        return self.definition.paths

    @property
    def term(self) -> Term:
        """The gradient inlined down to the inputs; for a scalar output the upstream gradient is 1.

        Raises:
            InputError: so many definitions stand inside one another that the gradient cannot be written as one expression.
        """
        try:
            return self.derivation.inlined(self.definition)
        except RecursionError:
            raise self._too_deep() from None

    def _too_deep(self) -> InputError:
        count = len(self.derivation.adjoint.definitions)
        return InputError(
            f"the gradient in {self.name!r} has too many definitions inside one another ({count} in all) to be one "
            "expression of the inputs; read it step by step, in d.steps or d.adjoint"
        )

    @property
    def expr(self) -> sympy.Expr:
        """The gradient in SymPy (``Indexed``, ``Sum``, ``KroneckerDelta``), inlined down to the inputs."""
        from derivcheck.notation.values.sympify import to_sympy  # what a derivation is read as is loaded when it is asked for

        term = self.term
        try:
            return to_sympy(term)
        except RecursionError:
            raise self._too_deep() from None

    def latex(self, lang: str = "en") -> str:
        """The gradient's line of the derivation, ``∂L/∂W_{jk} = …``, in LaTeX."""
        from derivcheck.notes.pages.latex import gradient_latex  # loaded when asked for
        from derivcheck.notes.pages.style import Style  # loaded when asked for

        Style(lang=lang)  # no words stand in it; a language that there is not is refused as elsewhere
        return gradient_latex(self.derivation.program, self.derivation.adjoint, self.name)


class Derivation(Readings):
    """A forward Program with its gradient, derived once for every size.

    Attributes:
        program: the forward.
        wrt: the names of the inputs that the gradient is taken in.
        values: the tensors that inputs default to (a module's parameters and buffers, constants), by name.
        fixed: sizes that are numbers here because the code chooses by them, each in words, with why.
    """

    def __init__(
        self,
        program: Program,
        wrt: Iterable[str] | None = None,
        values: Mapping[str, Any] | None = None,
        name: str = "derived",
        fixed: Iterable[str] = (),
    ) -> None:
        """See the class; ``wrt`` and what the adjoint would clash with are settled here."""
        floats = tuple(a.name for a in program.arguments if a.kind == "float")
        self.wrt: tuple[str, ...] = floats if wrt is None else (wrt,) if isinstance(wrt, str) else tuple(wrt)
        for n in self.wrt:
            if n not in floats:
                raise InputError(
                    f"wrt names {n!r}, which is not a floating-point input; those are {', '.join(floats) or 'none'}"
                    f"{perhaps(n, floats)}"
                )
        self.program = apart(program, self.wrt)
        self.values: Mapping[str, Any] = MappingProxyType(dict(values or {}))
        self.name, self.fixed = name, tuple(fixed)

    @property
    def conditions(self) -> tuple[str, ...]:
        """What must hold of sizes and types, each with its line where the code decided by it; enforced by :meth:`compile`,
        :meth:`source`, ``check`` and ``prove``.

        >>> import torch, derivcheck as dc
        >>> def f(x):
        ...     return x.sum() if x.shape[0] > 3 else 2 * x.sum()
        >>> [c.split(" at ")[0] for c in dc.derive(f, x=torch.ones(5, 2)).conditions]
        ['N > 3']
        """
        return self.program.conditions

    @cached_property
    def adjoint(self) -> Program:
        """The gradient as a Program; its outputs are ``<name>_bar`` in the order of :attr:`wrt`."""
        return _adjoint(self.program, self.wrt)

    @cached_property
    def _written(self) -> Program:
        """The forward as it is written in torch: in the functions whose kernels neither overflow nor cancel."""
        from derivcheck.codegen.careful.forward import careful  # loaded when asked for

        return apart(careful(self.program), self.wrt)

    @property
    def _written_adjoint(self) -> Program:
        return self.adjoint if self._written is self.program else _adjoint(self._written, self.wrt)

    @cached_property
    def gradients(self) -> Mapping[str, Gradient]:
        """The gradients by name."""
        found = {}
        for n, out in zip(self.wrt, self.adjoint.outputs):
            dims = tuple(str(p) for p in self.program.dims(n))
            found[n] = Gradient(n, dims, self.adjoint.definition(out), self)
        return MappingProxyType(ByName(found))

    def gradient_named(self, name: str) -> str | None:
        """The adjoint's name for the gradient that a backward returns as ``name``: an input's or an intermediate's.

        >>> import derivcheck as dc
        >>> d = dc.derive("h[n] := x[n]^2; y[n] := sin(h[n])", dims={"x": "N"})
        >>> [d.gradient_named(n) for n in ("x", "h", "grad_h", "y", "N")]
        ['x_bar', 'h_bar', 'h_bar', 'grad_output', None]
        """
        return gradient_of(name, self._meant, self.program.names)

    def assigned_again(self, name: str) -> tuple[str, ...]:
        """The definitions of a variable that the code assigns more than once, after the first: ``h_1``, ``h_2``, … of ``h``."""
        own = {d.name for d in self.program.definitions}
        found: list[str] = []
        while name in own and f"{name}_{len(found) + 1}" in own:
            found.append(f"{name}_{len(found) + 1}")
        return tuple(found)

    @cached_property
    def _meant(self) -> Mapping[str, str]:
        return meant(self.program, self.adjoint)

    @property
    def held(self) -> frozenset[str]:
        """The tensors of numbers that the code itself holds: they are of the inputs' type, whichever that is."""
        return frozenset(a.name for a in self.program.arguments if a.role == "constant" and a.kind == "float")

    @property
    def upstream(self) -> tuple[str, ...]:
        """The names of the upstream gradients, one per floating output."""
        return tuple(a.name for a in self.adjoint.arguments if a.role == "upstream")

    def inlined(self, definition: Definition) -> Term:
        """A definition of the adjoint in terms of the inputs alone; a scalar output's upstream gradient is 1."""
        meanings: dict[str, tuple[Any, Term]] = {}
        for d in self.adjoint.definitions:
            if d.recurrent or d.kind != "float":
                continue
            term = inline(d.term, meanings)
            if d.name == definition.name:
                break
            meanings[d.name] = (d.indices, term)
        else:
            term = inline(definition.term, meanings)
        if self.program.scalar:
            ups = frozenset(self.upstream)
            term = transform(term, lambda t: ONE if isinstance(t, Ref) and t.name in ups else t)
        return term

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The chain rule in order: each step with what it defines, the rule used and the LaTeX."""
        from derivcheck.notes.pages.formulas import steps  # loaded when asked for

        return steps(self.program, self.adjoint)

    def source(self) -> str:
        """A readable, importable file of torch code for all sizes; it needs torch alone.

        >>> import derivcheck as dc
        >>> "import torch" in dc.derive("y[n] := x[n]^2", dims={"x": "N"}).source()
        True
        """
        return self._source

    @cached_property
    def _source(self) -> str:
        from derivcheck.codegen.file.source import source  # loaded when asked for

        return source(self._written, self._written_adjoint, name=self.name, values=self.values, wrt=self.wrt)

    def compile(self, fused: bool = False) -> Callable[..., tuple[Any, dict[str, Any]]]:
        """The generated code as a function: ``value, grads = run(input=x, …[, grad_output=g])``.

        Inputs are tensors by name; those in :attr:`values` may be left out.  ``grads`` maps each name of :attr:`wrt`
        to a tensor of that input's shape.

        Args:
            fused: through ``torch.compile``, as one graph for sizes that may change; it needs a compiler on the machine, and
                takes seconds at the first call.  A recurrence is no such graph: a warning says so, and it runs as without
                (one of a single definition is compiled for up to four lengths of at most 64).
                Attention over large tensors on a processor goes in blocks, as without.

        >>> import torch, derivcheck as dc
        >>> run = dc.derive("y[n] := x[n]^2", dims={"x": "N"}).compile()
        >>> value, grads = run(x=torch.tensor([1.0, 3.0]), grad_output=torch.ones(2))
        >>> grads["x"].tolist()
        [2.0, 6.0]
        """
        return self._fused if fused and self._is_one_graph(unrolled=True) else self._compiled

    @cached_property
    def _loops(self) -> PythonLoops:
        from derivcheck.codegen.file.variants import step_by_step  # loaded when asked for

        return step_by_step(self._written, self._written_adjoint)

    def _is_one_graph(self, unrolled: bool) -> bool:
        """Whether a compiler can take the generated code, or can where light loops are ``unrolled``; a warning says why not."""
        names = (*self._loops.heavy, *(() if unrolled else self._loops.light))
        if names:
            known = [n for n in names if n in {d.name for d in self.program.definitions}] or list(names)
            warnings.warn(
                f"fused=True has no effect: a loop computes {', '.join(known)} step by step, which torch.compile would unroll "
                "for each length anew; the code runs as without fused, and one step, derived by itself, can be fused",
                UserWarning,
                stacklevel=3,
            )
        return not names

    @cached_property
    def _fused(self) -> Callable[..., tuple[Any, dict[str, Any]]]:
        """The generated code through a compiler, where that pays: long loops and large attention go without."""
        from derivcheck.codegen.file.load import load  # loaded when asked for
        from derivcheck.codegen.file.variants import UNROLLED, fused_source, pairs_held  # loaded when asked for
        from derivcheck.layer.compiled import fuse  # it loads torch
        from derivcheck.layer.lean import unless_banded, unless_long, unless_recorded  # it loads torch

        text, recorded = (fused_source(self._written, self._written_adjoint, self.wrt, recorded) for recorded in (False, True))
        unrolled = bool(self._loops.light)
        fused = fuse(load(text), unrolled=unrolled)
        if text != recorded:
            fused = unless_recorded(fused, lambda: fuse(load(recorded), unrolled=unrolled))
        if self._loops.light:
            lengths = tuple(self._loops.light.values())
            fused = unless_long(fused, self._compiled_as_it_is, self._written.arguments, lengths, UNROLLED)
        return self._called(unless_banded(fused, self._compiled_banded) if pairs_held(self._written) is not None else fused)

    def _compiled_banded(self) -> Callable[..., tuple[Any, dict[str, Any]]]:
        """The text for large tensors."""
        from derivcheck.codegen.file.load import load  # loaded when asked for
        from derivcheck.codegen.file.variants import lean_source  # loaded when asked for

        return load(lean_source(self._written, self._written_adjoint, self.wrt, banded=True))

    @cached_property
    def _compiled(self) -> Callable[..., tuple[Any, dict[str, Any]]]:
        """The generated code with the values that inputs default to."""
        return self._called(self._compiled_as_it_is)

    @cached_property
    def _compiled_as_it_is(self) -> Callable[..., tuple[Any, dict[str, Any]]]:
        """The generated code: the text that suits what it is called with."""
        from derivcheck.codegen.file.load import load  # loaded when asked for
        from derivcheck.codegen.file.variants import lean_source  # loaded when asked for
        from derivcheck.layer.lean import PLAIN, fitting  # it loads torch

        @cache
        def other(variant: str) -> Callable[..., Any]:
            """The text for what is recorded, and that for large tensors, each when it is met."""
            return load(self._source) if variant == PLAIN else self._compiled_banded()

        return fitting(load(lean_source(self._written, self._written_adjoint, self.wrt)), other, self._written)

    def _called(self, run: Callable[..., tuple[Any, dict[str, Any]]]) -> Callable[..., tuple[Any, dict[str, Any]]]:
        """The generated function, called by the user's names, with the values that inputs default to."""
        from derivcheck.layer.called import called  # it loads torch

        return called(run, self.program.inputs, self.upstream, dict(self.values), self.held)

    def to_function(self, fused: bool = False) -> type[torch.autograd.Function]:
        """A ``torch.autograd.Function`` with the derived backward.

        ``Layer.apply(*inputs)`` takes the inputs in the order of ``program.inputs``: forward's arguments, then parameters, then
        the target.  The forward hands on what it computed and the backward reads (a softmax, moments, places of maxima; a
        residual in the place of a prediction that is read in it alone); what is cheap, element by element, is computed again.
        Code around it is one graph to ``torch.compile(fullgraph=True)``.  It works for double backward, under
        ``torch.func.vmap``, ``grad``, ``jacrev``, ``jacfwd`` and ``hessian``, in deterministic mode and under autocast, and
        can be copied.  Gradients that nobody asks for are not computed.

        Args:
            fused: forward and backward go through ``torch.compile``, each as one graph for sizes that may change; as in
                :meth:`compile`.

        >>> import torch, derivcheck as dc
        >>> Square = dc.derive("y[n] := x[n]^2", dims={"x": "N"}).to_function()
        >>> x = torch.tensor([1.0, 3.0], requires_grad=True)
        >>> Square.apply(x).sum().backward()
        >>> x.grad.tolist()
        [2.0, 6.0]
        """
        from derivcheck.layer.function import function  # it loads torch

        fused = fused and self._is_one_graph(unrolled=False)
        return function(self._written, self.wrt, self.upstream, self.held, self.name, fused)

    def to_op(self, name: str) -> Any:
        """The derivation as a custom operator of torch, ``torch.ops.ns.name`` for ``"ns::name"``, which is returned.

        It takes the inputs in the order of ``program.inputs``, knows its shapes (``register_fake``), has the derived backward
        (``register_autograd``), and passes ``torch.library.opcheck``.

        Raises:
            InputError: a name that is not ``namespace::name``, or is taken.

        >>> import torch, derivcheck as dc
        >>> square = dc.derive("y[n] := x[n]^2", dims={"x": "N"}).to_op("derivcheck_docs::square")
        >>> x = torch.tensor([1.0, 3.0], requires_grad=True)
        >>> torch.autograd.grad(torch.ops.derivcheck_docs.square(x).sum(), x)[0].tolist()
        [2.0, 6.0]
        """
        from derivcheck.layer.operator import operator  # it loads torch

        return operator(self._written, self.wrt, self.upstream, name)

    def profile(self, sizes: Mapping[str, int], dtype: Any = None) -> Profile:
        """Operations and bytes of forward and gradients as formulas of the sizes, the roofline's bound and the time measured.

        Args:
            sizes: every size by name, as ``program.sizes()`` has them.
            dtype: of the numbers; default float32.

        Raises:
            InputError: a size that is missing, unknown, no positive integer, or not among those that the derivation holds for.

        >>> import derivcheck as dc
        >>> d = dc.derive("y[n,o] := sum(i: x[n,i]*w[o,i])", dims={"x": "N in", "w": "out in"})
        >>> found = d.profile({"N": 8, "in": 4, "out": 2})
        >>> found.forward.flops, found.forward.count, found.gradients.flops
        ('2*N*in*out', 128, '4*N*in*out')
        """
        import torch  # only what is measured needs it

        from derivcheck.layer.profile import profile  # it loads torch

        return profile(self._written, self._written_adjoint, self.compile(), self.values, sizes, dtype or torch.float32)

    def __deepcopy__(self, memo: dict[int, Any]) -> Derivation:
        """The same derivation with copies of the values that it remembers: a module's, where that is copied with it."""
        return Derivation(self.program, self.wrt, deepcopy(dict(self.values), memo), self.name, self.fixed)

    def __repr__(self) -> str:
        return f"<derivation of {', '.join(self.program.outputs)} in {', '.join(self.wrt)}>"


@lru_cache(maxsize=256)
def _adjoint(program: Program, wrt: tuple[str, ...]) -> Program:
    return adjoint(program, wrt)
