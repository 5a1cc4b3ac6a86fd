"""Which sizes one operator needs to be equal: asked of the operator alone, at changed shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from derivcheck.tracing.recording.data import Call, Meta, Recording, Tensor
from derivcheck.tracing.recording.trials import succeeds

# What is chosen for a size: another size's name (its own: it is free), None (fixed at the example's value), or the
# position of the argument's leaf whose value it takes.
Choice = str | int | None


class Local:
    """An operator that failed where all sizes differ, and the same call in the example, where it worked.

    Sizes start fixed at the example's values (or following a computed dimension that equals them there), and are set
    free again as far as the operator still takes the shapes: alone, or together with others that the example has equal.
    """

    def __init__(
        self, call: Call, recording: Recording, other: Call, example: Recording, now: Mapping[str, int], then: Mapping[str, int]
    ) -> None:
        """The arguments of both calls by shape alone; ``now`` are the sizes of the one that failed, ``then`` the example's."""
        self.func, self.now, self.then = call.func, dict(now), then
        self.mine = shaped([call.args, call.kwargs], recording)
        self.theirs = shaped([other.args, other.kwargs], example)
        self.symbol = {v: n for n, v in now.items()}
        self.state: dict[str, Choice] = {}
        self.moved = False  # whether it takes sizes near the example's that it does not take here
        self.leaves = flat(self.mine)

    def symbol_of(self, mine: int, theirs: int) -> str | None:
        """The size that a number is, if it is one: it must be that in the example, too."""
        name = self.symbol.get(mine)
        return name if name is not None and self.then[name] == theirs else None

    def value(self, name: str) -> int:
        """A size's value under the current choices."""
        choice = self.state[name]
        return self.then[name] if choice is None else self.leaves[choice] if isinstance(choice, int) else self.now[choice]

    def _fill(self, mine: Any, theirs: Any) -> Any:
        """The arguments at the sizes that are now chosen."""
        if isinstance(mine, Meta):
            return Meta(tuple(self._fill(a, b) for a, b in zip(mine.shape, theirs.shape)), mine.dtype)
        if isinstance(mine, dict):
            return {n: self._fill(v, theirs.get(n)) for n, v in mine.items()}
        if isinstance(mine, (list, tuple)):
            return [self._fill(a, b) for a, b in zip(mine, theirs)]
        if isinstance(mine, int) and not isinstance(mine, bool) and isinstance(theirs, int):
            name = self.symbol_of(mine, theirs)
            return mine if name is None else self.value(name)
        return mine

    def holds(self) -> bool:
        """Whether the operator takes the shapes of the current choices."""
        args, kwargs = self._fill(self.mine, self.theirs)
        return succeeds(self.func, args, kwargs)

    def repaired(self) -> tuple[Any, Any]:
        """The arguments at the shapes of the current choices."""
        args, kwargs = self._fill(self.mine, self.theirs)
        return args, kwargs

    def attempt(self, change: Mapping[str, Choice]) -> bool:
        """Make a change if the operator holds with it."""
        before = dict(self.state)
        self.state.update(change)
        if self.holds():
            return True
        self.state.update(before)
        return False

    def solve(self) -> dict[str, Choice] | None:
        """The choice for each size involved, or None where the operator does not hold with all of them fixed."""
        computed: dict[int, int] = {}
        for position, (a, b) in enumerate(zip(self.leaves, flat(self.theirs))):
            name = self.symbol_of(a, b)
            if name is not None:
                self.state[name] = None
            elif a != b:
                computed.setdefault(b, position)
        if not self.state:
            return None
        following = {n: computed.get(self.then[n]) for n in self.state}
        if not any(v is not None for v in following.values()) or not self.attempt(following):
            if not self.holds():
                return None
        groups: dict[int, list[str]] = {}
        for n in self.state:
            groups.setdefault(self.then[n], []).append(n)
        ordered = [groups[v] for v in sorted(groups, reverse=True)]  # an image is made larger before its kernel
        for group in ordered:
            if not self.attempt(dict.fromkeys(group, group[0])):
                self._alone(group)
        for group in ordered:
            _split(group, self.state, self.attempt)
        for group in ordered:
            self._nearby(group)
        return self.state

    def _nearby(self, group: Sequence[str]) -> None:
        """Free a size that goes with others, or alone is fixed, where the operator takes it one above or below the example's: a
        kernel may be too large at the size tried, and not bound to the channels that it equals by chance."""
        for a in group:
            others = [n for n in group if n != a and self.state[n] is not None and self.state[n] == self.state[a]]
            if isinstance(self.state[a], int) or self.state[a] is not None and not others:
                continue
            for value in (self.then[a] + 1, self.then[a] - 1):
                before, self.now = self.now, {**self.now, a: value}
                if value > 1 and self.attempt({a: a, **dict.fromkeys(others, others[0] if others else a)}):
                    self.moved = True
                    break
                self.now = before

    def _alone(self, group: Sequence[str]) -> None:
        for i, a in enumerate(group):
            if not isinstance(self.state[a], str) and not self.attempt({a: a}):
                for b in group[i + 1 :]:
                    if not isinstance(self.state[b], str) and self.attempt({a: a, b: a}):
                        break


def _split(group: Sequence[str], state: dict[str, Choice], attempt: Callable[[Mapping[str, Choice]], bool]) -> None:
    """Take members out of a block, alone and in pairs, as long as the operator holds."""
    for a in group:
        if isinstance(state[a], str) and sum(b == state[a] for b in state.values()) > 1:
            others = [n for n in group if n != a and state[n] == state[a]]
            head = others[0]
            attempt({a: a, **dict.fromkeys(others, head)})
    for i, a in enumerate(group):
        for b in group[i + 1 :]:
            if isinstance(state[a], str) and state[a] == state[b]:
                others = [n for n in group if n not in (a, b) and state[n] == state[a]]
                if others:
                    attempt({a: a, b: a, **dict.fromkeys(others, others[0])})


def shaped(value: Any, recording: Recording) -> Any:
    """Arguments with their tensors as shapes and dtypes."""
    if isinstance(value, Tensor):
        return recording.metas[value.number]
    if isinstance(value, dict):
        return {k: shaped(v, recording) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [shaped(v, recording) for v in value]
    return value


def flat(value: Any) -> list[int]:
    """All whole numbers of arguments in order, sizes included; −1 stands for anything else."""
    if isinstance(value, Meta):
        return list(value.shape)
    if isinstance(value, dict):
        return [i for v in value.values() for i in flat(v)]
    if isinstance(value, (list, tuple)):
        return [i for v in value for i in flat(v)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else [-1]
