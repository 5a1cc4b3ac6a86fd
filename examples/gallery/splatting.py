"""3D Gaussian splatting, as it stands in CUDA source: read, derived and proved without a GPU."""

from pathlib import Path

from examples.gallery.layer import Layer, Mistake

FILE = Path(__file__).parents[1] / "splatting" / "splatting.cu"

LAYERS = (
    Layer(
        "quaternion to matrix",
        "The rotation matrix of a quaternion that is not normalised.",
        "Kerbl et al. 2023, arXiv 2308.04079, appendix A.",
        "rotation",
        "rotation_bw",
        {},
        (
            Mistake(
                "the normalisation held constant",
                "return s * (d_unit - glm::dot(d_unit, unit) * unit);",
                "return s * d_unit;",
                "The quaternion is normalised in another kernel, or the optimiser is trusted to keep its length.",
            ),
            Mistake(
                "one entry of the wrong triangle",
                "z * (g[0][1] - g[1][0])",
                "z * (g[0][1] + g[1][0])",
                "GLM's matrices are stored by columns, and the antisymmetric terms change sign with that.",
            ),
        ),
        file=FILE,
    ),
    Layer(
        "splat covariance",
        "The covariance of a splat, M·Mᵀ, as the six numbers of its upper triangle.",
        "Kerbl et al. 2023, arXiv 2308.04079, equation 6.",
        "covariance",
        "covariance_bw",
        {},
        (
            Mistake(
                "an entry beside the diagonal counted twice",
                "dL_dcov[0], 0.5f * dL_dcov[1], 0.5f * dL_dcov[2],",
                "dL_dcov[0], dL_dcov[1], 0.5f * dL_dcov[2],",
                "The stored entry stands for two of the matrix, and half of its gradient belongs to each.",
            ),
            Mistake("the factors exchanged", "2.f * G * M", "2.f * M * G", "Both are 3×3, so no shape complains."),
        ),
        file=FILE,
    ),
    Layer(
        "splat projection",
        "The mean of a splat on the screen.",
        "Zwicker et al. 2001, EWA splatting.",
        "screen",
        "screen_bw",
        {},
        (
            Mistake(
                "the depth once",
                "fy * t.y * dL_dresult.y) * iz * iz;",
                "fy * t.y * dL_dresult.y) * iz;",
                "The derivative of 1/z is −1/z².",
            ),
            Mistake("the depth's sign", "-(fx * t.x", "(fx * t.x", "The derivative of 1/z is −1/z²."),
        ),
        file=FILE,
    ),
    Layer(
        "point near the image",
        "The point at which the projection is linearised, held within 1.3 of the image.",
        "The clamp of Kerbl et al. 2023's reference implementation.",
        "near_image",
        "near_image_bw",
        {},
        (
            Mistake(
                "the clamp forgotten",
                "if (u < -limit_x || u > limit_x) {",
                "if (false) {",
                "The clamp is there for stability, and not part of the paper's formulas.",
            ),
            Mistake(
                "the clamped value not used",
                "dL_dt.z += fminf(limit_x, fmaxf(-limit_x, u)) * dL_dresult.x;",
                "dL_dt.z += u * dL_dresult.x;",
                "Outside, the result is limit·z: what multiplies z is the limit.",
            ),
        ),
        file=FILE,
    ),
    Layer(
        "conic",
        "The inverse of a symmetric 2×2 matrix (a b; b c), as three numbers.",
        "Kerbl et al. 2023, arXiv 2308.04079: the conic of a splat on the screen.",
        "conic",
        "conic_bw",
        {},
        (
            Mistake(
                "the entry beside the diagonal once",
                "2.f * b * c * dL_dresult.x",
                "b * c * dL_dresult.x",
                "b stands for two entries of the matrix, and is taken once.",
            ),
            Mistake(
                "the determinant's sign",
                "- (a * c + b * b) * dL_dresult.y",
                "- (a * c - b * b) * dL_dresult.y",
                "ac − b² is on every other line.",
            ),
        ),
        file=FILE,
    ),
    Layer(
        "spherical harmonics",
        "The colour that a splat shows in a direction, by spherical harmonics of degree 1.",
        "Ramamoorthi and Hanrahan 2001; the signs of Kerbl et al. 2023.",
        "colour",
        "colour_bw",
        {},
        (
            Mistake(
                "the direction's normalisation",
                "dL_ddir = inv * (d_unit - glm::dot(d_unit, d) * d);",
                "dL_ddir = d_unit;",
                "The direction is normalised in the forward, and its normalisation is not differentiated.",
            ),
            Mistake("the sign of one harmonic", "dL_dsh[3] = -SH_1", "dL_dsh[3] = SH_1", "Conventions for the signs differ."),
        ),
        file=FILE,
    ),
    Layer(
        "splat opacity",
        "The opacity of a splat at a pixel.",
        "Kerbl et al. 2023, arXiv 2308.04079; Zwicker et al. 2001.",
        "alpha",
        "alpha_bw",
        {},
        (
            Mistake(
                "the exponent's sign",
                "-result * dL_dalpha",
                "result * dL_dalpha",
                "σ is the negative exponent.",
            ),
            Mistake(
                "the mixed term halved",
                "delta.x * delta.y, 0.5f",
                "0.5f * delta.x * delta.y, 0.5f",
                "The halves of the squares are copied; the mixed term stands for two.",
            ),
        ),
        file=FILE,
    ),
    Layer(
        "splat compositing",
        "Three splats, front to back; the backward goes back to front and divides the transmittance again.",
        "Kerbl et al. 2023, arXiv 2308.04079.",
        "composite",
        "composite_bw",
        {},
        (
            Mistake(
                "the colour behind not covered",
                "+ (1.f - a[k]) * behind",
                "+ behind",
                "What is behind the next splat is seen through it.",
            ),
            Mistake("the last splat left out", "k = K - 1; k >= 0", "k = K - 1; k > 0", "A bound of the loop, turned round."),
        ),
        constants={"K": 3},
        file=FILE,
    ),
)
