// Two kernels of 3D Gaussian splatting and their backwards: colour from spherical harmonics to degree 3, a thread for each splat and channel;
// and compositing with transmittance, a thread for each pixel, whose gradients are added up over the pixels.
#include <glm/glm.hpp>

#define SPLATS 3

// -- the sixteen harmonics of a direction, and what they give back to it ---------------------------------------------------

__device__ void harmonics(float x, float y, float z, float* Y) {
    float xx = x * x, yy = y * y, zz = z * z;
    Y[0] = 0.28209479177387814f;
    Y[1] = -0.4886025119029199f * y;
    Y[2] = 0.4886025119029199f * z;
    Y[3] = -0.4886025119029199f * x;
    Y[4] = 1.0925484305920792f * x * y;
    Y[5] = -1.0925484305920792f * y * z;
    Y[6] = 0.31539156525252005f * (2.f * zz - xx - yy);
    Y[7] = -1.0925484305920792f * x * z;
    Y[8] = 0.5462742152960396f * (xx - yy);
    Y[9] = -0.5900435899266435f * y * (3.f * xx - yy);
    Y[10] = 2.890611442640554f * x * y * z;
    Y[11] = -0.4570457994644658f * y * (4.f * zz - xx - yy);
    Y[12] = 0.3731763325901154f * z * (2.f * zz - 3.f * xx - 3.f * yy);
    Y[13] = -0.4570457994644658f * x * (4.f * zz - xx - yy);
    Y[14] = 1.445305721320277f * z * (xx - yy);
    Y[15] = -0.5900435899266435f * x * (xx - 3.f * yy);
}

__device__ glm::vec3 harmonics_bw(float x, float y, float z, const float* g) {
    float xx = x * x, yy = y * y, zz = z * z;
    float dx = -0.4886025119029199f * g[3] + 1.0925484305920792f * (y * g[4] - z * g[7] + x * g[8])
        - 0.31539156525252005f * 2.f * x * g[6] - 0.5900435899266435f * (6.f * x * y * g[9] + 3.f * (xx - yy) * g[15])
        + 2.890611442640554f * (y * z * g[10] + x * z * g[14])
        + 0.4570457994644658f * (2.f * x * y * g[11] - (4.f * zz - 3.f * xx - yy) * g[13])
        - 0.3731763325901154f * 6.f * x * z * g[12];
    float dy = -0.4886025119029199f * g[1] + 1.0925484305920792f * (x * g[4] - z * g[5] - y * g[8])
        - 0.31539156525252005f * 2.f * y * g[6] + 0.5900435899266435f * (6.f * x * y * g[15] - 3.f * (xx - yy) * g[9])
        + 2.890611442640554f * (x * z * g[10] - y * z * g[14])
        + 0.4570457994644658f * (2.f * x * y * g[13] - (4.f * zz - xx - 3.f * yy) * g[11])
        - 0.3731763325901154f * 6.f * y * z * g[12];
    float dz = 0.4886025119029199f * g[2] - 1.0925484305920792f * (y * g[5] + x * g[7])
        + 0.31539156525252005f * 4.f * z * g[6] + 2.890611442640554f * x * y * g[10]
        - 0.4570457994644658f * 8.f * z * (y * g[11] + x * g[13]) + 0.3731763325901154f * 3.f * (2.f * zz - xx - yy) * g[12]
        + 1.445305721320277f * (xx - yy) * g[14];
    return glm::vec3(dx, dy, dz);
}

__global__ void shade(float* colour, const glm::vec3* dir, const float* sh, int N) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N * 3) return;
    int n = i / 3, c = i % 3;
    float Y[16];
    float inv = rsqrtf(glm::dot(dir[n], dir[n]));
    harmonics(dir[n].x * inv, dir[n].y * inv, dir[n].z * inv, Y);
    float sum = 0.5f;
    for (int k = 0; k < 16; k++) {
        sum += Y[k] * sh[(n * 16 + k) * 3 + c];
    }
    colour[n * 3 + c] = sum;
}

__global__ void shade_bw(glm::vec3* d_dir, float* d_sh, const float* d_colour, const glm::vec3* dir, const float* sh, int N) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N * 3) return;
    int n = i / 3, c = i % 3;
    float Y[16], g[16];
    float inv = rsqrtf(glm::dot(dir[n], dir[n]));
    glm::vec3 unit = dir[n] * inv;
    harmonics(unit.x, unit.y, unit.z, Y);
    for (int k = 0; k < 16; k++) {
        d_sh[(n * 16 + k) * 3 + c] = Y[k] * d_colour[i];
        g[k] = sh[(n * 16 + k) * 3 + c] * d_colour[i];
    }
    glm::vec3 d_unit = harmonics_bw(unit.x, unit.y, unit.z, g);
    d_unit = inv * (d_unit - glm::dot(d_unit, unit) * unit);
    atomicAdd(&d_dir[n].x, d_unit.x);
    atomicAdd(&d_dir[n].y, d_unit.y);
    atomicAdd(&d_dir[n].z, d_unit.z);
}

// -- compositing front to back -------------------------------------------------------------------------------------------

__global__ void blend(float* image, float* final_T, const float* alpha, const float* colour, const float* ground, int P) {
    int p = blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= P) return;
    float T = 1.f, sum = 0.f;
    for (int k = 0; k < SPLATS; k++) {
        float a = fminf(0.99f, alpha[p * SPLATS + k]);
        sum += T * a * colour[k];
        T *= 1.f - a;
    }
    image[p] = sum + T * ground[0];
    final_T[p] = T;
}

__global__ void blend_bw(
    float* d_alpha, float* d_colour, float* d_ground, const float* d_image, const float* alpha, const float* colour,
    const float* ground, const float* final_T, int P
) {
    int p = blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= P) return;
    float T = final_T[p], behind = ground[0];
    atomicAdd(&d_ground[0], T * d_image[p]);
    for (int k = SPLATS - 1; k >= 0; k--) {
        float a = fminf(0.99f, alpha[p * SPLATS + k]);
        T /= 1.f - a;
        atomicAdd(&d_colour[k], T * a * d_image[p]);
        d_alpha[p * SPLATS + k] = alpha[p * SPLATS + k] < 0.99f ? T * (colour[k] - behind) * d_image[p] : 0.f;
        behind = a * colour[k] + (1.f - a) * behind;
    }
}
