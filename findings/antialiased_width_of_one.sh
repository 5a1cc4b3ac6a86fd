#!/usr/bin/env bash
# torch 2.13.0 (CPU): interpolate(antialias=True) to a width of one pixel repeats the first row in all rows.
#
# An antialiased resize is separable: rows and columns are weighted one after the other.  From 4 x 3 to 2 x 1 it should give what
# two calls give, 4 x 3 to 2 x 3 to 2 x 1.  In memory laid out channel by channel the one call gives the first row twice; the same
# numbers in channels_last, or resized in two calls, or turned on their side (3 x 4 to 1 x 2), give two different rows.  Bicubic does it too.
#
# Output seen: 2.13.0 one call [3.14, 3.14] two calls [3.14, 7.86] channels_last [3.14, 7.86]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import torch
import torch.nn.functional as F


def resized(image, *size):
    return F.interpolate(image, size=size, mode="bilinear", antialias=True)


def rows(image):
    return [round(v, 2) for v in image[0, 0].ravel().tolist()]


x = torch.arange(12.0).reshape(1, 1, 4, 3)
several = x.expand(1, 3, 4, 3)
one, two = rows(resized(x, 2, 1)), rows(resized(resized(x, 2, 3), 2, 1))
last = rows(resized(several.contiguous(memory_format=torch.channels_last), 2, 1))
print(torch.__version__.partition("+")[0], "one call", one, "two calls", two, "channels_last", last)
assert one == [3.14, 3.14] and two == last == [3.14, 7.86], "the behaviour changed"
PYTHON
