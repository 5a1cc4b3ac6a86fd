// What a reader of C++ stumbles over, one function f a section; g++ compiles each in a namespace of its own.

// === precedence
__device__ float f(float x, float y) { int a = 7; int b = a & 3 == 3 ? 5 : 9; int c = 1 << 2 + 1; int d = a ^ 2 | 1 & 4; return x * b + y * c - d; }

// === intdiv
__device__ float f(float x) { int a = -7, b = 2; return x * (a / b) + (a % b) + (7 / -2) + (7 % -2) + (-7 / 2.f); }

// === floattounsigned
__device__ float f(float x) { unsigned int u = (unsigned)2.9f; int k = (int)-2.9f; return x * u + k; }

// === inttrunc
__device__ float f(float x) { int k = x * 3; return k + x; }

// === inttruncneg
__device__ float f(float x) { int k = (int)(x * 3.f); k += 0.7f; return k + x; }

// === compoundint
__device__ float f(float x) { int k = 5; k *= 0.5f; k += 1.9; k /= 2; k -= 0.5; return k * x; }

// === compoundint2
__device__ float f(float x) { int k = 5; k *= x; return k; }

// === shadow
__device__ float f(float x) { float y = x; { float y = 2 * x; y += 1; { float x = y; y = x * x; } x = y; } for (int y = 0; y < 2; y++) x += y; return x + y; }

// === shadowfor
__device__ float f(float x) { int i = 10; float s = 0; for (int i = 0; i < 3; ++i) { int k = i; { int i = k * 2; s += i * x; } } return s + i; }

// === shortknown
__device__ float f(float x) { int n = 3; float y = x; if (n > 2 && (y = 2 * x) > -1e9f) x = y; return x + y; }

// === switchfall
__device__ float f(float x, int n) { float s = 0; switch (2) { case 1: s += 1; case 2: s += x; case 3: s += x * x; break; default: s = -1; case 4: s += 9; } return s; }

// === switchbreakloop
__device__ float f(float x) { float s = 0; for (int i = 0; i < 4; i++) { switch (i) { case 0: continue; case 1: s += x; break; case 3: s += 10; default: s += 1; } s *= 2; } return s; }

// === switchdefaultmiddle
__device__ float f(float x) { float s = 1; for (int i = 0; i < 5; i++) switch (i % 3) { default: s += 5; case 1: s += x; break; case 2: s *= x; } return s; }

// === switchenum
enum class E : int { A = 2, B, C = B + 5 };
__device__ float f(float x) { E e = E::C; switch (e) { case E::A: return 1; case E::B: return x; case E::C: return x * (int)e; } return 0; }

// === continue2
__device__ float f(float x, float y) { float s = 0; for (int i = 0; i < 4; i++) { for (int j = 0; j < 4; j++) { if (j == i) continue; if (x * j > y + i) break; s += x * j + y * i; if (s > 6.f) continue; s += 0.5f; } if (s > 9.f) break; s *= 1.1f; } return s; }

// === continuereturn
__device__ float f(float x, float y) { for (int i = 0; i < 5; i++) { if (x > 1.5f) { x -= 1; continue; } if (y > i * 0.3f) { y -= 0.2f; if (y < 0.1f) return x * y; break; } x += 0.3f; } return x + y; }

// === alias
__device__ void add(float& a, float& b) { a += b; b += a; a *= b; }
__device__ float f(float x, float y) { add(x, x); add(x, y); return x - y; }

// === aliasptr
__device__ void add(float* a, const float* b) { for (int i = 0; i < 2; i++) { a[i] += b[0]; } }
__device__ float f(float x, float y) { float v[2] = {x, y}; add(v, v); float u[3] = {v[0], v[1], 1.f}; add(u + 1, u + 1); v[1] = u[2]; return v[0] - v[1]; }

// === ptrwalk
__device__ float f(float x, float y) { float v[4] = {x, y, x + y, x * y}; float* p = v; float s = *p++; s += *p; *p++ = s; s -= *p--; s *= p[1]; p += 2; s += p[-1] + *(p - 2) + p[1 - 1]; return s + (p - 1)[0]; }

// === structcopy
struct P { float a; float b[2]; };
__device__ void change(P p) { p.a = 7; p.b[0] = 9; }
__device__ void change2(P& p) { p.a *= 2; p.b[1] += p.a; }
__device__ float f(float x, float y) { P p{x, {y, 1}}; P q = p; q.b[0] = 3; change(p); change2(q); P& r = p; r.a += q.b[1]; P t = r; r.b[0] = t.a; return p.a + 2 * p.b[0] + 3 * q.a + 5 * q.b[0] + 7 * q.b[1] + t.b[0]; }

// === refalias
__device__ float f(float x, float y) { float& a = x; float& b = a; b += y; float c = a; a = c * y; return x + b; }

// === refarray
__device__ float f(float x, float y) { float v[3] = {x, y}; float& e = v[2]; e = v[0] + v[1]; v[2] *= 2; int i = 0; float& g = v[i]; i = 1; g = e; return v[0] + v[i] + v[2]; }

// === constarr
__device__ const int OFF[2][3] = {{1, 2, 3}, {4, 5}};
__device__ float f(float x) { constexpr float w[] = {0.5f, 2, 3.f}; float s = 0; for (int i = 0; i < 2; i++) for (int j = 0; j < 3; j++) s += OFF[i][j] * w[j] * x; return s; }

// === ternary
__device__ float f(float x, float y) { return x > 0 ? y > 0 ? 1 + x : 2 * y : x < -1 ? 3 : y > 1 ? x : 4.5f; }

// === tempdefault
template <int N = 3, typename T = float> __device__ T g(T x) { T s = 0; for (int i = 0; i < N; i++) s += x; return s; }
__device__ float f(float x) { return g(x) + g<2>(x) + g<1, float>(x) + g<2, int>(1.9f); }

// === tempdeduce
template <typename T> __device__ T half(T x) { return x / 2; }
__device__ float f(float x) { return half(3) + half(3.f) + half(x) + half<int>(7.9f); }

// === overload
__device__ float g(int x) { return 1; }
__device__ float g(float x) { return 2 * x; }
__device__ float f(float x) { return g(1) + g(1.f) + g(x) + g(x > 0) * 100 + g(true); }

// === defaultarg
__device__ float g(float a, float b = 2, int c = 3 / 2) { return a * b + c; }
__device__ float f(float x) { return g(x) + g(x, x) + g(x, 1, 7); }

// === notfloat
__device__ float f(float x, float y) { return !x + !!y + (!(x > y)) * 2; }

// === chained
__device__ float f(float x, float y) { float a, b; a = b = x + y; a += b *= 2; int k; float z = k = 2.9f; return a - b * z; }

// === cmpchain
__device__ float f(float x, float y) { return (0 < x < y) + 2 * (x == y == 0); }

// === powint
__device__ float f(float x, float y) { return powf(x, 2) + pow(x, 3.0) + powf(2.f, y) + powf(fabsf(x), y) + exp2f(x) + copysignf(y, x) + fabs(x) + abs(-3) ; }

// === minint
__device__ float f(float x) { int a = 3; unsigned b = 5u; return min(a, 2) * x + max(b, 2u) + min(2, a) / 2; }

// === vecswizzle
__device__ float f(float x, float y) { float4 v = make_float4(x, y, 1.f, 2.f); float3 w = {v.x, v.w, v.z}; v.y += w.y; return v.x * v.y + w.z; }

// === glmorder
__device__ float f(glm::vec3 v, glm::mat3 m) { glm::vec3 a = m * v; glm::vec3 b = v * m; a *= 2; a -= b; m[1] = a; m[0][2] = b.x; return glm::dot(a, b) + m[1][2] + m[2].x; }

// === staticconst
__device__ float f(float x) { static const float k = 2.5f; const static int n = 3; return x * k + n; }

// === forempty
__device__ float f(float x) { int i = 0; for (;;) { if (i >= 3) break; x += i++; } return x; }

// === forcomma
__device__ float f(float x) { float s = 0; for (int i = 4; i--;) s += i * x; return s; }

// === returnvoid
__device__ void f(float x, float& y, float& z) { y = x; if (x > 1) return; z = 2 * x; y = z; if (x < 0) { z = 7; return; } z += 1; }

// === outread
__device__ void f(float x, float* out) { out[0] = x; out[1] = out[0] * 2; out[2] = 0; out[2] += out[1]; out[0] -= 1; }

// === evalorder
__device__ float h(float& a) { a += 1; return a; }
__device__ float f(float x) { float y = h(x) * 2; y += h(x); return x + y; }

// === method
struct Acc { float s; __device__ void add(float x) { s += x; } __device__ Acc& twice() { s *= 2; return *this; } __device__ float get() const { return s; } };
__device__ float f(float x) { Acc a{x}; a.add(2); a.twice().add(x); Acc b = a; b.twice(); return a.get() + 10 * b.s; }

// === nestedfn
__device__ float g(float x) { if (x > 1) return x; x *= 2; return -x; }
__device__ float f(float x) { return g(g(x)) + x; }

// === divbyint
__device__ float f(float x) { int n = 3; return x / n + n / 2 * x + 1 / n * x + x * n / 2; }

// === doubleflt
__device__ float f(float x) { double d = x; d = d * 0.1 + 1e-9; float r = d; return r * 3.0 + 1.0f / 3; }

// === dangling
__device__ float f(float x, float y) { if (x > 0) if (y > 0) x = 1; else x = 2; return x; }

// === ifconstexpr
template <int N> __device__ float g(float x) { if constexpr (N > 2) return x * N; else return x; }
__device__ float f(float x) { return g<3>(x) + g<1>(x); }

// === refreturn
__device__ float& pick(float* v, int i) { return v[i]; }
__device__ float& bigger(float& a, float& b) { a += 1; return a; }
__device__ float f(float x, float y) { float v[3] = {x, y, 1}; pick(v, 1) = 5; pick(v, 0) += pick(v, 1) * x; float& r = pick(v, 2); r = 7; bigger(x, y) *= 2; return v[0] + 2 * v[1] + 3 * v[2] + x; }

// === tmploverload
template <class T> __device__ float g(T x) { return 1; }
__device__ float g(float x) { return 2; }
__device__ float f(float x) { return g(x) * x + g(1) * 10; }

// === tmplrec
template <int N> __device__ float fact(float x) { if constexpr (N <= 1) return x; else return N * fact<N - 1>(x) + 1; }
__device__ float f(float x) { return fact<4>(x); }

// === constshadow
__device__ const float K = 2;
__device__ float g(float x) { return K * x; }
__device__ float f(float x) { const float K = 5; { const float K = x; x += K; } return g(x) + K; }

// === intloopfloat
__device__ float f(float x) { float s = 0; for (float t = 0; t < 1.f; t += 0.25f) s += t * x; for (int i = 10; i > 0; i /= 3) s += i; for (int i = 1; i < 20; i *= 3) s -= i * x; return s; }

// === loopvarchanged
__device__ float f(float x) { float s = 0; for (int i = 0; i < 8; i++) { if (i == 3) i = 5; s += i * x; } return s; }

// === constfold
__device__ float f(float x) { const int n = 7; const float h = n / 2; const int q = n / 2.0; return x * h + q + n % 4 * x - n / 2 * 2; }

// === ternmix
__device__ float f(float x, float y) { int k = x > y ? 1.9f : 2; float g = x > 0 ? 1 : y; double d = x > y ? 3 : 1.5; return k + g + d; }

// === uintarith
__device__ float f(float x) { unsigned a = 7, b = 3; int c = -2; return (a - b) * x + a / b + a % b + (int)(a - b) * c; }

// === uintfloat
__device__ float f(float x) { unsigned a = 7; return x * a - 3 + (x - a) / a; }

// === negmod
__device__ float f(float x) { float s = 0; for (int i = -3; i <= 3; i++) s += (i % 3) * x + i / 2; return s; }

// === hexfloat
__device__ float f(float x) { return x * 0xFF + 1e-3f + 1.e2 + .5e1f + 1E+2f + 0XAu; }

// === arrpass
__device__ void g(float a[3]) { a[0] = 9; a = a + 1; a[0] = 8; }
__device__ float f(float x) { float v[3] = {x, x, x}; g(v); return v[0] + 2 * v[1] + 3 * v[2]; }

// === ptrptr
__device__ float f(float x, float y) { float* p = &x; float* q = &y; float* t = p; p = q; q = t; *p += 1; *q *= 3; return x - y + (p == &y) + (p != q); }

// === structarr
struct S { float v[2]; int n; };
__device__ float f(float x, float y) { S s[2] = {{{x, y}, 1}, {{1}}}; s[1] = s[0]; s[1].v[0] += 5; s[s[0].n].v[1] *= 2; S* p = s; p++; p->n = 4; return s[0].v[0] + 3 * s[1].v[0] + s[1].v[1] * s[1].n + s[0].n; }

// === usingns
namespace q { struct P { float a; }; __device__ float g(P p) { return p.a; } }
using namespace q;
__device__ float f(float x) { P p{x}; return g(p) * 2; }

// === elseif
__device__ float f(float x, float y) { float s; if (x > 1) s = 1; else if (x > 0) { s = y; if (y > 1) s += 1; } else if (y > 0) s = 2 * y; else s = 3; return s; }

// === nestedreturn
__device__ float g(float x, float y) { for (int i = 0; i < 3; i++) { if (x > i) { if (y > i) return i + x; else continue; } for (int j = 0; j < 2; j++) if (y * j > 0.5f) return -y; } return 7; }
__device__ float f(float x, float y) { return g(x, y) + 2 * g(y, x); }

// === breakinner
__device__ float f(float x) { float s = 0; for (int i = 0; i < 3; i++) { for (int j = 0; ; j++) { if (j > i) break; s += x; } if (i == 1) break; s += 1; } return s; }

// === switchreturn
__device__ float g(float x, int m) { switch (m) { case 0: return x; case 1: if (x > 0) break; return 2; default: return 3; } return 4 * x; }
__device__ float f(float x) { return g(x, 0) + 10 * g(x, 1) + 100 * g(x, 2); }

// === switchdecl
__device__ float f(float x) { float s = 0; switch (1) { case 0: { float t = 2; s = t; } break; case 1: { float t = x; s = t * t; break; } case 2: s = 9; } return s; }

// === maxorder
__device__ float f(float x, float y) { float n = sqrtf(x); return max(n, y) + (n > y ? n : y); }

// === clampf
__device__ float f(float x, float y) { return fmaxf(0.2f, fminf(x, 0.7f)) + min(max(y, -0.5f), 0.5f); }

// === ctorcopy
struct Copied { float a; __device__ Copied(float x) : a(2 * x) {} };
__device__ float f(Copied c) { Copied d = c; d.a += 1; return d.a * c.a; }

// === opeq
struct C { float a; };
__device__ bool operator==(const C& l, const C& r) { return l.a > r.a; }
__device__ bool operator<(const C& l, float r) { return l.a > r; }
__device__ float f(float x, float y) { C c{x}, d{y}; return (c == d ? 1 : 2) * x + (c < 0.f ? 10 : 20); }

// === opminus
struct C { float a; __device__ C operator-() const { return {7 * a}; } __device__ C operator+(C o) const { return {a * o.a}; } };
__device__ float f(float x, float y) { C c{x}, d{y}; return (-c).a + (c + d).a; }

// === vecptr
__device__ float f(glm::vec3 v) { float* p = &v.x; p[1] = 5; p[2] *= 2; return v.x + v.y + v.z; }

// === structptr
struct S { float a, b; };
__device__ float f(float x, float y) { S s{x, y}; float* p = &s.a; float* q = &s.b; *p = 2 * *q; S* t = &s; (*t).b += t->a; return s.a + s.b; }

// === intin
__device__ float f(float x, int n) { return x * n + (n > 2 ? 1.f : 0.f) + (float)n * 0.5f; }

// === intin2
__device__ float f(float x, int n) { return x / n + 1.f / n; }

// === intin3
__device__ float f(float x, int n, int m) { return x * (n * m - 1) + (n < m) + (n == m) + min(n, m); }

// === intint
__device__ float f(float x, int n) { int a = n; a *= 0.5f; return a * x; }

// === intbool
__device__ float f(float x, int n) { bool b = n - 2; return b ? x : 3.f; }

// === inttopos
__device__ float f(float x, int n) { int k = n * 1.5f; return k + x; }

// === volatile_
__device__ float f(float x) { volatile float y = x; y = y * 2; return y; }

// === restrict_
__device__ void f(const float* __restrict__ a, float* __restrict__ b) { b[0] = a[0]; b[1] = a[1] * b[0]; }

// === outalias
__device__ void f(float& a, float& b) { a += b; b += a; }

// === outpartial
__device__ void f(float x, float* out) { for (int i = 0; i < 4; i++) { if (i % 2) continue; out[i] = x * i; } }

// === outcond
__device__ void f(float x, float* out) { if (x > 0) { out[1] = x; return; } out[0] = 2 * x; }

// === outaccum
__device__ void f(float x, float& o, float* v) { for (int i = 0; i < 3; i++) { o -= x * i; v[i] -= x; v[i] += o; } }

// === commafor
__device__ float f(float x) { float s = 0; int i, j; for (i = 0, j = 3; i < j; ++i, --j) s += x * i + j; return s + i; }

// === prepost
__device__ float f(float x) { float a[4] = {x, 1, 2, 3}; int i = 0; a[++i] = 5; a[i++] = 6; a[i--] += 1; float b = a[i++]; return a[0] + 2 * a[1] + 3 * a[2] + b + i; }

// === constexprfn
constexpr __device__ int sq(int n) { return n * n; }
template <int N> __device__ float g(const float (&v)[N]) { float s = 0; for (float e : v) s += e; return s * N; }
__device__ float f(float x) { float v[sq(2)] = {x, x, 1}; for (auto& e : v) e *= 2; for (auto e : v) e += 100; return g(v); }

// === autoint
__device__ float f(float x) { auto a = 3; auto b = 3.f; auto c = a / 2; auto d = b / 2; auto e = 1 > 0; return x * c + d + e; }

// === vla
enum { N0 = 2, N1 = N0 + 1 };
__device__ float f(float x) { float v[N1] = {x, x}; int n = N0; v[n] = n; return v[0] + v[2] * N1; }

// === longdouble
__device__ float f(float x) { return x * 1.0L + 2LL + 3UL + 4ull; }

// === math2
__device__ float f(float x, float y) { return atan2f(y, x) + hypotf(x, y) + cbrtf(x) + expm1f(x) + log1pf(fabsf(y)) + erff(x) + sinhf(x) + fdimf(x, y) + fmaf(x, y, 2) + __fdividef(x, 2.f) + rsqrtf(fabsf(x) + 1); }

// === pown
__device__ float f(float x) { return powf(x, 3) + powf(fabsf(x), 0.5f) + powf(2.f, 3.f) + powf(x, -1) + powf(-2.f, 3.f); }

// === selfinit
__device__ float f(float x) { float y = 2, z = y * x, w = z + y; return w; }

// === sgn
__device__ float f(float x) { return (x > 0) - (x < 0) + (x >= 0.5f) * 2.f - (x != 0); }

// === notand
__device__ float f(float x, float y) { return !(x > 0 && y > 0) || x > y && y < 1 ? x : y; }

// === ifdef
#ifdef FAST
#define SC 2.f
#else
#define SC 3.f
#endif
__device__ float f(float x) { return x * SC; }

// === if0
#if 0
__device__ float g(float x) { return 5 * x; }
#else
__device__ float g(float x) { return 2 * x; }
#endif
__device__ float f(float x) { return g(x); }

// === ifelse
#define LEVEL
#if defined(FAST) && defined(LEVEL)
typedef double kind;
#elif !defined(LEVEL) || 0
typedef int kind;
#elif defined(LEVEL)
typedef float kind;
#endif
__device__ float f(float x) { kind y = x * 1.5f; return y; }
