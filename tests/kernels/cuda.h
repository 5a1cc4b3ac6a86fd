// A few words of CUDA for g++, written for the tests: the witness compiles the same text that the reader reads.
#pragma once
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

// so that a float version takes what real is
#define fminf std::fmin
#define fmaxf std::fmax
#define expf std::exp
#define exp2f std::exp2
#define expm1f std::expm1
#define logf std::log
#define log2f std::log2
#define log10f std::log10
#define log1pf std::log1p
#define sqrtf std::sqrt
#define cbrtf std::cbrt
#define powf std::pow
#define fmodf std::fmod
#define fmaf std::fma
#define fabsf std::fabs
#define floorf std::floor
#define ceilf std::ceil
#define roundf std::round
#define truncf std::trunc
#define rintf std::rint
#define sinf std::sin
#define cosf std::cos
#define tanf std::tan
#define asinf std::asin
#define acosf std::acos
#define atanf std::atan
#define atan2f std::atan2
#define sinhf std::sinh
#define coshf std::cosh
#define tanhf std::tanh
#define erff std::erf
#define erfcf std::erfc
#define hypotf std::hypot
#define copysignf std::copysign
#define fdimf std::fdim

using std::max;
using std::min;

static inline real rsqrtf(real x) { return real(1) / std::sqrt(x); }
static inline real rsqrt(real x) { return real(1) / std::sqrt(x); }
static inline real __expf(real x) { return std::exp(x); }
static inline real __logf(real x) { return std::log(x); }
static inline real __fdividef(real x, real y) { return x / y; }
static inline real __fsqrt_rn(real x) { return std::sqrt(x); }
static inline real __frcp_rn(real x) { return real(1) / x; }
template <class T> static inline T __ldg(const T *p) { return *p; }
template <class T> static inline T __ldcs(const T *p) { return *p; }
template <class T> static inline void __stcs(T *p, T v) { *p = v; }

#define EACH(N, ...)                                                                                                         \
    struct float##N {                                                                                                        \
        real __VA_ARGS__;                                                                                                    \
        real &operator[](int i) { return (&x)[i]; }                                                                          \
    };
EACH(2, x, y)
EACH(3, x, y, z)
EACH(4, x, y, z, w)
#undef EACH
static inline float2 make_float2(real x, real y) { return {x, y}; }
static inline float3 make_float3(real x, real y, real z) { return {x, y, z}; }
static inline float4 make_float4(real x, real y, real z, real w) { return {x, y, z, w}; }
