#!/usr/bin/env bash
# torch 2.13.0 (CPU): jacfwd(jacfwd(f)) of layer_norm and batch_norm is not the Hessian; it is not even symmetric.
#
# f(x) is the sum of the cubes of the normalised numbers.  jacrev(jacrev(f)) and jacfwd(jacrev(f)), which is torch.func.hessian, agree with
# each other and with the norm written out from mean, square and sqrt; jacfwd(jacfwd(f)) and jacrev(jacfwd(f)) are off by as much as the
# Hessian is large, without a word.  The tangent of native_layer_norm and native_batch_norm is computed from the saved mean and rstd, of which
# torch records no gradient, so that differentiating the tangent again leaves out how they depend on x.  group_norm and rms_norm are right.  Others have reported the second tangent: pytorch/pytorch#196699 and #196700.
#
# Output seen: 2.13.0 layer_norm: largest of the Hessian 1.6, jacfwd(jacfwd) off by 1.9, by 3.2 from its own transpose; jacrev(jacfwd) off by 1.9
# 2.13.0 batch_norm: largest of the Hessian 1.6, jacfwd(jacfwd) off by 1.9, by 3.2 from its own transpose; jacrev(jacfwd) off by 1.9
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import torch
import torch.nn.functional as F
from torch.func import hessian, jacfwd, jacrev


def written_out(x):
    centred = x - x.mean()
    return centred / (centred.square().mean() + 1e-5).sqrt()


NORMS = {
    "layer_norm": lambda x: F.layer_norm(x, (4,)),
    "batch_norm": lambda x: F.batch_norm(x[:, None], None, None, training=True)[:, 0],
}
x = torch.tensor([0.3, -1.2, 2.0, 0.7], dtype=torch.float64)
wanted = hessian(lambda x: written_out(x).pow(3).sum())(x)
for name, norm in NORMS.items():

    def f(x):
        return norm(x).pow(3).sum()

    def off(h):
        return (h - wanted).abs().max().item()

    assert off(jacrev(jacrev(f))(x)) < 1e-12 and off(jacfwd(jacrev(f))(x)) < 1e-12
    twice = jacfwd(jacfwd(f))(x)
    skew, mixed = (twice - twice.mT).abs().max().item(), off(jacrev(jacfwd(f))(x))
    print(
        f"{torch.__version__.partition('+')[0]} {name}: largest of the Hessian {wanted.abs().max().item():.1f}, "
        f"jacfwd(jacfwd) off by {off(twice):.1f}, by {skew:.1f} from its own transpose; jacrev(jacfwd) off by {mixed:.1f}"
    )
    assert off(twice) > 1 and skew > 1 and mixed > 1, "the behaviour changed"
PYTHON
