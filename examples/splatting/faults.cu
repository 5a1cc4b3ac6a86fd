// Backwards of kernels.cu with faults of memory; each is found with its line.
#define SPLATS 3

// The gradient of a colour is added up over the pixels, and threads that add at once lose each other's part.
__global__ void blend_raced(
    float* d_colour, const float* d_image, const float* alpha, const float* colour, const float* ground, int P
) {
    int p = blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= P) return;
    float T = 1.f;
    for (int k = 0; k < SPLATS; k++) {
        float a = fminf(0.99f, alpha[p * SPLATS + k]);
        d_colour[k] += T * a * d_image[p];
        T *= 1.f - a;
    }
}

// The last thread of the grid has no pixel.
__global__ void blend_beyond(float* d_ground, const float* d_image, const float* final_T, int P) {
    int p = blockIdx.x * blockDim.x + threadIdx.x;
    if (p > P) return;
    atomicAdd(&d_ground[0], final_T[p] * d_image[p]);
}
