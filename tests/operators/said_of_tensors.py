"""Where whole tensors of ours are not torch's, and why: a table of ``docs/conventions.md``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Filled:
    """Whole tensors at which ours and torch's are not the same: rows, data, what is compared, and why."""

    operators: tuple[str, ...]
    fills: tuple[str, ...]
    what: str
    why: str
    every: bool = False  # met only where every sample is tried

    def covers(self, operator: str, fill: str, what: str) -> bool:
        """Whether a number is among these."""
        return operator in self.operators and (not self.fills or fill in self.fills) and what.startswith(self.what)


WILD = ("inf", "-inf", "nan", "all -inf")
FILLED = (
    Filled(("topk", "kthvalue", "mode"), (), "", "which of equal elements torch takes is its own affair; assumed: no ties"),
    Filled(("median",), ("nan",), "value", "assumed: no element is NaN"),
    Filled(
        ("triplet_margin_loss",),
        ("huge",),
        "value",
        "the margin is added to the difference of the distances; torch adds it to the first, which loses it",
        every=True,
    ),
    Filled(
        ("linalg_det", "det", "linalg_slogdet", "slogdet", "logdet"),
        (),
        "raises",
        "condition: the matrix is not singular; the gradient of ours raises, torch gives 0, infinities or no number",
    ),
    Filled(("cholesky_solve",), (), "raises", "a factor with zeros on its diagonal: the gradient of ours raises"),
    Filled(("cholesky_solve", "cholesky_inverse"), (), "gradient", "condition: the factor is triangular"),
    Filled(
        ("linalg_inv_ex", "linalg_solve_ex", "linalg_cholesky_ex"),
        (),
        "raises",
        "condition: the matrix is not singular (symmetric and positive definite); ours raises, torch says so in info",
    ),
    Filled(
        ("linalg_cholesky",),
        ("large",),
        "raises",
        "condition: the matrix is symmetric; of the upper triangle's factor ours reads the lower one, as the matrix is one",
        every=True,
    ),
    Filled(
        ("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
        WILD,
        "value",
        "weights of 0 times an infinity: one infinite pixel reaches all of its line",
    ),
    Filled(("binary_cross_entropy",), (), "gradient", "see above: torch divides by max(x(1 - x), 1e-12)"),
    Filled(("binary_cross_entropy_with_logits",), ("tiny",), "gradient 1", "see above: rounded to 1e-16"),
    Filled(("soft_margin_loss",), ("huge",), "value", "see above: exp overflows in torch"),
    Filled(("cosine_embedding_loss",), ("ones",), "", "rounding: 1 - cos near 0"),
    Filled(
        (
            "cosine_similarity",
            "layer_norm",
            "group_norm",
            "corrcoef",
            "cov",
            "cross_entropy_loss",
            "scaled_dot_product_attention",
            "std_mean",
            "grid_sampler",
            "grid_sampler_2d",
            "grid_sampler_3d",
        ),
        ("zeros", "ones", "ties", "saturated", "large", "tiny", "huge"),
        "",
        "rounding where the true number is 0, and coordinates beyond 2^52",
    ),
    Filled(("logcumsumexp",), ("huge",), "gradient", "torch takes the logarithm of the upstream gradient: few digits at 1e30"),
    Filled(
        ("multi_margin_loss", "multilabel_margin_loss", "multilabel_margin_loss_forward"),
        WILD,
        "value",
        "torch leaves out a margin that is NaN; ours is NaN",
    ),
    Filled(
        (
            "log_softmax",
            "_log_softmax",
            "special_log_softmax",
            "softmax",
            "_softmax",
            "_safe_softmax",
            "cross_entropy_loss",
            "linalg_matrix_norm",
            "logsumexp",
            "special_logsumexp",
            "logcumsumexp",
            "cummax",
            "cummin",
            "pdist",
            "_pdist_forward",
            "diff",
            "scaled_dot_product_attention",
        ),
        ("size 0",),
        "raises",
        "no classes: torch gives an empty tensor; ours raises",
    ),
    Filled(("embedding_bag",), ("nan",), "value", "the largest of a bag with a NaN", every=True),
    Filled(("cdist", "_cdist_forward"), ("nan",), "value", "torch's maximum norm passes over NaN; ours is NaN", every=True),
    Filled(
        ("scatter_reduce", "index_reduce"),
        (),
        "gradient 2",
        "include_self=False: torch counts the element that is not included among the ties, and loses its share",
        every=True,
    ),
    Filled(("smooth_l1_loss",), (), "gradient", "aten's beta = 0 takes the left slope at a tie, l1_loss takes 0", every=True),
    Filled(
        ("scaled_dot_product_attention",),
        WILD,
        "value",
        "scores of infinity or NaN; assumed: the mask leaves no row without a key",
        every=True,
    ),
)
