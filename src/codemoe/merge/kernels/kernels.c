/* The inner loops of a merge, over blocks that lie in a core's cache; NumPy takes ten passes where
   one is needed. Every function does what its NumPy twin does, to the last bit: float32, in the
   order of the models, each operation rounded by itself (-ffp-contract=off).

   A block is M rows (models) of n numbers, one after another. */

#include <stdint.h>
#include <string.h>

#define CHUNK 512 /* numbers whose sums stay in the first-level cache */
#define MAGNITUDE 0x7FFFFFFF

/* Sixteen numbers in one or more registers: sums over models stay there. */
typedef float floats __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(64), aligned(4), may_alias));
typedef float eight_floats __attribute__((vector_size(32), aligned(4), may_alias));

static inline floats where(ints mask, floats yes, floats no) {
    return (floats)((mask & (ints)yes) | (~mask & (ints)no));
}

static inline floats only(ints mask, floats yes) { return (floats)(mask & (ints)yes); }

static inline float widened(uint16_t stored) {
    uint32_t bits = (uint32_t)stored << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* At most CHUNK numbers of 1 + M rows, `row` apart, as float32: of the base, and of each model minus
   the base, `delta_row` apart. Not 0 when a stored number is infinite or NaN. */
static uint32_t taken_apart(const uint16_t *restrict raw, int64_t models, int64_t row, int64_t size,
                            float *restrict base, float *restrict deltas, int64_t delta_row) {
    uint32_t broken = 0;
    for (int64_t i = 0; i < size; i++) {
        broken |= (raw[i] & 0x7F80) == 0x7F80;
        base[i] = widened(raw[i]);
    }
    for (int64_t m = 0; m < models; m++) {
        const uint16_t *restrict model = raw + (m + 1) * row;
        float *restrict delta = deltas + m * delta_row;
        for (int64_t i = 0; i < size; i++) {
            broken |= (model[i] & 0x7F80) == 0x7F80;
            delta[i] = widened(model[i]) - base[i];
        }
    }
    return broken;
}

/* 1 + M rows of bfloat16 as float32: the first is the base, which is taken off the others.
   Returns whether any stored number is infinite or NaN. */
int task_vectors(const uint16_t *raw, int64_t models, int64_t n, float *base, float *deltas) {
    uint32_t broken = 0;
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t size = n - at < CHUNK ? n - at : CHUNK;
        broken |= taken_apart(raw + at, models, n, size, base + at, deltas + at, n);
    }
    return broken != 0;
}

/* Of each row, how many magnitudes are above its bracket, and those inside, in order. */
void inside(const int32_t *values, int64_t models, int64_t n, const int32_t *low,
            const int32_t *high, int32_t *found, int64_t *above, int64_t *count) {
    for (int64_t m = 0; m < models; m++) {
        int32_t *out = found + m * n, lowest = low[m], highest = high[m];
        int64_t kept = 0, total = 0;
        for (int64_t at = 0; at < n; at += CHUNK) {
            int64_t size = n - at < CHUNK ? n - at : CHUNK;
            const int32_t *row = values + m * n + at;
            uint8_t is_inside[CHUNK] = {0};
            int32_t beyond = 0;
            for (int64_t i = 0; i < size; i++) {
                int32_t bits = row[i] & MAGNITUDE;
                beyond += bits > highest;
                is_inside[i] = (bits >= lowest) & (bits <= highest);
            }
            total += beyond;
            for (int64_t i = 0; i < size; i += 8) { /* few are inside: most eights have none */
                uint64_t eight;
                memcpy(&eight, is_inside + i, 8);
                for (; eight; eight &= eight - 1)
                    out[kept++] = row[i + (__builtin_ctzll(eight) >> 3)] & MAGNITUDE;
            }
        }
        above[m] = total;
        count[m] = kept;
    }
}

/* Zero what is not among a row's largest: above bits[m], or of those at it one of the first
   equal[m], which is counted down. */
void keep_largest(int32_t *values, int64_t models, int64_t n, const int32_t *bits,
                  int64_t *equal) {
    for (int64_t m = 0; m < models; m++) {
        int32_t *row = values + m * n, cut = bits[m];
        int64_t found = 0;
        if (equal[m] > 0) {
            for (int64_t i = 0; i < n; i++) found += (row[i] & MAGNITUDE) == cut;
        }
        if (found > equal[m]) {
            for (int64_t i = 0; i < n; i++) {
                int32_t own = row[i] & MAGNITUDE;
                if (own == cut ? equal[m]-- <= 0 : own < cut) row[i] = 0;
            }
            equal[m] = 0;
            continue;
        }
        int32_t below = equal[m] > 0 ? cut - 1 : cut;
        for (int64_t i = 0; i < n; i++) row[i] = (row[i] & MAGNITUDE) > below ? row[i] : 0;
        equal[m] -= found;
    }
}

/* Times the factors of bits, the first of which is number `from`: `faces` has the eight factors of
   every byte. */
void flip(float *restrict values, int64_t n, const uint8_t *bits, int64_t from,
          const float *restrict faces) {
    int64_t at = 0;
    for (; at < n && (from + at) % 8; at++)
        values[at] *= faces[8 * bits[(from + at) >> 3] + (from + at) % 8];
    for (; at + 8 <= n; at += 8) {
        *(eight_floats *)(values + at) *= *(const eight_floats *)(faces + 8 * bits[(from + at) >> 3]);
    }
    for (; at < n; at++) values[at] *= faces[8 * bits[(from + at) >> 3] + (from + at) % 8];
}

/* base + scale * (weighted sum of deltas, of those on the elected side only) / divisor.
   elect: 0 no election, 1 on weighted, 2 on unweighted deltas. shares: what each model on the
   elected side adds to the divisor; none: the divisor is `divisor`. */
static inline __attribute__((always_inline)) floats
sixteen(const floats base, const float *deltas, int64_t models, int64_t stride,
        const float *weight, const float *shares, int elect, float divisor, float scale) {
    floats zero = {0}, pos = zero, neg = zero, ayes = zero, noes = zero;
    floats mine = zero, theirs = zero, one = zero + 1.0f;
    for (int64_t m = 0; m < models; m++) {
        floats delta = *(const floats *)(deltas + m * stride);
        if (elect != 2) delta *= weight[m];
        if (elect == 0) {
            pos += delta;
            continue;
        }
        /* Not "above 0": a NaN goes on, into both sums. */
        floats plus = only(~(delta <= zero), delta), minus = only(~(delta >= zero), delta);
        if (elect == 2) {
            ayes += plus;
            noes += minus;
            plus *= weight[m];
            minus *= weight[m];
        }
        pos += plus;
        neg += minus;
        if (shares) {
            floats share = zero + shares[m];
            mine += only(delta > zero, share);
            theirs += only(delta < zero, share);
        }
    }
    floats by = zero + divisor, sum = pos;
    if (elect) {
        ints negates = (elect == 2 ? ayes + noes : pos + neg) < zero;
        sum = where(negates, neg, pos);
        if (shares) {
            by = where(negates, theirs, mine);
            by = where(by == zero, one, by);
        }
    }
    return base + sum / by * scale;
}

static inline __attribute__((always_inline)) void
add_all(const float *base, const float *deltas, int64_t models, int64_t n, const float *weight,
        const float *shares, int elect, float divisor, float scale, float *out) {
    int64_t at = 0;
    for (; at + 16 <= n; at += 16)
        *(floats *)(out + at) = sixteen(*(const floats *)(base + at), deltas + at, models, n,
                                        weight, shares, elect, divisor, scale);
    for (; at < n; at++) { /* what is left, one by one in the first of the sixteen */
        floats own = {base[at]};
        float rows[16 * models];
        memset(rows, 0, sizeof rows);
        for (int64_t m = 0; m < models; m++) rows[16 * m] = deltas[m * n + at];
        out[at] = sixteen(own, rows, models, 16, weight, shares, elect, divisor, scale)[0];
    }
}

void add_up(const float *base, const float *deltas, int64_t models, int64_t n,
            const float *weight, const float *shares, int elect, float divisor, float scale,
            float *out) {
    /* Each with its own constants, which the compiler takes out of the loop. */
    if (elect == 0)
        add_all(base, deltas, models, n, weight, 0, 0, divisor, scale, out);
    else if (elect == 1 && shares)
        add_all(base, deltas, models, n, weight, shares, 1, divisor, scale, out);
    else if (elect == 1)
        add_all(base, deltas, models, n, weight, 0, 1, divisor, scale, out);
    else
        add_all(base, deltas, models, n, weight, shares, 2, divisor, scale, out);
}

/* All of it at once, from 1 + M rows of bfloat16 to the merged numbers; what lies between stays in
   the first-level cache. Thinned out where cuts, or where bits are given: by keep_largest, or by
   flip with bits[m] (none: the model is left whole), of which number from[m] is the first.
   Returns whether any stored number is infinite or NaN. */
int merged(const uint16_t *raw, int64_t models, int64_t n, const int32_t *cuts, int64_t *equal,
           const uint8_t *const *bits, const int64_t *from, const float *const *faces,
           const float *factors, const float *weight, const float *shares, int elect,
           float divisor, float scale, float *out) {
    float base[CHUNK], deltas[models * CHUNK];
    uint32_t broken = 0;
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t size = n - at < CHUNK ? n - at : CHUNK;
        broken |= taken_apart(raw + at, models, n, size, base, deltas, size);
        if (cuts) keep_largest((int32_t *)deltas, models, size, cuts, equal);
        for (int64_t m = 0; m < models; m++) {
            float *restrict delta = deltas + m * size;
            if (bits && bits[m]) flip(delta, size, bits[m], from[m] + at, faces[m]);
            if (factors) {
                for (int64_t i = 0; i < size; i++) delta[i] *= factors[m];
            }
        }
        add_up(base, deltas, models, size, weight, shares, elect, divisor, scale, out + at);
    }
    return broken != 0;
}

/* Rounded to the nearest, ties to even. */
void to_bfloat16(const uint32_t *values, int64_t n, uint16_t *out) {
    for (int64_t i = 0; i < n; i++)
        out[i] = (values[i] + 0x7FFF + ((values[i] >> 16) & 1)) >> 16;
}
