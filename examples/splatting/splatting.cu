// The formulas of 3D Gaussian splatting, forward and backward: Kerbl et al. 2023 (arXiv 2308.04079), and EWA splatting,
// Zwicker et al. 2001.  Read, checked and proved without a GPU: python examples/splatting/prove.py
#include <glm/glm.hpp>

#define SH_0 0.28209479177387814f
#define SH_1 0.4886025119029199f
#define LIMIT 1.3f

// -- a rotation from a quaternion that is not normalised ------------------------------------------------------------

__device__ glm::mat3 rotation(glm::vec4 q) {
    float s = rsqrtf(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w);
    float r = q.x * s, x = q.y * s, y = q.z * s, z = q.w * s;
    return glm::mat3(
        1.f - 2.f * (y * y + z * z), 2.f * (x * y + r * z), 2.f * (x * z - r * y),
        2.f * (x * y - r * z), 1.f - 2.f * (x * x + z * z), 2.f * (y * z + r * x),
        2.f * (x * z + r * y), 2.f * (y * z - r * x), 1.f - 2.f * (x * x + y * y)
    );
}

__device__ glm::vec4 rotation_bw(glm::vec4 q, glm::mat3 d_result) {
    float s = rsqrtf(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w);
    float r = q.x * s, x = q.y * s, y = q.z * s, z = q.w * s;
    glm::mat3 g = d_result;
    glm::vec4 unit = glm::vec4(r, x, y, z);
    glm::vec4 d_unit = glm::vec4(
        2.f * (z * (g[0][1] - g[1][0]) + y * (g[2][0] - g[0][2]) + x * (g[1][2] - g[2][1])),
        2.f * (y * (g[0][1] + g[1][0]) + z * (g[0][2] + g[2][0]) + r * (g[1][2] - g[2][1])) - 4.f * x * (g[1][1] + g[2][2]),
        2.f * (x * (g[0][1] + g[1][0]) + r * (g[2][0] - g[0][2]) + z * (g[1][2] + g[2][1])) - 4.f * y * (g[0][0] + g[2][2]),
        2.f * (r * (g[0][1] - g[1][0]) + x * (g[0][2] + g[2][0]) + y * (g[1][2] + g[2][1])) - 4.f * z * (g[0][0] + g[1][1])
    );
    return s * (d_unit - glm::dot(d_unit, unit) * unit);
}

// -- the axes of a splat: the rotation, scaled ---------------------------------------------------------------------

__device__ void axes(glm::mat3 R, glm::vec3 scale, glm::mat3& M) {
    for (int i = 0; i < 3; i++) {
        M[i] = scale[i] * R[i];
    }
}

__device__ void axes_bw(glm::mat3 R, glm::vec3 scale, glm::mat3 dL_dM, glm::mat3& dL_dR, glm::vec3& dL_dscale) {
    for (int i = 0; i < 3; i++) {
        dL_dR[i] = scale[i] * dL_dM[i];
        dL_dscale[i] = glm::dot(R[i], dL_dM[i]);
    }
}

// -- the covariance, its upper triangle ------------------------------------------------------------------------------

__device__ void covariance(glm::mat3 M, float* cov) {
    glm::mat3 S = M * glm::transpose(M);
    cov[0] = S[0][0];
    cov[1] = S[0][1];
    cov[2] = S[0][2];
    cov[3] = S[1][1];
    cov[4] = S[1][2];
    cov[5] = S[2][2];
}

__device__ void covariance_bw(glm::mat3 M, const float* dL_dcov, glm::mat3& dL_dM) {
    // an entry beside the diagonal stands for two of the matrix: half of its gradient belongs to each
    glm::mat3 G = glm::mat3(
        dL_dcov[0], 0.5f * dL_dcov[1], 0.5f * dL_dcov[2],
        0.5f * dL_dcov[1], dL_dcov[3], 0.5f * dL_dcov[4],
        0.5f * dL_dcov[2], 0.5f * dL_dcov[4], dL_dcov[5]
    );
    dL_dM = 2.f * G * M;
}

// -- the mean on the screen -------------------------------------------------------------------------------------------

__device__ glm::vec2 screen(glm::vec3 t, float fx, float fy) {
    return glm::vec2(fx * t.x / t.z, fy * t.y / t.z);
}

__device__ void screen_bw(glm::vec3 t, float fx, float fy, glm::vec2 dL_dresult, glm::vec3& dL_dt) {
    float iz = 1.f / t.z;
    dL_dt.x = fx * iz * dL_dresult.x;
    dL_dt.y = fy * iz * dL_dresult.y;
    dL_dt.z = -(fx * t.x * dL_dresult.x + fy * t.y * dL_dresult.y) * iz * iz;
}

// -- the Jacobian of the projection, at a point that is held near the image -----------------------------------------

__device__ glm::vec3 near_image(glm::vec3 t, float tan_x, float tan_y) {
    float limit_x = LIMIT * tan_x, limit_y = LIMIT * tan_y;
    return glm::vec3(fminf(limit_x, fmaxf(-limit_x, t.x / t.z)) * t.z, fminf(limit_y, fmaxf(-limit_y, t.y / t.z)) * t.z, t.z);
}

__device__ glm::vec3 near_image_bw(glm::vec3 t, float tan_x, float tan_y, glm::vec3 dL_dresult) {
    float limit_x = LIMIT * tan_x, limit_y = LIMIT * tan_y;
    float u = t.x / t.z, v = t.y / t.z;
    glm::vec3 dL_dt = glm::vec3(0.f, 0.f, dL_dresult.z);
    if (u < -limit_x || u > limit_x) {
        dL_dt.z += fminf(limit_x, fmaxf(-limit_x, u)) * dL_dresult.x;
    } else {
        dL_dt.x += dL_dresult.x;
    }
    if (v < -limit_y || v > limit_y) {
        dL_dt.z += fminf(limit_y, fmaxf(-limit_y, v)) * dL_dresult.y;
    } else {
        dL_dt.y += dL_dresult.y;
    }
    return dL_dt;
}

__device__ void jacobian(glm::vec3 t, float fx, float fy, float* J) {
    J[0] = fx / t.z;
    J[1] = -fx * t.x / (t.z * t.z);
    J[2] = fy / t.z;
    J[3] = -fy * t.y / (t.z * t.z);
}

__device__ void jacobian_bw(glm::vec3 t, float fx, float fy, const float* dL_dJ, glm::vec3& dL_dt) {
    float iz = 1.f / t.z, iz2 = iz * iz;
    dL_dt.x = -fx * iz2 * dL_dJ[1];
    dL_dt.y = -fy * iz2 * dL_dJ[3];
    dL_dt.z = -iz2 * (fx * dL_dJ[0] + fy * dL_dJ[2]) + 2.f * iz2 * iz * (fx * t.x * dL_dJ[1] + fy * t.y * dL_dJ[3]);
}

// -- the conic: the inverse of the covariance on the screen, (a b; b c) ------------------------------------------------

__device__ glm::vec3 conic(float a, float b, float c) {
    float det = a * c - b * b;
    return glm::vec3(c / det, -b / det, a / det);
}

__device__ void conic_bw(float a, float b, float c, glm::vec3 dL_dresult, float& dL_da, float& dL_db, float& dL_dc) {
    float inv = 1.f / (a * c - b * b), inv2 = inv * inv;
    dL_da = inv2 * (-c * c * dL_dresult.x + b * c * dL_dresult.y - b * b * dL_dresult.z);
    dL_db = inv2 * (2.f * b * c * dL_dresult.x - (a * c + b * b) * dL_dresult.y + 2.f * a * b * dL_dresult.z);
    dL_dc = inv2 * (-b * b * dL_dresult.x + a * b * dL_dresult.y - a * a * dL_dresult.z);
}

// -- colour from spherical harmonics of degree 1, of one channel ---------------------------------------------------------

__device__ float colour(glm::vec3 dir, const float* sh) {
    glm::vec3 d = dir * rsqrtf(glm::dot(dir, dir));
    return SH_0 * sh[0] + SH_1 * (-d.y * sh[1] + d.z * sh[2] - d.x * sh[3]);
}

__device__ void colour_bw(glm::vec3 dir, const float* sh, float dL_dresult, glm::vec3& dL_ddir, float* dL_dsh) {
    float inv = rsqrtf(glm::dot(dir, dir));
    glm::vec3 d = dir * inv;
    dL_dsh[0] = SH_0 * dL_dresult;
    dL_dsh[1] = -SH_1 * d.y * dL_dresult;
    dL_dsh[2] = SH_1 * d.z * dL_dresult;
    dL_dsh[3] = -SH_1 * d.x * dL_dresult;
    glm::vec3 d_unit = SH_1 * dL_dresult * glm::vec3(-sh[3], -sh[1], sh[2]);
    dL_ddir = inv * (d_unit - glm::dot(d_unit, d) * d);
}

// -- the opacity of a splat at a pixel ----------------------------------------------------------------------------------

__device__ float alpha(float opacity, glm::vec3 conic, glm::vec2 delta) {
    float sigma = 0.5f * (conic.x * delta.x * delta.x + conic.z * delta.y * delta.y) + conic.y * delta.x * delta.y;
    return opacity * __expf(-sigma);
}

__device__ void alpha_bw(
    float opacity, glm::vec3 conic, glm::vec2 delta, float result, float dL_dalpha,
    float& dL_dopacity, glm::vec3& dL_dconic, glm::vec2& dL_ddelta
) {
    float dL_dsigma = -result * dL_dalpha;
    dL_dopacity = result / opacity * dL_dalpha;
    dL_dconic = dL_dsigma * glm::vec3(0.5f * delta.x * delta.x, delta.x * delta.y, 0.5f * delta.y * delta.y);
    dL_ddelta.x = dL_dsigma * (conic.x * delta.x + conic.y * delta.y);
    dL_ddelta.y = dL_dsigma * (conic.z * delta.y + conic.y * delta.x);
}

// -- compositing K splats front to back; the backward goes back to front with the colour behind --------------------------

template <int K>
__device__ float composite(const float* a, const float* c) {
    float T = 1.f, C = 0.f;
    for (int k = 0; k < K; k++) {
        C += T * a[k] * c[k];
        T *= 1.f - a[k];
    }
    return C;
}

template <int K>
__device__ void composite_bw(const float* a, const float* c, float dL_dresult, float* dL_da, float* dL_dc) {
    float T = 1.f;
    for (int k = 0; k < K; k++) {
        T *= 1.f - a[k];
    }
    float behind = 0.f;
    for (int k = K - 1; k >= 0; k--) {
        T /= 1.f - a[k];
        dL_dc[k] = T * a[k] * dL_dresult;
        dL_da[k] = T * (c[k] - behind) * dL_dresult;
        behind = a[k] * c[k] + (1.f - a[k]) * behind;
    }
}
