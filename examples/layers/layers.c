// The layers of a transformer as loops over sizes, forward and backward; memory is flat, and gradients are added to what is there.
#include <math.h>
#include <stddef.h>

// -- embedding: a row of table for each token, and a row of place for each position ------------------------------------

void embed(float *out, const int *token, const float *table, const float *place, int B, int T, int C) {
    for (int b = 0; b < B; b++) {
        for (int t = 0; t < T; t++) {
            const float *row = table + token[b * T + t] * C;
            for (int c = 0; c < C; c++) {
                out[(b * T + t) * C + c] = row[c] + place[t * C + c];
            }
        }
    }
}

void embed_backward(float *dtable, float *dplace, const float *dout, const int *token, int B, int T, int C) {
    for (int b = 0; b < B; b++) {
        for (int t = 0; t < T; t++) {
            float *row = dtable + token[b * T + t] * C;
            const float *g = dout + (b * T + t) * C;
            for (int c = 0; c < C; c++) {
                row[c] += g[c];
                dplace[t * C + c] += g[c];
            }
        }
    }
}

// -- layer norm --------------------------------------------------------------------------------------------------------

void norm(float *out, float *mean, float *rstd, const float *x, const float *weight, const float *bias, int N, int C) {
    const float eps = 1e-5f;
    for (int n = 0; n < N; n++) {
        const float *row = x + n * C;
        float sum = 0.0f, squares = 0.0f;
        for (int c = 0; c < C; c++) {
            sum += row[c];
        }
        float mu = sum / C;
        for (int c = 0; c < C; c++) {
            squares += (row[c] - mu) * (row[c] - mu);
        }
        float r = 1.0f / sqrtf(squares / C + eps);
        for (int c = 0; c < C; c++) {
            out[n * C + c] = (row[c] - mu) * r * weight[c] + bias[c];
        }
        mean[n] = mu;
        rstd[n] = r;
    }
}

void norm_backward(float *dx, float *dweight, float *dbias, const float *dout, const float *x, const float *weight,
                   const float *mean, const float *rstd, int N, int C) {
    for (int n = 0; n < N; n++) {
        const float *row = x + n * C, *g = dout + n * C;
        float of_g = 0.0f, of_gx = 0.0f;
        for (int c = 0; c < C; c++) {
            of_g += g[c] * weight[c];
            of_gx += g[c] * weight[c] * (row[c] - mean[n]) * rstd[n];
        }
        for (int c = 0; c < C; c++) {
            float unit = (row[c] - mean[n]) * rstd[n];
            dbias[c] += g[c];
            dweight[c] += g[c] * unit;
            dx[n * C + c] += (g[c] * weight[c] - of_g / C - unit * of_gx / C) * rstd[n];
        }
    }
}

// -- linear ------------------------------------------------------------------------------------------------------------

void linear(float *out, const float *x, const float *weight, const float *bias, int N, int C, int O) {
    for (int n = 0; n < N; n++) {
        for (int o = 0; o < O; o++) {
            float sum = bias != NULL ? bias[o] : 0.0f;
            for (int c = 0; c < C; c++) {
                sum += x[n * C + c] * weight[o * C + c];
            }
            out[n * O + o] = sum;
        }
    }
}

void linear_backward(float *dx, float *dweight, float *dbias, const float *dout, const float *x, const float *weight, int N,
                     int C, int O) {
    for (int n = 0; n < N; n++) {
        for (int o = 0; o < O; o++) {
            float g = dout[n * O + o];
            for (int c = 0; c < C; c++) {
                dx[n * C + c] += g * weight[o * C + c];
            }
        }
    }
    for (int o = 0; o < O; o++) {
        for (int n = 0; n < N; n++) {
            float g = dout[n * O + o];
            if (dbias != NULL) {
                dbias[o] += g;
            }
            for (int c = 0; c < C; c++) {
                dweight[o * C + c] += g * x[n * C + c];
            }
        }
    }
}

// -- gelu, residual ----------------------------------------------------------------------------------------------------

#define SLOPE sqrtf(2.0f / M_PI)

void gelu(float *out, const float *x, int N) {
    for (int i = 0; i < N; i++) {
        float cube = 0.044715f * x[i] * x[i] * x[i];
        out[i] = 0.5f * x[i] * (1.0f + tanhf(SLOPE * (x[i] + cube)));
    }
}

void gelu_backward(float *dx, const float *x, const float *dout, int N) {
    for (int i = 0; i < N; i++) {
        float cube = 0.044715f * x[i] * x[i] * x[i];
        float t = tanhf(SLOPE * (x[i] + cube));
        float grows = 1.0f - t * t;
        float local = 0.5f * (1.0f + t) + 0.5f * x[i] * grows * SLOPE * (1.0f + 3.0f * 0.044715f * x[i] * x[i]);
        dx[i] += local * dout[i];
    }
}

void residual(float *out, const float *a, const float *b, int N) {
    for (int i = 0; i < N; i++) {
        out[i] = a[i] + b[i];
    }
}

void residual_backward(float *da, float *db, const float *dout, int N) {
    for (int i = 0; i < N; i++) {
        da[i] += dout[i];
        db[i] += dout[i];
    }
}

// -- attention: causal, over heads; q, k and v stand one behind the other in a row of x --------------------------------

void attention(float *out, float *score, float *att, const float *x, int B, int T, int C, int NH) {
    int hs = C / NH;
    float scale = 1.0f / sqrtf(hs);
    for (int b = 0; b < B; b++) {
        for (int t = 0; t < T; t++) {
            for (int h = 0; h < NH; h++) {
                const float *q = x + b * T * 3 * C + t * 3 * C + h * hs;
                float *a = att + b * NH * T * T + h * T * T + t * T;
                float *z = score + b * NH * T * T + h * T * T + t * T;
                float largest = -10000.0f;
                for (int s = 0; s <= t; s++) {
                    const float *k = x + b * T * 3 * C + s * 3 * C + h * hs + C;
                    float dot = 0.0f;
                    for (int i = 0; i < hs; i++) {
                        dot += q[i] * k[i];
                    }
                    dot *= scale;
                    if (dot > largest) {
                        largest = dot;
                    }
                    z[s] = dot;
                }
                float total = 0.0f;
                for (int s = 0; s <= t; s++) {
                    float e = expf(z[s] - largest);
                    total += e;
                    a[s] = e;
                }
                for (int s = 0; s < T; s++) {
                    if (s <= t) {
                        a[s] = total == 0.0f ? 0.0f : a[s] / total;
                    } else {
                        a[s] = 0.0f;
                    }
                }
                float *o = out + b * T * C + t * C + h * hs;
                for (int i = 0; i < hs; i++) {
                    o[i] = 0.0f;
                }
                for (int s = 0; s <= t; s++) {
                    const float *v = x + b * T * 3 * C + s * 3 * C + h * hs + 2 * C;
                    for (int i = 0; i < hs; i++) {
                        o[i] += a[s] * v[i];
                    }
                }
            }
        }
    }
}

void attention_backward(float *dx, float *dscore, float *datt, const float *dout, const float *x, const float *att, int B, int T,
                        int C, int NH) {
    int hs = C / NH;
    float scale = 1.0f / sqrtf(hs);
    for (int b = 0; b < B; b++) {
        for (int t = 0; t < T; t++) {
            for (int h = 0; h < NH; h++) {
                const float *a = att + b * NH * T * T + h * T * T + t * T;
                float *da = datt + b * NH * T * T + h * T * T + t * T;
                float *ds = dscore + b * NH * T * T + h * T * T + t * T;
                const float *g = dout + b * T * C + t * C + h * hs;
                const float *q = x + b * T * 3 * C + t * 3 * C + h * hs;
                float *dq = dx + b * T * 3 * C + t * 3 * C + h * hs;
                for (int s = 0; s <= t; s++) {
                    const float *v = x + b * T * 3 * C + s * 3 * C + h * hs + 2 * C;
                    float *dv = dx + b * T * 3 * C + s * 3 * C + h * hs + 2 * C;
                    for (int i = 0; i < hs; i++) {
                        da[s] += v[i] * g[i];
                        dv[i] += a[s] * g[i];
                    }
                }
                for (int s = 0; s <= t; s++) {
                    for (int u = 0; u <= t; u++) {
                        float same = s == u ? 1.0f : 0.0f;
                        ds[u] += a[s] * (same - a[u]) * da[s];
                    }
                }
                for (int s = 0; s <= t; s++) {
                    const float *k = x + b * T * 3 * C + s * 3 * C + h * hs + C;
                    float *dk = dx + b * T * 3 * C + s * 3 * C + h * hs + C;
                    for (int i = 0; i < hs; i++) {
                        dq[i] += k[i] * ds[s] * scale;
                        dk[i] += q[i] * ds[s] * scale;
                    }
                }
            }
        }
    }
}

// -- softmax and cross entropy -----------------------------------------------------------------------------------------

void cross_entropy(float *loss, float *p, const float *logits, const int *target, int N, int V) {
    for (int n = 0; n < N; n++) {
        const float *z = logits + n * V;
        float largest = -INFINITY, total = 0.0f;
        for (int v = 0; v < V; v++) {
            largest = fmaxf(largest, z[v]);
        }
        for (int v = 0; v < V; v++) {
            p[n * V + v] = expf(z[v] - largest);
            total += p[n * V + v];
        }
        for (int v = 0; v < V; v++) {
            p[n * V + v] /= total;
        }
        loss[n] = -logf(p[n * V + target[n]]);
    }
}

void cross_entropy_backward(float *dlogits, const float *dloss, const float *p, const int *target, int N, int V) {
    for (int n = 0; n < N; n++) {
        for (int v = 0; v < V; v++) {
            float hit = v == target[n] ? 1.0f : 0.0f;
            dlogits[n * V + v] += (p[n * V + v] - hit) * dloss[n];
        }
    }
}
