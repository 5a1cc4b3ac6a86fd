// Rows that a warp or a block works on together; g++ runs groups of one thread, which computes the same.
namespace cg = cooperative_groups;

__device__ float warp_sum(float v) {
    for (int offset = 16; offset > 0; offset /= 2) v += __shfl_down_sync(0xffffffff, v, offset);
    return v;
}

__global__ void softmax(float* out, const float* x, int N, int C) {
    extern __shared__ float shared[];
    int n = blockIdx.x, tid = threadIdx.x;
    if (n >= N) return;
    const float* row = x + n * C;
    float largest = -INFINITY;
    for (int i = tid; i < C; i += blockDim.x) largest = fmaxf(largest, row[i]);
    shared[tid] = largest;
    for (int s = blockDim.x / 2; s >= 1; s /= 2) {
        __syncthreads();  // all have written
        if (tid < s) {
            shared[tid] = fmaxf(shared[tid], shared[tid + s]);
        }
    }
    __syncthreads();
    float offset = shared[0];
    float total = 0.f;
    for (int i = tid; i < C; i += blockDim.x) {
        out[n * C + i] = expf(row[i] - offset);
        total += out[n * C + i];
    }
    __syncthreads();
    shared[tid] = total;
    __syncthreads();
    for (int s = blockDim.x >> 1; s > 0; s >>= 1) {
        if (tid < s) shared[tid] += shared[tid + s];
        __syncthreads();
    }
    float sum = shared[0];
    for (int i = tid; i < C; i += blockDim.x) out[n * C + i] /= sum;
}

__global__ void normed(float* out, float* mean, float* rstd, const float* x, const float* w, int N, int C) {
    cg::thread_block block = cg::this_thread_block();
    cg::thread_block_tile<32> warp = cg::tiled_partition<32>(block);
    int n = blockIdx.x * warp.meta_group_size() + warp.meta_group_rank();
    if (n >= N) return;
    const float* row = x + n * C;
    float sum = 0.f;
    for (int i = warp.thread_rank(); i < C; i += warp.size()) sum += row[i];
    float m = cg::reduce(warp, sum, cg::plus<float>{}) / C;
    float squares = 0.f;
    for (int i = warp.thread_rank(); i < C; i += warp.size()) squares += (row[i] - m) * (row[i] - m);
    squares = cg::reduce(warp, squares, cg::plus<float>{});
    float r = rsqrtf(squares / C + 1e-5f);
    if (warp.thread_rank() == 0 && mean != nullptr) {
        mean[n] = m;
        rstd[n] = r;
    }
    for (int i = warp.thread_rank(); i < C; i += warp.size()) out[n * C + i] = (row[i] - m) * r * w[i];
}

__global__ void normed_bw(float* dx, float* dw, const float* dout, const float* x, const float* w, const float* mean,
                          const float* rstd, int N, int C) {
    int lane = threadIdx.x % 32, warps = blockDim.x / 32;
    int n = blockIdx.x * warps + threadIdx.x / 32;
    if (n >= N) return;
    float m = mean[n], r = rstd[n], of_g = 0.f, of_gx = 0.f;
    for (int i = lane; i < C; i += 32) {
        float g = dout[n * C + i] * w[i], unit = (x[n * C + i] - m) * r;
        of_g += g;
        of_gx += g * unit;
        atomicAdd(&dw[i], dout[n * C + i] * unit);
    }
    of_g = __shfl_sync(0xffffffff, warp_sum(of_g), 0) / C;
    of_gx = __shfl_sync(0xffffffff, warp_sum(of_gx), 0) / C;
    for (int i = lane; i < C; i += 32) {
        float g = dout[n * C + i] * w[i], unit = (x[n * C + i] - m) * r;
        dx[n * C + i] = (g - of_g - unit * of_gx) * r;
    }
}

__global__ void column_sums(float* total, float* all, const float* x, int N, int C) {
    __shared__ float part[256];
    const int c = blockIdx.x, t = threadIdx.x;
    float sum = 0.f;
    for (int n = t; n < N; n += blockDim.x) sum += x[n * C + c] * x[n * C + c];
    atomicAdd(&all[0], sum);
    part[t] = sum;
    __syncthreads();
    for (int s = blockDim.x / 2; s > 0; s /= 2) {
        if (t < s) { part[t] += part[t + s]; }
        __syncthreads();
    }
    if (t == 0) total[c] = sqrtf(part[0]);
}

// a block of several warps: each makes its part whole, and the first lanes' parts are made whole once more
__global__ void block_normed(float* out, float* mean, const float* x, const float* w, int N, int C) {
    __shared__ float sums[32];
    __shared__ float squares[32];
    int warp_id = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    int n = blockIdx.x;
    if (n >= N) return;
    const float* row = x + n * C;
    float s = 0.f, q = 0.f;
    for (int i = threadIdx.x; i < C; i += blockDim.x) {
        s += row[i];
        q += row[i] * row[i];
    }
    for (int o = 16; o > 0; o /= 2) s += __shfl_xor_sync(0xffffffff, s, o);
    for (int o = 16; o > 0; o /= 2) q += __shfl_down_sync(0xffffffff, q, o);
    sums[warp_id] = s;
    if (lane == 0) squares[warp_id] = q;
    __syncthreads();
    s = lane < warps ? sums[lane] : 0.f;
    q = (lane < warps) ? squares[lane] : 0.0f;
    for (int o = 16; o > 0; o /= 2) s += __shfl_xor_sync(0xffffffff, s, o);
    for (int o = 16; o > 0; o /= 2) q += __shfl_xor_sync(0xffffffff, q, o);
    float m = s / C, r = rsqrtf(q / C - m * m + 1e-5f);
    if (threadIdx.x == 0) mean[n] = m;
    for (int i = threadIdx.x; i < C; i += blockDim.x) out[n * C + i] = (row[i] - m) * r * w[i];
}

// the same with the groups of CUDA, and a maximum
__global__ void block_largest(float* out, const float* x, int N, int C) {
    namespace cg = cooperative_groups;
    cg::thread_block block = cg::this_thread_block();
    cg::thread_block_tile<32> warp = cg::tiled_partition<32>(block);
    __shared__ float largest[32];
    int n = blockIdx.x;
    if (n >= N) return;
    float v = -INFINITY;
    for (int i = threadIdx.x; i < C; i += blockDim.x) v = fmaxf(v, x[n * C + i]);
    v = cg::reduce(warp, v, cg::greater<float>{});
    if (warp.thread_rank() == 0) largest[warp.meta_group_rank()] = v;
    __syncthreads();
    float u = (warp.thread_rank() < warp.meta_group_size()) ? largest[warp.thread_rank()] : -INFINITY;
    u = cg::reduce(warp, u, cg::greater<float>{});
    if (threadIdx.x == 0) out[n] = u;
}
