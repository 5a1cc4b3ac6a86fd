// A few types of glm for g++, written for the tests, from its documentation.
#pragma once
#include "cuda.h"

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
template <int C, int R> Vec<C> operator*(const Vec<R> &v, const Mat<C, R> &m) { // a row
    Vec<C> r;
    for (int i = 0; i < C; i++) r[i] = dot(v, m[i]);
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

struct Quat { // x, y, z, w in memory, made of w, x, y, z
    real x, y, z, w;
    Quat() : x(0), y(0), z(0), w(0) {}
    Quat(real w_, real x_, real y_, real z_) : x(x_), y(y_), z(z_), w(w_) {}
    Quat(real w_, const Vec<3> &v) : x(v.x), y(v.y), z(v.z), w(w_) {}
    real &operator[](int i) { return (&x)[i]; }
    const real &operator[](int i) const { return (&x)[i]; }
};
inline Quat operator+(const Quat &a, const Quat &b) { return {a.w + b.w, a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Quat operator*(real s, const Quat &a) { return {s * a.w, s * a.x, s * a.y, s * a.z}; }
inline Quat operator*(const Quat &a, real s) { return s * a; }
inline Quat operator/(const Quat &a, real s) { return {a.w / s, a.x / s, a.y / s, a.z / s}; }
inline Quat operator-(const Quat &a) { return real(-1) * a; }
inline Quat operator-(const Quat &a, const Quat &b) { return a + -b; }
inline Quat operator*(const Quat &a, const Quat &b) { // (s, u) (t, v) = (st - u.v, sv + tu + u x v)
    Vec<3> u(a.x, a.y, a.z), v(b.x, b.y, b.z);
    return Quat(a.w * b.w - dot(u, v), a.w * v + b.w * u + cross(u, v));
}
inline real dot(const Quat &a, const Quat &b) { return a.w * b.w + a.x * b.x + a.y * b.y + a.z * b.z; }
inline real length(const Quat &a) { return std::sqrt(dot(a, a)); }
inline Quat normalize(const Quat &a) { return length(a) > 0 ? a / length(a) : Quat(1, 0, 0, 0); }
inline Quat conjugate(const Quat &a) { return {a.w, -a.x, -a.y, -a.z}; }
inline Quat inverse(const Quat &a) { return conjugate(a) / dot(a, a); }
inline Vec<3> operator*(const Quat &q, const Vec<3> &v) {
    Vec<3> u(q.x, q.y, q.z), t = real(2) * cross(u, v);
    return v + q.w * t + cross(u, t);
}
inline Vec<3> rotate(const Quat &q, const Vec<3> &v) { return q * v; }
inline Quat slerp(const Quat &a, Quat b, real t) {
    real c = dot(a, b);
    if (c < 0) b = -b, c = -c;
    if (c > 1 - std::numeric_limits<real>::epsilon()) return (1 - t) * a + t * b;
    real angle = std::acos(c);
    return (std::sin((1 - t) * angle) * a + std::sin(t * angle) * b) / std::sin(angle);
}
inline Mat<3, 3> mat3_cast(const Quat &q) { // its columns are the turned axes, of a unit quaternion
    Mat<3, 3> m;
    real x = q.x, y = q.y, z = q.z, w = q.w;
    m[0] = Vec<3>(1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y));
    m[1] = Vec<3>(2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x));
    m[2] = Vec<3>(2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y));
    return m;
}

template <int N, class T> using vec = Vec<N>;
template <class T> using qua = Quat;
template <int C, int R, class T> using mat = Mat<C, R>;
using quat = Quat;
using fquat = Quat;
using vec2 = Vec<2>;
using fvec2 = Vec<2>;
using fvec3 = Vec<3>;
using fvec4 = Vec<4>;
using vec3 = Vec<3>;
using vec4 = Vec<4>;
using mat2 = Mat<2, 2>;
using mat3 = Mat<3, 3>;
using mat4 = Mat<4, 4>;
} // namespace glm
