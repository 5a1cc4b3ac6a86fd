// Kernels and loops over sizes, one for each form that is read; g++ compiles the same text and runs one thread after the other.
namespace cg = cooperative_groups;

__device__ float squashed(float x, float k) { return x / (1.f + k * x * x); }

__global__ void guarded(float* out, const float* x, float a, int N) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N) return;
    out[i] = a * squashed(x[i], a);
}

__global__ void inside(float* out, float* total, const float* x, int N) {
    const unsigned int i = threadIdx.x + blockDim.x * blockIdx.x;
    if (i < N) {
        out[i] = x[i] > 0.5f ? x[i] : 0.25f;
        atomicAdd(total, x[i] * x[i]);
    }
}

__global__ void ranked(float* out, const float* x, const bool* on, int N) {
    auto i = cg::this_grid().thread_rank();
    if (i >= N || !on[i]) return;
    out[2 * i + 1] = x[i];
    out[2 * i] = -x[i] * x[i];
}

__global__ void strided(float* out, const float* x, int N) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < N; i += blockDim.x * gridDim.x) {
        float s = expf(x[i]);
        out[i] = s / (1.f + s);
    }
}

__global__ void picture(float* out, const float* x, int W, int H) {
    int u = blockIdx.x * blockDim.x + threadIdx.x, v = blockIdx.y * blockDim.y + threadIdx.y;
    if (u >= W || v >= H) return;
    float left = u > 0 ? x[v * W + u - 1] : 0.f;
    float below = 0.f;
    if (v < H - 1) below = x[(v + 1) * W + u];
    out[v * W + u] = left * below + x[v * W + u];
}

__global__ void digits(float* out, const float* x, const float* w, int B, int T, int C) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= B * T * C) return;
    int c = i % C, t = (i / C) % T, b = i / (C * T);
    out[b * T * C + t * C + c] = x[i] * w[c * T + t];
}

__global__ void scattered(float* table, const float* x, const int* ids, int N, int D) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N * D) return;
    int n = i / D, d = i % D;
    atomicAdd(&table[ids[n] * D + d], x[n * D + d]);
}

__global__ void vectors(glm::vec3* out, const glm::vec3* x, const float* turned, const float* y, int N) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N) return;
    y += i * 3;
    glm::vec3 v = x[i] + glm::vec3(y[0], y[1], y[2]);
    v.x = v.x * turned[4] - turned[1];
    out[i] = glm::dot(v, x[i]) * v;
}

__global__ void rows(float* out, float* top, const float* x, int N, int C) {
    int n = blockIdx.x * blockDim.x + threadIdx.x;
    if (n >= N) return;
    const float* row = x + n * C;
    float largest = row[0], least = 100.f, total = 0.f, all = 1.f;
    for (int c = 0; c < C; c++) {
        largest = fmaxf(largest, row[c]);
        if (row[c] < least) least = row[c];
    }
    for (int c = C - 1; c >= 0; --c) {
        if (row[c] < 0.4f) continue;
        total += expf(row[c] - largest);
        all *= 1.f - 0.5f * row[c];
    }
    for (int c = 0; c < C; c++) out[n * C + c] = expf(row[c] - largest) * total - least;
    top[n] = largest * all;
}

void triangle(float* out, const float* x, int N, int T) {
    for (int n = 0; n < N; n++) {
        for (int t = 0; t < T; t++) {
            float s = 0.f;
            for (int u = 0; u <= t; u++) {
                float inner = 1.f;
                for (int w = u + 1; w < T; w++) inner *= x[n * T + w];
                s += inner * x[n * T + u];
            }
            out[n * T + t] = s;
        }
    }
}

void pooled(float* out, const float* x, int N, int M) {
    for (int n = 0; n < N; n++) {
        out[n] = 0.f;
        for (int m = 1; m < M; m++) {
            out[n] += x[n * M + m] - x[n * M + m - 1] * m;
        }
        out[n] = out[n] * out[n];
    }
}

void literal(float* out, const float* q, int N) {
    for (int n = 0; n < N; n++) {
        const float w = q[4 * n + 3];
        for (int k = 0; k < 3; k++) {
            out[n * 9 + k * 3] = w * q[n * 4 + k];
            for (int j = 1; j < 3; j++) out[n * 9 + k * 3 + j] = q[n * 4 + k] - q[n * 4 + j];
        }
    }
}

void both(float* out, float* mid, const float* x, int N) {
    for (int i = 0; i < N; ++i) mid[i] = sinf(x[i]);
    int i;
    for (i = 0; i < N; ++i) {
        mid[i] *= 2.f;
        float m = mid[i];
        out[i] = m * x[i] + (float)i / N;
    }
}

enum Shape { FLAT, ROUND = 4, HOLLOW };

__global__ void switched(float* out, const float* x, const Shape shape, int width, int N) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N || x[i] < 0.2f || x[i] > 0.8f) return;
    float y = x[i] / width;
    switch (shape) {
    case FLAT:
        y = 0.f;
        break;
    case Shape::ROUND: {
        if (x[i] > 0.5f) break;
        y = y * y;
    }
    case HOLLOW:
        y += 1.f;
        break;
    default:
        y = -1.f;
    }
    out[i] = y;
}

__attribute__((noinline)) void normalised(float* out, const float* x, int N, int C) {
    namespace cg = cooperative_groups;
    for (int n = 0; n < N; n++) {
        float total = 0.0f;
        for (int c = 0; c < C; c++) total += (double)(expf(x[n * C + c]));
        float inv = total == 0.0f ? 0.0f : 1.0f / total;
        for (int c = 0; c < C; c++) out[n * C + c] = expf(x[n * C + c]) * inv;
    }
}

void unless_zero(float* out, const float* x, int N, int C) {
    for (int n = 0; n < N; n++) {
        float total = 0.0f, above = 0.0f;
        for (int c = 0; c < C; c++) {
            total += x[n * C + c] - 0.5f;
            if (x[n * C + c] > 0.7f) above += expf(x[n * C + c]);
        }
        out[n] = above == 0.0f ? 1.0f : total / above;
    }
}

void overwritten(float* out, float* corner, const float* x, int N, int T) {
    for (int n = 0; n < N; n++) {
        for (int t = 0; t < T; t++) {
            out[t] = x[n * T + t] * n;
            corner[0] = x[n * T + t];
        }
        corner[1] = x[n * T];
    }
}

void crossed(float* out, const float* x, int N, int T) {
    for (int n = 0; n < N; n++) {
        for (int t = 0; t < T; t++) {
            out[n * T + t] = x[n * T + t] * x[t * N + n];
        }
    }
}
