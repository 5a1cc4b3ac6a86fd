"""Groups of threads as the source writes them: warps and blocks, reductions, shuffles, trees in shared memory, barriers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from derivcheck.kernels.cuda.interpreter.loops import Loops, Range
from derivcheck.kernels.cuda.interpreter.scopes import CScope, declared_name, words_of
from derivcheck.kernels.cuda.interpreter.statements import Exits
from derivcheck.kernels.cuda.source.syntax import text
from derivcheck.kernels.cuda.source.types import FLOAT, INT, Pointer
from derivcheck.kernels.cuda.values.values import CNumber, CRef, Refused, Unset, Value
from derivcheck.kernels.lanes.carried import Carried
from derivcheck.kernels.lanes.lanes import raw
from derivcheck.kernels.lanes.thread_groups import BLOCK, WARP, WARPS, First, LanePart, Shared, Shifted
from derivcheck.kernels.lanes.wholes import WholeNumber, whole
from derivcheck.notation.integers.polynomials import Poly, as_poly, size

if TYPE_CHECKING:
    from tree_sitter import Node

_MADE = {"this_grid": "grid", "this_thread_block": "block", "tiled_partition<32>": "warp"}
_REDUCED = {"plus": "+", "greater": "max", "less": "min"}
_GROUP = re.compile(
    r"(?:const )?(?:auto|(?:cg|cooperative_groups)::[\w<>]+) (\w+) = (?:cg|cooperative_groups)::([\w<>]+)"
    r"\((?:\w*|(?:cg|cooperative_groups)::this_thread_block\(\))\);"
)
_TREE = re.compile(
    r"for\((?:int|unsigned|unsignedint|autos?)(?P<s>\w+)=(?P<n>[\w.]+)(?:/2|>>1);(?P=s)(?:>0|>=1);(?P=s)(?:/=2|>>=1)\)\{"
    r"(?P<before>__syncthreads\(\);)?if\((?P<t>[\w.]+)<(?P=s)\)\{?(?P<m>\w+)\[(?P=t)\]"
    r"(?:\+=(?P=m)\[(?P=t)\+(?P=s)\]|=(?P<f>f?max|f?min)f?\((?P=m)\[(?P=t)\],(?P=m)\[(?P=t)\+(?P=s)\]\));\}?"
    r"(?P<after>__syncthreads\(\);)?\}"
)


class Cooperative(Loops):
    """Reads what threads of a group do together."""

    # -- groups and shared memory -------------------------------------------------------------

    def _do_declaration(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        if self.lanes is None:
            return super()._do_declaration(node, scope)
        if "__shared__" in words_of(node):
            return self.at(node, scope, lambda: self._declare_shared(node, scope))
        return ([], True) if self._declared_group(node) else super()._do_declaration(node, scope)

    def _do_expression_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        """``cg::thread_block_tile<32> warp = …`` is parsed as comparisons."""
        return (
            ([], True)
            if self.lanes is not None and self._declared_group(node)
            else super()._do_expression_statement(node, scope)
        )

    def _declared_group(self, node: Node) -> bool:
        """Whether a declaration makes a group of threads; one of a warp asks that blocks are whole warps."""
        made = _GROUP.fullmatch(" ".join(text(node).split()).replace("< ", "<").replace(" >", ">"))
        if not made or made[2] not in _MADE:
            return False
        self.groups[made[1]] = _MADE[made[2]]
        if self.groups[made[1]] == "warp" and self.lanes is not None and "warps" not in self.lanes.hints.warps:
            self.lanes.hints.assumed["blockDim.x is a multiple of 32"] = None
            raise self.lanes.hints.learn("warps", "warps", None)
        return True

    def _declare_shared(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        """``__shared__ float s[...]`` with a place for each thread, which is what the trees of a reduction use."""
        for d in node.children_by_field_name("declarator"):
            kind = self.types.read(node.child_by_field_name("type"), scope)  # type: ignore[arg-type]
            if kind != FLOAT or d.type != "array_declarator" or "[" in text(d.child_by_field_name("declarator")):
                raise Refused("__shared__ memory", "it is no array of float with a place for each thread")
            name = declared_name(d)
            place = self.memory.hold(Shared(name))
            scope.variables[name] = self.memory.new(CRef(place, (as_poly(0),), FLOAT), Pointer(FLOAT))
        return [], True

    def group_number(self, group: str | None, name: str) -> CNumber | None:
        """What a group says of a thread: its rank, the group's size …."""
        lanes = self.lanes
        assert lanes is not None
        if group == "grid" and name == "thread_rank":
            return self.whole(lanes.thread("idx.x"))
        if group == "block":
            found = {"thread_rank": lanes.own("threadIdx.x"), "size": lanes.count("blockDim.x")}
            return self.whole(found[name]) if name in found else None
        if group == "warp":
            found = {
                "thread_rank": raw(WARP), "size": as_poly(32), "num_threads": as_poly(32),
                "meta_group_size": size("warpDim"), "meta_group_rank": raw("warpIdx"),
            }  # fmt: skip
            return CNumber(whole(found[name], lanes), INT) if name in found else None
        return None

    # -- reductions ------------------------------------------------------------------------------

    def group_call(self, name: str, given: list[Node], scope: CScope) -> Value | None:
        """A reduction or a shuffle; None for another call."""
        if self.lanes is None or name in self.sources.functions:
            return None
        if name in ("__shfl_down_sync", "__shfl_xor_sync") and len(given) == 3:
            return self._shifted(name, given, scope)
        if name == "__shfl_sync" and len(given) == 3 and self.counted(given[2], scope) == 0:
            self._all_lanes(name, given[0])
            found = self.number(given[1], scope).value
            if not isinstance(found, First):
                raise Refused("__shfl_sync()", "what the first lane hands out is not known to it")
            return CNumber(found.total, FLOAT)
        if name == "reduce" and len(given) == 3 and self.group_of(given[0], scope) == "warp":
            how = re.search(r"(\w+)<", text(given[2]))
            part = self._part(given[1], scope)
            if (
                part.group not in (WARP, WARPS)
                and not part.wide
                or part.op != _REDUCED.get(how[1] if how else "")
                or len(part.steps) != 5
            ):
                raise Refused("reduce()", "it is not the group's own sum (product, extreme) that it makes whole")
            return CNumber(part.made("xor"), FLOAT)
        return None

    def _conditional_expression(self, node: Node, scope: CScope) -> Value:
        found = self._of_warps(node, scope) if self.lanes is not None and self.lanes.hints.warps else None
        return found if found is not None else super()._conditional_expression(node, scope)

    def _of_warps(self, node: Node, scope: CScope) -> Value | None:
        """``lane < warps ? shared[lane] : 0``: what the warps of a block have, one for each lane; None for another choice."""
        asked, yes, no = (_bare(node.child_by_field_name(n)) for n in ("condition", "consequence", "alternative"))
        if asked.type != "binary_expression" or yes.type != "subscript_expression":
            return None
        if text(asked.child_by_field_name("operator")) != "<":
            return None
        sides = [self.value(asked.child_by_field_name(n), scope) for n in ("left", "right")]  # type: ignore[arg-type]
        polys = [v.value.poly if isinstance(v, CNumber) and isinstance(v.value, WholeNumber) else None for v in sides]
        ref = self.place(yes, scope) if polys[0] is raw(WARP) and polys[1] is size("warpDim") else None
        held = self.memory.store.get(ref.cell) if ref is not None else None
        if ref is None or not isinstance(held, Shared) or ref.path[0] is not raw(WARP):
            return None
        part, start = held.by_lane(self.lanes), self.number(no, scope)
        assert self.lanes is not None
        if self.lanes.masks or self.lanes.first or self.lanes.leader:
            raise Refused(f"{held.name}[…]", "not all lanes take part")
        self.lanes.hints.assumed["the block has at most 32 warps, as CUDA has it"] = None
        return self.parted(part.name, Carried(part.name, None, part.op), part.total, start, WARPS)

    def _shifted(self, name: str, given: list[Node], scope: CScope) -> Value:
        self._all_lanes(name, given[0])
        part, by = self._part(given[1], scope), self.counted(given[2], scope)
        if part.group == BLOCK and not part.wide:
            assert self.lanes is not None
            self.lanes.hints.assumed["blockDim.x = 32: the block is one warp"] = None
        return CNumber(Shifted(part, "down" if "down" in name else "xor", by), FLOAT)

    def _all_lanes(self, name: str, mask: Node) -> None:
        """Refuse a shuffle that some lanes do not take part in."""
        lanes = self.lanes
        assert lanes is not None
        if (
            text(mask).lower().rstrip("u") not in ("0xffffffff", "full_mask", "-1", "~0")
            or lanes.masks
            or lanes.first
            or lanes.leader
        ):
            raise Refused(f"{name}()", "not all lanes take part", "Give the mask 0xffffffff, outside of conditions.")

    def _part(self, node: Node, scope: CScope) -> LanePart:
        found = self.number(node, scope).value
        if not isinstance(found, LanePart):
            raise Refused(text(node)[:40], "it is no sum (product, extreme) that the lanes of a group share")
        return found

    # -- loops that a group shares -----------------------------------------------------------------

    def _do_for_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        """A loop that halves its step is the tree of a reduction over the block; any other is read as loops are."""
        if self.lanes is None:
            return super()._do_for_statement(node, scope)
        plain = re.sub(r"//[^\n]*|/\*.*?\*/", "", text(node), flags=re.DOTALL)
        tree = _TREE.fullmatch(re.sub(r"\s", "", plain))
        if tree:
            self.at(node, scope, lambda: self._tree(tree, scope))
            return [], True
        return super()._do_for_statement(node, scope)

    def _tree(self, found: re.Match[str], scope: CScope) -> None:
        """``for (s = blockDim.x / 2; s > 0; s /= 2) { if (t < s) m[t] += m[t + s]; __syncthreads(); }``."""
        lanes = self.lanes
        assert lanes is not None
        ref = scope.variable(found["m"])
        shared = self.memory.store.get(self.memory.read(ref).cell) if ref is not None else None  # type: ignore[union-attr]
        thread, count = self._worth(found["t"], scope), self._worth(found["n"], scope)
        if not isinstance(shared, Shared) or thread is not raw(BLOCK) or count is not self.threads_of_block(count):
            raise Refused("a tree", "it does not go over the places of all threads of a block")
        if lanes.masks or lanes.first or lanes.leader or any(not n.startswith("blockIdx") for n in lanes.active):
            raise Refused("a tree", "not all threads of the block take part")
        op = "+" if found["f"] is None else "max" if "max" in found["f"] else "min"
        shared.tree(op, found["before"] is not None, found["after"] is not None)
        lanes.hints.assumed[f"{count} is a power of 2"] = None

    def _worth(self, name: str, scope: CScope) -> Poly | None:
        if "." in name:
            return raw(name) if name == BLOCK else size(name)
        ref = scope.variable(name)
        found = self.memory.read(ref) if ref is not None else None
        return found.value.poly if isinstance(found, CNumber) and isinstance(found.value, WholeNumber) else None

    def threads_of_block(self, count: Poly | None) -> Poly | None:
        """A number that is the block's: ``blockDim.x``, or a size that is taken to be."""
        lanes = self.lanes
        assert lanes is not None
        if count is size("blockDim.x") or count is not None and f"blockDim.x = {count}" in lanes.hints.assumed:
            return count
        return None

    def shared_range(self, head: Range, start: Poly, stride: Poly | None) -> Range | None:
        """``for (i = lane; i < C; i += lanes)``: all values of i, shared by the lanes of a group."""
        lanes = self.lanes
        assert lanes is not None
        group = next((n for n in (WARP, BLOCK) if start is raw(n) or start is lanes.own(n)), None)
        if group is None or stride is None:
            return None
        own = as_poly(32) if group == WARP else lanes.count("blockDim.x")
        if stride is not own:
            if group == WARP or stride.atom is None or str(stride) not in self.parameters:
                return None
            lanes.hints.assumed[f"blockDim.x = {stride}"] = None
        if group not in lanes.hints.groups:
            lanes.hints.threads.pop(group, None)
            raise lanes.hints.learn("groups", group, None)
        return Range(head.name, head.type, as_poly(0), head.end, head.declared, group=group)

    def parted(self, name: str, value: Carried, total: torch.Tensor, before: CNumber, group: str) -> CNumber:
        """What each lane of a group has after its turns of a loop."""
        start = before.value
        neutral = {"+": 0.0, "*": 1.0}.get(value.op)
        if not isinstance(start, (int, float)) or neutral is not None and start != neutral:
            raise Refused(f"{name!r}", "each lane adds its turns to what was there before", "Start from 0.")
        if neutral is None and abs(start) != float("inf"):
            both = torch.clamp(total, min=start) if value.op == "max" else torch.clamp(total, max=start)
            total = both
        assert self.lanes is not None
        wide = group == BLOCK and bool(self.lanes.hints.warps)
        return CNumber(LanePart(name, group, value.op, total, self.lanes, wide=wide), before.type)

    # -- barriers --------------------------------------------------------------------------------

    def barrier(self, name: str) -> Value:
        """``__syncthreads()``: everything that was written can be read."""
        lanes = self.lanes
        assert lanes is not None
        uniform = all(n.startswith("blockIdx") for n in lanes.active) or name == "__syncwarp"
        if lanes.masks or lanes.first or lanes.leader or not uniform:
            raise Refused(f"{name}()", "some threads do not come here: they have left, or a condition keeps them off")
        if lanes.loops:
            raise Refused(f"{name}()", "a barrier in a loop over a size is not read")
        if name == "__syncthreads" or WARP in lanes.hints.groups:
            lanes.epoch += 1
        for held in self.memory.store.values():
            if isinstance(held, Shared) and name == "__syncthreads":
                held.barrier()
        return Unset()


def _bare(node: Node | None) -> Node:
    """An expression without its parentheses."""
    assert node is not None
    while node.type == "parenthesized_expression":
        node = node.named_children[0]
    return node
