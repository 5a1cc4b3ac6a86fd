// What C++ leaves open, or what is not read: one function f a section, with words of the sentence that refuses it.

// === unsignedwrap: an unsigned number at <cuda>:1 cannot be derived: it wraps around at -1
__device__ float f(float x) { unsigned int u = 3; int k = -1; return (k < u) ? x : 2 * x; }

// === unsignedcmp2: an unsigned number at <cuda>:1 cannot be derived: it wraps around at -1
__device__ float f(float x) { unsigned int u = 3; float s = 0; for (unsigned int i = u; i < 4; i--) { s += x; } return s; }

// === unsignedminus: an unsigned number at <cuda>:1 cannot be derived: it wraps around at -2
__device__ float f(float x) { unsigned int u = 3; return x * (u - 5 > 0 ? 1 : 2); }

// === negunsigned: an unsigned number at <cuda>:1 cannot be derived: it wraps around at -3
__device__ float f(float x) { unsigned int u = 3; return x * -u; }

// === castneg: an unsigned number at <cuda>:1 cannot be derived: it wraps around at -1
__device__ float f(float x) { unsigned int u = (unsigned int)(-1); return x + u; }

// === compoundorder: 'i' at <cuda>:1 cannot be derived: it is changed and used in one expression, in whichever order
__device__ float f(float x, float y) { float a[3] = {x, y, x * y}; int i = 0; a[i++] += a[i]; a[i] *= a[++i]; return a[0] + 2 * a[1] + 3 * a[2] + i; }

// === shortcircuit: operator && at <cuda>:2 cannot be derived: it changes a variable under a condition
__device__ bool bump(float& x) { x += 1.f; return true; }
__device__ float f(float x, float y) { if (x > 0.5f && bump(y)) { x = y; } if (true || bump(y)) x += y; if (false && bump(y)) x += 100; return x * y; }

// === comma: <cuda>:1: f is not read as C++ from '+= 1' on
__device__ float f(float x, float y) { float a = (x += 1, y *= x, x + y); for (int i = 0, j = 5; i < j; i++, j--) a += i * x - j * y; return a; }

// === commaargs: <cuda>:2: f is not read as C++ from 'x,' on
__device__ float g(float a, float b) { return a - 2 * b; }
__device__ float f(float x, float y) { return g((x, y), (y = x, x)) + y; }

// === dowhile: do at <cuda>:1 cannot be derived: it is not read
__device__ float f(float x) { int n = 0; do { x *= 2; n++; } while (n < 3); return x; }

// === ternaryint: / of whole numbers at <cuda>:1 cannot be derived: they depend on data
__device__ float f(float x, float y) { float a = (x > 0 ? 1 : 2) / 2; float b = (x > 0 ? 1 : 2.f) / 2; return a + 10 * b; }

// === ternarylv: (x > y ? x : y) at <cuda>:1 cannot be derived: it is assigned to, and is no variable
__device__ float f(float x, float y) { (x > y ? x : y) += 1; return x * 10 + y; }

// === macroargs: macro SQ() at <cuda>:2 cannot be derived: macros with parameters are not read
#define SQ(a) a * a
__device__ float f(float x, float y) { return SQ(x + y); }

// === macroexpr: macro TWO at <cuda>:3 cannot be derived: its text, 1 + 1, has no parentheses, and stands among operators
#define TWO 1 + 1
#define HALF 1 / 2
__device__ float f(float x) { return x * TWO + HALF * x; }

// === macroneg: macro B at <cuda>:4 cannot be derived: its text, A*2, has no parentheses, and stands among operators
#define NEG -1
#define A 3
#define B A*2
__device__ float f(float x) { return x-NEG + B*x / B; }

// === macroredef: 'K' at <cuda>:2 cannot be derived: it is defined twice, and differently
#define K 2
__device__ float g(float x) { return K * x; }
#undef K
#define K 3
__device__ float f(float x) { return g(x) + K * x; }

// === inc: 'i' at <cuda>:1 cannot be derived: it is changed and used in one expression, in whichever order
__device__ float f(float x) { int i = 3; int a = i++ * 2 + i; int b = --i - i--; float y = x; y++; --x; return a * x + b * y + i; }

// === boolarith: operator ^ at <cuda>:1 cannot be derived: bits of a number that depends on data are not read
__device__ float f(float x, float y) { bool a = x > y; int b = a + (x > 0) + !a; bool c = 2; float d = c; bool e = x; return b + d * x + e + (a == true) + (a & (y > 0)) + (a | (y > 1)) + (a ^ (x > 1)); }

// === boolassign: operator ^ at <cuda>:1 cannot be derived: bits of a number that depends on data are not read
__device__ float f(float x, float y) { bool v = true; v &= x > 0; v |= y > 1; v ^= x > 1; return v ? x : y; }

// === intoverflow: a whole number at <cuda>:1 cannot be derived: it is beyond 32 bits, at 10000000000
__device__ float f(float x) { int a = 100000; return x * (a * a); }

// === sizet: an unsigned number at <cuda>:1 cannot be derived: it wraps around at -1
__device__ float f(float x) { size_t n = 0; return x * (n - 1 > 5 ? 1 : 2); }

// === shiftneg: operator ~ at <cuda>:1 cannot be derived: it is not read
__device__ float f(float x) { int a = -8; return x * (a >> 1) + (a & 3) + (~a) + (-a >> 2); }

// === arraysz: sizeof at <cuda>:1 cannot be derived: it is not read
__device__ float f(float x) { float a[3] = {}; float b[2] = {x}; int n = sizeof(a) / sizeof(a[0]); return n * x + b[1] + a[2]; }

// === arr2d: 'r' at <cuda>:1 cannot be derived: nothing defines it
__device__ float f(float x, float y) { float m[2][2] = {{x, y}, {1, 2}}; float (*r)[2] = m; float* p = m[1]; p[0] = x; return m[0][1] * m[1][0] + p[1] + r[1][1]; }

// === whiletrue: while at <cuda>:1 cannot be derived: it is not read
__device__ float f(float x) { int i = 0; while (true) { if (++i > 3) break; x *= 2; } return x; }

// === constref: 'x' at <cuda>:2 cannot be derived: it is changed and used in one expression, in whichever order
__device__ float g(const float& a, float& b) { b = 5; return a; }
__device__ float f(float x) { return g(x, x) + x; }

// === initself: 'a' at <cuda>:2 cannot be derived: nothing defines it
struct Q { float a = 1; float b = a * 2; };
__device__ float f(float x) { Q q; q.a = x; return q.b * q.a; }

// === ifassign: declaration at <cuda>:1 cannot be derived: it is not read
__device__ float f(float x) { float y; if ((y = x * 2) > 1) x = y; if (float z = x - y) x += z; return x; }

// === refchain: 'a' at <cuda>:2 cannot be derived: it is changed and used in one expression, in whichever order
__device__ glm::vec3& add(glm::vec3& a, const glm::vec3& b) { a += b; return a; }
__device__ float f(glm::vec3 a, glm::vec3 b) { add(add(a, b), a) *= 2.f; glm::vec3 c = add(b, a); c.x = 100; add(b, b).y = 3; return a.x + b.x + 2 * b.y + c.x; }

// === opplus: (w += v) at <cuda>:6 cannot be derived: it is assigned to, and is no variable
struct V { float a, b; };
__device__ V operator+(V l, V r) { return {l.a + r.a, l.b + r.b}; }
__device__ V operator-(V l) { return {-l.a, -l.b}; }
__device__ V& operator+=(V& l, const V& r) { l.a += r.a; l.b += r.b; return l; }
__device__ V operator*(float s, V r) { return {s * r.a, s * r.b}; }
__device__ float f(float x, float y) { V v{x, y}; V w = v + 2 * v; (w += v) += w; w = -w; V z = w; z += z; return w.a - 3 * w.b + z.a; }

// === overloadunsigned: a character at <cuda>:4 cannot be derived: it is not read
__device__ float g(int x) { return 1; }
__device__ float g(unsigned x) { return 2; }
__device__ float g(bool x) { return 3; }
__device__ float f(float x) { return g(1) * x + 10 * g(1u) + 100 * g(x > 0) + 1000 * g('a'); }

// === overloadconst: g() at <cuda>:3 cannot be derived: two functions of this name fit the arguments
__device__ float g(const float* p) { return 1; }
__device__ float g(float* p) { return 2; }
__device__ float f(float x) { float a[2] = {x, 1}; const float b[2] = {1, 2}; return x * g(a) + 10 * g(b); }

// === tmplspec: g() at <cuda>:3 cannot be derived: it has a specialization, which is not read
template <int N> __device__ float g(float x) { return N * x; }
template <> __device__ float g<2>(float x) { return -x; }
__device__ float f(float x) { return g<1>(x) + g<2>(x) + g<3>(x); }

// === namespaces: g() at <cuda>:3 cannot be derived: two functions of this name fit the arguments
namespace a { __device__ float g(float x) { return 2 * x; } const float C = 3; }
namespace b { __device__ float g(float x) { return 5 * x; } const float C = 7; }
__device__ float f(float x) { return a::g(x) + b::g(x) + a::C * b::C; }

// === namespaces2: h() at <cuda>:3 cannot be derived: two functions of this name fit the arguments
namespace b { __device__ float h(float x) { return 5 * x; } }
__device__ float h(float x) { return 2 * x; }
__device__ float f(float x) { return h(x) + b::h(x); }

// === uintmix: an unsigned number at <cuda>:1 cannot be derived: it wraps around at -2
__device__ float f(float x) { unsigned a = 7; int c = -2; return x * (a * c); }

// === uintdiv: an unsigned number at <cuda>:1 cannot be derived: it wraps around at -14
__device__ float f(float x) { unsigned a = 7; return x * (-14 / a); }

// === uchar: type unsigned char at <cuda>:1 cannot be derived: it is not known
__device__ float f(float x) { unsigned char c = 250; c += 10; return x * c; }

// === short: type short at <cuda>:1 cannot be derived: it is not known
__device__ float f(float x) { short c = 32767; c++; return x * c; }

// === int64shift: a whole number at <cuda>:1 cannot be derived: it is beyond 32 bits, at 2147483648
__device__ float f(float x) { return x * (1 << 31 >> 31) + (1u << 3); }

// === ptrif: a choice between two pointers at <cuda>:1 cannot be derived: which memory is meant depends on data
__device__ float f(float x, float y) { float* p = x > y ? &x : &y; *p = 3; return x + 2 * y; }

// === structeq: a list in braces at <cuda>:3 cannot be derived: b holds a value of its own where none is given
struct S { float a; float b = 4; };
__device__ S mk(float x) { S s; s.a = x; return s; }
__device__ float f(float x) { S t = mk(x), u{x}; S w = {1, 2}; t.b += u.b; w = t; t.a = 0; auto z = mk(3); auto& y = z; y.a++; return t.a + w.a * 2 + w.b + z.a; }

// === inheritance: .a at <cuda>:3 cannot be derived: B has no such field
struct A { float a; };
struct B : A { float b; };
__device__ float f(float x) { B v; v.a = x; v.b = 2; return v.a * v.b; }

// === ctor: the constructor of C at <cuda>:2 cannot be derived: it is not read
struct C { float a; __device__ C(float x) : a(2 * x) {} };
__device__ float f(float x) { C c(x); return c.a; }

// === defaultctor: the constructor of C at <cuda>:2 cannot be derived: it is not read
struct C { float a; __device__ C() { a = 5; } };
__device__ float f(float x) { C c; return c.a + x; }

// === privatestatic: g() at <cuda>:2 cannot be derived: nothing defines it
struct C { static constexpr float K = 3; float a; __device__ static float g(float x) { return K * x; } };
__device__ float f(float x) { return C::g(x) + C::K; }

// === signzero: a division by 0 at <cuda>:1 cannot be derived: the divisor is the number 0
__device__ float f(float x) { float z = 0 * x; return 1 / (z + 0.f) > 0 ? 1 : 2; }

// === ctorbrace: the constructor of C at <cuda>:2 cannot be derived: it is not read
struct C { float a; __device__ C(float x) : a(2 * x) {} };
__device__ float f(float x) { C c{x}; return c.a; }

// === ctorret: the constructor of C at <cuda>:2 cannot be derived: it is not read
struct C { float a; __device__ C(float x) : a(2 * x) {} };
__device__ C g(float x) { return {x}; }
__device__ float f(float x) { return g(x).a; }

// === ctorimplicit: a part of a number at <cuda>:2 cannot be derived: it has no parts
struct C { float a; __device__ C(float x) : a(2 * x) {} };
__device__ float g(C c) { return c.a; }
__device__ float f(float x) { return g(x); }

// === ctordefault: the constructor of C at <cuda>:2 cannot be derived: it is not read
struct C { float a = 1; __device__ C() { a = 5; } };
__device__ float f(float x) { C c; return c.a + x; }

// === opcall: c() at <cuda>:2 cannot be derived: nothing defines it
struct C { float a; __device__ float operator()(float x) const { return a * x; } __device__ float operator[](int i) const { return a + i; } };
__device__ float f(float x) { C c{x}; return c(2) + c[3]; }

// === opconv: operator + of C and a number at <cuda>:2 cannot be derived: the source defines no such operator
struct C { float a; __device__ operator float() const { return 2 * a; } };
__device__ float f(float x) { C c{x}; return c + 1.f; }

// === opassign: operator = of C at <cuda>:2 cannot be derived: it is defined by the struct, and not read
struct C { float a; __device__ C& operator=(const C& o) { a = 3 * o.a; return *this; } };
__device__ float f(float x) { C c{x}, d{1}; d = c; return d.a; }

// === oplog: a condition at <cuda>:3 cannot be derived: it is no number
struct C { float a; };
__device__ C operator&&(C l, C r) { return {l.a + r.a}; }
__device__ float f(float x, float y) { C c{x}, d{y}; return (c && d).a; }

// === memberop: operator + of C and a number at <cuda>:2 cannot be derived: the source defines no such operator
struct C { float a; __device__ C& operator+=(float o) { a += 2 * o; return *this; } __device__ C& operator++() { a += 10; return *this; } };
__device__ float f(float x, float y) { C c{x}; c += y; ++c; return c.a; }

// === reinterpret: a constructor at <cuda>:1 cannot be derived: a pointer is not read from these arguments
__device__ float f(float x) { float v[2] = {x, 1}; float2* p = (float2*)v; return p->x + p->y; }

// === vecarr: a cast of a pointer at <cuda>:1 cannot be derived: the memory is read as of another type
__device__ float f(float4 v) { float* p = (float*)&v; p[1] += 3; return v.x * v.y + p[3]; }

// === uintin: an unsigned number at <cuda>:1 cannot be derived: it may wrap around
__device__ float f(float x, unsigned n) { return x * (n - 3); }

// === uintin2: an unsigned number at <cuda>:1 cannot be derived: it may wrap around
__device__ float f(float x, unsigned n) { return n - 3 > 0 ? x : 2 * x; }

// === uintin3: an unsigned number at <cuda>:1 cannot be derived: it wraps around
__device__ float f(float x, unsigned n) { return x * -n; }

// === uintin4: an unsigned number at <cuda>:1 cannot be derived: it is made of one that may be below 0
__device__ float f(float x, unsigned n, int k) { return k - 3 < n ? x : 2 * x; }

// === condassign: operator ?: at <cuda>:1 cannot be derived: it changes a variable under a condition
__device__ float f(float x, float y) { float z = y; x > 0 ? z = x : z = 2; return z; }

// === stringify: macro CAT() at <cuda>:2 cannot be derived: macros with parameters are not read
#define CAT(a,b) a##b
__device__ float f(float xy) { return CAT(x, y) * 2; }

// === ifdefbody: preproc ifdef at <cuda>:2 cannot be derived: it is not read
__device__ float f(float x) {
#ifdef FAST
  x *= 2;
#endif
  return x; }

// === ifcuda: 'SC' at <cuda>:6 cannot be derived: it is defined twice, and differently
#if __CUDA_ARCH__ >= 800
#define SC 2.f
#else
#define SC 3.f
#endif
__device__ float f(float x) { return x * SC; }
