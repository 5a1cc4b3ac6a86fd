// A few types of glm and CUDA for g++, written for the tests: the witness compiles the same text that the reader reads.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <cstddef>
#include <cstdint>

#define __device__
#define __host__
#define __global__
#define __forceinline__ inline
#define __restrict__

#define fminf std::fmin
#define fmaxf std::fmax
#define expf std::exp
#define sqrtf std::sqrt
#define fabsf std::fabs
#define powf std::pow
#define fmaf std::fma
#define sinf std::sin
#define cosf std::cos
#define tanhf std::tanh
#define logf std::log
#define cbrtf std::cbrt

using std::max;
using std::min;

static inline real rsqrtf(real x) { return real(1) / std::sqrt(x); }
static inline real rsqrt(real x) { return real(1) / std::sqrt(x); }
static inline real __expf(real x) { return std::exp(x); }

namespace glm {

template <int N> struct Vec {
    real d[N];
    real &operator[](int i) { return d[i]; }
    const real &operator[](int i) const { return d[i]; }
};

template <> struct Vec<2> {
    real x, y;
    Vec() : x(0), y(0) {}
    explicit Vec(real s) : x(s), y(s) {}
    Vec(real x_, real y_) : x(x_), y(y_) {}
    real &operator[](int i) { return (&x)[i]; }
    const real &operator[](int i) const { return (&x)[i]; }
};
template <> struct Vec<3> {
    real x, y, z;
    Vec() : x(0), y(0), z(0) {}
    explicit Vec(real s) : x(s), y(s), z(s) {}
    Vec(real x_, real y_, real z_) : x(x_), y(y_), z(z_) {}
    real &operator[](int i) { return (&x)[i]; }
    const real &operator[](int i) const { return (&x)[i]; }
};
template <> struct Vec<4> {
    real x, y, z, w;
    Vec() : x(0), y(0), z(0), w(0) {}
    explicit Vec(real s) : x(s), y(s), z(s), w(s) {}
    Vec(real x_, real y_, real z_, real w_) : x(x_), y(y_), z(z_), w(w_) {}
    real &operator[](int i) { return (&x)[i]; }
    const real &operator[](int i) const { return (&x)[i]; }
};

#define EACH(OP)                                                                                                             \
    template <int N> Vec<N> operator OP(const Vec<N> &a, const Vec<N> &b) {                                                  \
        Vec<N> r;                                                                                                            \
        for (int i = 0; i < N; i++) r[i] = a[i] OP b[i];                                                                     \
        return r;                                                                                                            \
    }                                                                                                                        \
    template <int N> Vec<N> operator OP(const Vec<N> &a, real b) {                                                           \
        Vec<N> r;                                                                                                            \
        for (int i = 0; i < N; i++) r[i] = a[i] OP b;                                                                        \
        return r;                                                                                                            \
    }                                                                                                                        \
    template <int N> Vec<N> operator OP(real a, const Vec<N> &b) {                                                           \
        Vec<N> r;                                                                                                            \
        for (int i = 0; i < N; i++) r[i] = a OP b[i];                                                                        \
        return r;                                                                                                            \
    }                                                                                                                        \
    template <int N, class T> Vec<N> &operator OP##=(Vec<N> &a, const T &b) { return a = a OP b; }
EACH(+)
EACH(-)
EACH(*)
EACH(/)
template <int N> Vec<N> operator-(const Vec<N> &a) { return real(-1) * a; }

template <int N> real dot(const Vec<N> &a, const Vec<N> &b) {
    real s = a[0] * b[0];
    for (int i = 1; i < N; i++) s += a[i] * b[i];
    return s;
}
template <int N> real length(const Vec<N> &a) { return std::sqrt(dot(a, a)); }
template <int N> Vec<N> normalize(const Vec<N> &a) { return a / length(a); }
inline Vec<3> cross(const Vec<3> &a, const Vec<3> &b) {
    return {a[1] * b[2] - b[1] * a[2], a[2] * b[0] - b[2] * a[0], a[0] * b[1] - b[0] * a[1]};
}
inline real atan(real y, real x) { return std::atan2(y, x); }

template <int C, int R> struct Mat { // columns of rows
    Vec<R> c[C];
    Mat() {}
    explicit Mat(real s) {
        for (int i = 0; i < C; i++) c[i][i] = s;
    }
    template <class... T> Mat(real a, real b, T... more) {
        real all[] = {a, b, real(more)...};
        static_assert(sizeof...(T) + 2 == C * R, "entries");
        for (int i = 0; i < C; i++)
            for (int j = 0; j < R; j++) c[i][j] = all[i * R + j];
    }
    template <class... T> Mat(const Vec<R> &a, const T &...more) : c{a, more...} {}
    Vec<R> &operator[](int i) { return c[i]; }
    const Vec<R> &operator[](int i) const { return c[i]; }
};
template <int C, int R> Vec<R> operator*(const Mat<C, R> &m, const Vec<C> &v) {
    Vec<R> r;
    for (int j = 0; j < R; j++) {
        r[j] = m[0][j] * v[0];
        for (int i = 1; i < C; i++) r[j] += m[i][j] * v[i];
    }
    return r;
}
template <int K, int R, int C> Mat<C, R> operator*(const Mat<K, R> &a, const Mat<C, K> &b) {
    Mat<C, R> m;
    for (int i = 0; i < C; i++) m[i] = a * b[i];
    return m;
}
template <int C, int R> Mat<C, R> operator+(const Mat<C, R> &a, const Mat<C, R> &b) {
    Mat<C, R> m;
    for (int i = 0; i < C; i++) m[i] = a[i] + b[i];
    return m;
}
template <int C, int R> Mat<C, R> operator*(real s, const Mat<C, R> &a) {
    Mat<C, R> m;
    for (int i = 0; i < C; i++) m[i] = s * a[i];
    return m;
}
template <int C, int R> Mat<C, R> operator-(const Mat<C, R> &a) { return real(-1) * a; }
template <int C, int R> Mat<C, R> &operator+=(Mat<C, R> &a, const Mat<C, R> &b) { return a = a + b; }
template <int C, int R> Mat<R, C> transpose(const Mat<C, R> &a) {
    Mat<R, C> m;
    for (int i = 0; i < C; i++)
        for (int j = 0; j < R; j++) m[j][i] = a[i][j];
    return m;
}
template <int R, int C> Mat<C, R> outerProduct(const Vec<R> &a, const Vec<C> &b) {
    Mat<C, R> m;
    for (int i = 0; i < C; i++) m[i] = a * b[i];
    return m;
}

template <int N, class T> using vec = Vec<N>;
template <int C, int R, class T> using mat = Mat<C, R>;
using vec2 = Vec<2>;
using vec3 = Vec<3>;
using vec4 = Vec<4>;
using mat2 = Mat<2, 2>;
using mat3 = Mat<3, 3>;
using mat4 = Mat<4, 4>;
} // namespace glm

struct float2 {
    real x, y;
};
struct float3 {
    real x, y, z;
};
static inline float2 make_float2(real x, real y) { return {x, y}; }
static inline float3 make_float3(real x, real y, real z) { return {x, y, z}; }
