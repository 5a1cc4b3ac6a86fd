#!/usr/bin/env bash
# torch 2.13.0: the core ATen decomposition of multilabel_margin_loss gives another loss than the eager kernel.
#
# A target row ends at its first -1 (torch's documentation of MultiLabelMarginLoss); classes named behind it do not count.  For
# x = [0.1, 0.2, 0.4, 0.8] and y = [3, 0, -1, 1] the documentation's own example gives 0.85, and so does eager.  The graph that
# make_fx records with core_aten_decompositions() computes 2.05 on the same tensors, without a word.
#
# Output seen: 2.13.0 eager 0.85 decomposed 2.05
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import torch
import torch.nn.functional as F
from torch._decomp import core_aten_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

x, y = torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([[3, 0, -1, 1]])
eager = F.multilabel_margin_loss(x, y).item()
graph = make_fx(lambda x, y: F.multilabel_margin_loss(x, y), decomposition_table=core_aten_decompositions())(x, y)
decomposed = graph(x, y).item()
print(torch.__version__.partition("+")[0], f"eager {eager:.2f} decomposed {decomposed:.2f}")
assert f"{eager:.2f}" == "0.85" and f"{decomposed:.2f}" == "2.05", "the behaviour changed"
PYTHON
