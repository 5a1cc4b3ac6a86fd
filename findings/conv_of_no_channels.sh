#!/usr/bin/env bash
# torch 2.13.0 (CPU): a convolution of an input without channels gives an output without channels, and loses its bias.
#
# A sum over no input channels is 0, so that each of the two output channels should be its bias.  linear, which is the same sum
# over no features, gives it.  conv1d and conv2d give a tensor whose channel dimension is 0 in place of 2, without a word.
# It is met where a weight's gradient is written as a convolution with batch and channels exchanged, and the batch is empty.
#
# Output seen: 2.13.0 linear [3, 2] conv1d [3, 0, 3] conv2d [3, 0, 3, 3]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import torch
import torch.nn.functional as F

bias = torch.ones(2)
linear = F.linear(torch.zeros(3, 0), torch.zeros(2, 0), bias)
conv1d = F.conv1d(torch.zeros(3, 0, 7), torch.zeros(2, 0, 5), bias)
conv2d = F.conv2d(torch.zeros(3, 0, 7, 7), torch.zeros(2, 0, 5, 5), bias)
shapes = [list(y.shape) for y in (linear, conv1d, conv2d)]
print(torch.__version__.partition("+")[0], "linear", shapes[0], "conv1d", shapes[1], "conv2d", shapes[2])
assert linear.tolist() == [[1.0, 1.0]] * 3
assert shapes == [[3, 2], [3, 0, 3], [3, 0, 3, 3]], "the behaviour changed"
PYTHON
