"""Prove the backwards of 3D Gaussian splatting as they stand in CUDA source, and find three mistakes: python prove.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import derivcheck as dc
from derivcheck.errors import InputError

HERE = Path(__file__).parent
RIGHT, WRONG = HERE / "splatting.cu", HERE / "mistakes.cu"
KERNELS, FAULTY = HERE / "kernels.cu", HERE / "faults.cu"

# forward, backward, what is given
PAIRS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("rotation", "rotation_bw", {}),
    ("axes", "axes_bw", {}),
    ("covariance", "covariance_bw", {}),
    ("screen", "screen_bw", {}),
    ("near_image", "near_image_bw", {}),
    ("jacobian", "jacobian_bw", {}),
    ("conic", "conic_bw", {}),
    ("colour", "colour_bw", {}),
    ("alpha", "alpha_bw", {}),
    ("composite", "composite_bw", {"K": 3}),
)
BY_THREADS = ("shade", "blend")  # kernels, each beside its backward
FAULTS = (("blend", "blend_raced"), ("blend", "blend_beyond"))  # of memory
MISTAKES = (("conic", "conic_once"), ("near_image", "near_image_unclamped"), ("colour", "colour_unnormalised"))


def prove(forward: str, backward: str, file: Path = RIGHT, **fixed: Any) -> Any:
    """The proof that a function of a file is the gradient of one of splatting.cu."""
    return dc.prove(dc.cuda(RIGHT, forward, **fixed), dc.cuda(file, backward, **fixed), time_limit=30.0)


def main() -> None:
    """Print a line for each pair, and for each mistake where it is."""
    for forward, backward, fixed in PAIRS:
        print(f"{backward}: {prove(forward, backward, **fixed).status}")
    for name in BY_THREADS:
        print(f"{name}_bw: {dc.prove(dc.cuda(KERNELS, name), dc.cuda(KERNELS, f'{name}_bw'), time_limit=60.0).status}")
    for forward, backward in FAULTS:
        try:
            dc.prove(dc.cuda(KERNELS, forward), dc.cuda(FAULTY, backward))
        except InputError as e:
            print(f"\n{backward}: {e}")
    for forward, backward in MISTAKES:
        print(f"\n{backward}: {prove(forward, backward, WRONG)}")


if __name__ == "__main__":
    main()
