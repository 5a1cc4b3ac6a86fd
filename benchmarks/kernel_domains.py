"""Why gsplat's refuted backwards are, and where each is right: ``python -m benchmarks.kernel_domains FOLDER``.

``inverse_vjp`` and ``add_blur_vjp`` are gradients of functions of *symmetric* matrices, given by three numbers;
``add_blur_vjp`` and ``fisheye_proj_vjp`` leave out where a small number was added against a division by 0, so that the text
is asked with that number 0.  FOLDER is as for :mod:`benchmarks.kernels`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import derivcheck as dc

SYMMETRIC = """
__device__ void inverse(const float a, const float b, const float c, glm::mat2& Minv) {
    Minv = glm::inverse(glm::mat2(a, b, b, c));
}
__device__ void inverse_bw(const glm::mat2 Minv, const glm::mat2 v_Minv, float& v_a, float& v_b, float& v_c) {
    glm::mat2 v(0.f);
    gsplat::inverse_vjp(Minv, v_Minv, v);
    v_a = v[0][0];
    v_b = v[0][1] + v[1][0];
    v_c = v[1][1];
}
__device__ void add_blur(
    const float eps2d, const float a, const float b, const float c, float& compensation, glm::mat2& conic_blur
) {
    glm::mat2 blurred = glm::mat2(a, b, b, c) + glm::mat2(eps2d);
    conic_blur = glm::inverse(blurred);
    compensation = sqrtf((a * c - b * b) / glm::determinant(blurred));
}
__device__ void add_blur_bw(
    const float eps2d, const glm::mat2 conic_blur, const float compensation, const float v_compensation,
    float& v_a, float& v_b, float& v_c
) {
    glm::mat2 v(0.f);
    gsplat::add_blur_vjp(eps2d, conic_blur, compensation, v_compensation, v);
    v_a = v[0][0];
    v_b = v[0][1] + v[1][0];
    v_c = v[1][1];
}
"""
WITHOUT = (("(compensation + 1e-6)", "compensation"), ("0.0000001f", "0.f"))


def main() -> None:
    """A line for each, with a number against the division and without."""
    if len(sys.argv) < 2 or not (utils := Path(sys.argv[1]) / "include" / "Utils.cuh").is_file():
        sys.exit(str(__doc__))
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder) / "Utils.cuh"
        text = utils.read_text()
        for right, without in WITHOUT:
            text = text.replace(right, without)
        changed.write_text(text)
        (Path(folder) / "Common.h").write_text((utils.parent / "Common.h").read_text())
        for name in ("inverse", "add_blur", "fisheye_proj"):
            for file, how in ((utils, "as it is"), (changed, "nothing added against a division by 0")):
                start = time.process_time()
                if name == "fisheye_proj":
                    forward, backward = dc.cuda(file, name), dc.cuda(file, f"{name}_vjp")
                    where, outputs = "all inputs", None
                else:
                    forward, backward = dc.cuda(SYMMETRIC, name), dc.cuda(SYMMETRIC, f"{name}_bw", include=[file])
                    blur = name == "add_blur"
                    where = "symmetric matrices, of positive determinant" if blur else "symmetric matrices"
                    outputs = ["compensation"] if blur else None
                proof = dc.prove(forward, backward, time_limit=60.0, outputs=outputs)
                parts = ", ".join(f"{p.name} {p.status}" for p in proof.parts)
                print(f"{name}, {where}, {how}: {proof.status} ({parts}; {time.process_time() - start:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
