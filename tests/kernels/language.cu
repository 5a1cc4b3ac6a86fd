// What of the language is read, one function each; g++ compiles the same text.
#define HALF 0.5f
#define TWICE (2 * 2 / 2)
enum Mode { PLAIN = 0, SQUARED, CUBED = 7 };
__device__ const float WEIGHTS[] = {0.25f, -1.5f, 3.0f};
using vec3 = glm::vec3;
typedef float scalar;

struct Pose {
    vec3 t;
    float scale = 2.f;
    __device__ vec3 moved(vec3 p) const { return scale * p + t; }
};

namespace inner {
inline __device__ float helper(float x, float k = 3.f) { return x * k; }
} // namespace inner

__device__ float3 operator+(const float3& a, const float3& b) { return make_float3(a.x + b.x, a.y + b.y, a.z + b.z); }
__device__ float3 operator*(float s, const float3& a) { return make_float3(s * a.x, s * a.y, s * a.z); }
__device__ void operator+=(float3& a, const float3& b) { a.x += b.x; a.y += b.y; a.z += b.z; }

__device__ float own_operators(float x, float y) {
    float3 a = make_float3(x, y, 1.f);
    a += x * (a + a);
    return a.x * a.y + a.z;
}

__device__ float early_return(float x, float y) {
    if (x > 0.5f) {
        return y;
    }
    if (y > 0.5f) {
        if (x > 0.25f)
            return x * y;
        y = x;
    } else
        y += 1.f;
    return y - x;
}

__device__ float nested_exits(float x, float y) {
    float total = 0.f;
    for (int i = 0; i < 4; ++i) {
        if (i == 2) continue;
        if (x * i > 1.f) break;
        if (y * i > 1.2f) return -total;
        if (x > 0.6f) {
            total += 3.f;
            continue;
        }
        total += i * y;
    }
    return total + x;
}

__device__ float break_after_return(float x, float y) {
    float s = 1.f;
    for (int i = 0; i < 3; i++) {
        if (x > 0.7f) break;
        if (y > 0.7f) return s * 10.f;
        s += x;
        if (s > 2.f) break;
        s *= 2.f;
    }
    return s;
}

__device__ float conditions(float x, float y) {
    bool a = x > y, b = !(x > 0.5f) || y < 0.3f;
    float z = a && b ? x : (a ? y : 2);
    return z * (a != b) + (x > 0.2f) * y;
}

__device__ float overloaded(float x) { return x * 2.f; }
__device__ float overloaded(vec3 x) { return x.x + x.y * x.z; }
__device__ float overloaded(float x, float y) { return x - y; }
__device__ float overloads(float x, float y) { return overloaded(x) + overloaded(vec3(x, y, 1.f)) * overloaded(x, y); }

template <typename T, int N> __device__ T power(T x) {
    T p = 1;
    for (int i = 0; i < N; i++) p *= x;
    return p;
}
__device__ float templates(float x) { return power<float, 3>(x) + power<float, TWICE>(x); }

__device__ void swap_parts(float& a, float& b) {
    float t = a;
    a = b;
    b = t;
}
__device__ float references(float x, float y) {
    swap_parts(x, y);
    float& r = x;
    r += 1.f;
    return x * x - y;
}

__device__ void pointers(const float* p, float* out) {
    const float* q = p + 1;
    float rest[2][3] = {{1.f, 2.f, 3.f}, {4.f}};
    for (int i = 0; i < 3; i++) {
        out[i] = *(q + i) * rest[1][0] + rest[0][i];
    }
    *(out + 3) = q[2] - p[0];
    out[4] = rest[1][1];
}

__device__ float structs(vec3 p, float x) {
    Pose pose;
    pose.t = vec3(x);
    pose.t.y = 0.f;
    Pose other = {p, x};
    vec3 m = pose.moved(p) + other.moved(vec3(1.f, x, 0.f));
    return m.x * m.y - m.z;
}

__device__ float integers(float x) {
    int n = 7 / 2 + -7 % 4 + (5 << 1) + (6 & 3);
    unsigned int u = 3u;
    u *= n;
    int mode = CUBED - SQUARED;
    return x * (n / 2) + (float)u + static_cast<float>(mode) + 7 / 2.f + 1 / 2;
}

__device__ float constants(scalar x) {
    float s = 0.f;
    for (int i = 2; i >= 0; i--) s = s * x + WEIGHTS[i];
    return s + HALF + inner::helper(x) + inner::helper(x, 1.f);
}

__device__ glm::mat2 matrices(glm::mat2 A, glm::vec2 v) {
    glm::mat2 B(2.f);
    B[0][1] = v.x;
    glm::vec2 w = A * v;
    B[1] += w;
    return glm::transpose(A) * B + glm::outerProduct(v, w);
}

__device__ float functions(float x, float y) {
    float a = expf(-x) + sqrtf(y) + fminf(x, y) * fmaxf(x, 0.3f) + fabsf(x - y) + powf(x, 3.f);
    return fmaf(a, x, y) + rsqrtf(x) + __expf(y) + min(x, 0.4f);
}

__device__ void changed(float& x, float y) {
    x = x * y;
    x++;
    x /= 2.f;
}

template <int N> __device__ float horner(std::array<float, N> const &poly, float x) {
    auto y = float{0};
    for (auto it = poly.rbegin(); it != poly.rend(); ++it) y = x * y + (*it);
    return y;
}

__device__ float elements(float x, float y) {
    std::array<float, 3> poly = {x, y, 2.f};
    float a[3] = {1.f, x, y}, s = cbrtf(x) + cbrtf(-y);
    for (int k : {-1, 0, 2}) {
        if (x * k > 0.5f) continue;
        s = std::min(std::numeric_limits<float>::max(), s * (x + k));
    }
    for (float& v : a) {
        if (s > 100.f) break;
        v *= 2.f;
    }
    for (float v : a) {
        v += 1.f;
        s += v * a[0];
        a[2] = s;
    }
    return s + horner<3>(poly, x);
}

struct Placed {
    glm::vec3 t;
    glm::fquat q;
    bool fast;
    __device__ glm::vec3 back(const glm::vec3 &x) const { return glm::rotate(glm::inverse(q), x - t); }
};

__device__ glm::vec3 quaternion_turns(glm::fquat a, glm::quat b, glm::vec3 v, float s) {
    glm::quat product = (a * b + b * s) / 2.f - a;
    glm::vec3 turned = product * v;
    return glm::rotate(glm::conjugate(b), turned) + glm::dot(a, b) * glm::length(b) * v;
}

__device__ glm::mat3 quaternion_matrix(glm::fquat q, float w) {
    glm::fquat p(w, q.x, q.y, q.z);
    p = glm::normalize(p);
    p.w += q[3];
    return glm::mat3_cast(glm::inverse(p)) + glm::mat3_cast(glm::fquat{w, glm::vec3(1.f, 2.f, q[0])});
}

__device__ Placed quaternion_pose(const Placed &a, const Placed &b, float s) {
    glm::vec3 t = (1.f - s) * a.t + s * b.t;
    return Placed{a.back(t), glm::normalize(glm::slerp(a.q, -b.q, s)), false};
}

__device__ void structs_out(std::array<float, 3> const &w, Placed &p, const float (&more)[2], float (&out)[2]) {
    p.t = glm::vec3(w[0], w[1], w[2]);
    p.q = glm::quat(w[0], w[1], w[2], more[0]);
    out[1] = more[1] * w[2];
    out[0] = more[0] + out[1];
}
