"""Operators that are refused by name: their decompositions would be derived, and be wrong or no gradient at all."""

from __future__ import annotations

from derivcheck.operators.language.row import refuse

refuse(
    "aten.max_unpool2d.default",
    "aten.max_unpool3d.default",
    reason="it writes to positions that the data give, and where two are the same the last one stays",
    instead="Use scatter_add, or index_put with accumulate=True.",
)
refuse(
    "aten._unsafe_masked_index_put_accumulate.default",
    reason="it is an intermediate step of torch's own compiler",
    instead="Call the operator that it comes from.",
)
refuse(
    "aten.as_strided.default",
    "aten.as_strided_scatter.default",
    reason="it reads the memory behind a tensor, whose order is not the tensor's",
    instead="Use unfold, slices, diagonal or expand, which read elements.",
)
