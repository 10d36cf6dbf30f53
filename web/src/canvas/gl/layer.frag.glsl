#version 300 es
/* One layer onto a surface: the formulas of src/image/composite_kern.c (see blend.ts), the sampling of
 * src/image/affine_kern.c, and of image/resize in one pass. A surface's first row is its top, so gl_FragCoord is a point of it.
 *
 * Compiled once for each kind of layer, by what gl/backend.ts defines: MODE, the blend mode's number; MASKED; and EXACT
 * (nothing is resampled), LANCZOS (scaled, but not much reduced: as image/resize does it) or neither. */
precision highp float;
precision highp int;
precision highp sampler2D;

uniform sampler2D backdrop; /* the surface, as it was */
uniform sampler2D source;
uniform sampler2D mask;
uniform ivec2 shift;    /* where the source lies when nothing is resampled */
uniform mat3 inverse_m; /* points of the surface to points of the source */
uniform vec2 per;       /* pixels of the surface a pixel of the source, along its sides */
uniform ivec2 taps;     /* samples a pixel, along the source's sides: 1 unless the source is much reduced */
uniform float opacity;

out vec4 result;

float level(float v) {
    return floor(v * 255.0 + 0.5) / 255.0;
}

/* ---- source ---------------------------------------------------------------------------------------- */

#ifdef MASKED
/* Grey as PIL computes it; what is transparent in the mask hides. */
float mask_level(ivec2 q) {
    vec4 m = floor(texelFetch(mask, q, 0) * 255.0 + 0.5);
    float grey = floor((m.r * 19595.0 + m.g * 38470.0 + m.b * 7471.0 + 32768.0) / 65536.0);
    return floor(grey * m.a / 255.0 + 0.5) / 255.0;
}

/* The mask stretched over the source. */
float mask_at(ivec2 q) {
    ivec2 size = textureSize(mask, 0), over = textureSize(source, 0);
    if (size == over)
        return mask_level(q);
    vec2 at = clamp((vec2(q) + 0.5) * vec2(size) / vec2(over) - 0.5, vec2(0.0), vec2(size - 1));
    ivec2 lo = ivec2(at), hi = min(lo + 1, size - 1);
    vec2 part = at - vec2(lo);
    float top = mix(mask_level(lo), mask_level(ivec2(hi.x, lo.y)), part.x);
    float low = mix(mask_level(ivec2(lo.x, hi.y)), mask_level(hi), part.x);
    return level(mix(top, low, part.y));
}

vec4 texel(ivec2 q) {
    vec4 c = texelFetch(source, q, 0);
    return vec4(c.rgb, level(c.a * mask_at(q)));
}
#else
vec4 texel(ivec2 q) {
    return texelFetch(source, q, 0);
}
#endif

#ifdef EXACT
vec4 colour() {
    ivec2 q = ivec2(gl_FragCoord.xy) - shift, size = textureSize(source, 0);
    if (any(lessThan(q, ivec2(0))) || any(greaterThanEqual(q, size)))
        return vec4(0.0);
    return texel(q);
}
#else
vec4 weighed(ivec2 q, float weight) {
    vec4 c = texel(q);
    return vec4(c.rgb * c.a, c.a) * weight;
}

/* Bilinear, premultiplied. */
vec4 between(vec2 at, ivec2 size) {
    vec2 p = clamp(at - 0.5, vec2(0.0), vec2(size - 1));
    ivec2 lo = ivec2(p), hi = min(lo + 1, size - 1);
    vec2 part = p - vec2(lo);
    return weighed(lo, (1.0 - part.x) * (1.0 - part.y)) + weighed(ivec2(hi.x, lo.y), part.x * (1.0 - part.y))
        + weighed(ivec2(lo.x, hi.y), (1.0 - part.x) * part.y) + weighed(hi, part.x * part.y);
}

#ifdef LANCZOS
float lanczos_weight(float x) {
    const float PI = 3.14159265358979;
    if (abs(x) < 1e-5)
        return 1.0;
    return abs(x) >= 3.0 ? 0.0 : 3.0 * sin(PI * x) * sin(PI * x / 3.0) / (PI * PI * x * x);
}

/* Lanczos over three lobes, premultiplied; what lies outside has no weight. */
vec4 gathered(vec2 at, ivec2 size) {
    vec2 wide = max(vec2(1.0), 1.0 / per);
    ivec2 lo = max(ivec2(at - 3.0 * wide + 0.5), 0), hi = min(ivec2(at + 3.0 * wide + 0.5), size);
    vec4 sum = vec4(0.0);
    float weights = 0.0;
    for (int y = lo.y; y < hi.y; y++) {
        float wy = lanczos_weight((float(y) + 0.5 - at.y) / wide.y);
        for (int x = lo.x; x < hi.x; x++) {
            float w = wy * lanczos_weight((float(x) + 0.5 - at.x) / wide.x);
            sum += weighed(ivec2(x, y), w);
            weights += w;
        }
    }
    sum /= weights;
    float alpha = clamp(sum.a, 0.0, 1.0);
    return vec4(clamp(sum.rgb, 0.0, alpha), alpha);
}

#else
/* Bilinear; of what is reduced, the mean of what a pixel covers. */
vec4 gathered(vec2 p, ivec2 size) {
    vec4 sum = vec4(0.0);
    for (int j = 0; j < taps.y; j++)
        for (int i = 0; i < taps.x; i++) {
            vec2 off = (vec2(i, j) + 0.5) / vec2(taps) - 0.5;
            sum += between(taps == ivec2(1) ? p : p + off / per, size);
        }
    return sum / float(taps.x * taps.y);
}
#endif

/* The colour at a point of the surface, straight; alpha cut at the source's edges by how much of the pixel it covers. */
vec4 colour() {
    ivec2 size = textureSize(source, 0);
    vec2 p = (inverse_m * vec3(gl_FragCoord.xy, 1.0)).xy;
    vec2 edge = clamp(p * per + 0.5, 0.0, 1.0) * clamp((vec2(size) - p) * per + 0.5, 0.0, 1.0);
    float cover = edge.x * edge.y;
    if (cover <= 0.0)
        return vec4(0.0);
    vec4 sum = gathered(p, size);
    if (sum.a <= 0.0)
        return vec4(0.0);
    return vec4(level(sum.r / sum.a), level(sum.g / sum.a), level(sum.b / sum.a), level(sum.a * cover));
}

#endif

/* ---- blend functions --------------------------------------------------------------------------------- */

float screen(float b, float s) {
    return b + s - b * s;
}

float hard_light(float b, float s) {
    return s <= 0.5 ? b * 2.0 * s : screen(b, 2.0 * s - 1.0);
}

float dodge(float b, float s) {
    if (b <= 0.0)
        return 0.0;
    return s >= 1.0 ? 1.0 : min(1.0, b / (1.0 - s));
}

float burn(float b, float s) {
    if (b >= 1.0)
        return 1.0;
    return s <= 0.0 ? 0.0 : 1.0 - min(1.0, (1.0 - b) / s);
}

float soft_light(float b, float s) {
    if (s <= 0.5)
        return b - (1.0 - 2.0 * s) * b * (1.0 - b);
    float d = b <= 0.25 ? ((16.0 * b - 12.0) * b + 4.0) * b : sqrt(b);
    return b + (2.0 * s - 1.0) * (d - b);
}

/* The order of BLEND_MODES in api/types.ts. */
float channel(float b, float s) {
#if MODE == 1
    return b * s;
#elif MODE == 2
    return screen(b, s);
#elif MODE == 3
    return hard_light(s, b);
#elif MODE == 4
    return min(b, s);
#elif MODE == 5
    return max(b, s);
#elif MODE == 6
    return dodge(b, s);
#elif MODE == 7
    return burn(b, s);
#elif MODE == 8
    return hard_light(b, s);
#elif MODE == 9
    return soft_light(b, s);
#elif MODE == 10
    return abs(b - s);
#elif MODE == 11
    return b + s - 2.0 * b * s;
#elif MODE == 12
    return min(1.0, b + s);
#else
    return s;
#endif
}

float lum(vec3 c) {
    return 0.3 * c.r + 0.59 * c.g + 0.11 * c.b;
}

float lowest(vec3 c) {
    return min(c.r, min(c.g, c.b));
}

float highest(vec3 c) {
    return max(c.r, max(c.g, c.b));
}

vec3 set_lum(vec3 c, float l) {
    c += l - lum(c);
    float m = lum(c), low = lowest(c), high = highest(c);
    if (low < 0.0)
        c = m + (c - m) * m / (m - low);
    if (high > 1.0)
        c = m + (c - m) * (1.0 - m) / (high - m);
    return c;
}

float sat(vec3 c) {
    return highest(c) - lowest(c);
}

vec3 set_sat(vec3 c, float s) {
    float range = sat(c);
    return range > 0.0 ? (c - lowest(c)) * s / range : vec3(0.0);
}

vec3 mixed(vec3 b, vec3 s) {
#if MODE == 13
    return set_lum(set_sat(s, sat(b)), lum(b));
#elif MODE == 14
    return set_lum(set_sat(b, sat(s)), lum(b));
#elif MODE == 15
    return set_lum(s, lum(b));
#elif MODE == 16
    return set_lum(b, lum(s));
#else
    return vec3(channel(b.r, s.r), channel(b.g, s.g), channel(b.b, s.b));
#endif
}

/* ---- the formula --------------------------------------------------------------------------------------- */

void main() {
    vec4 s = colour();
    if (s.a <= 0.0 || opacity <= 0.0)
        discard;
    vec4 b = texelFetch(backdrop, ivec2(gl_FragCoord.xy), 0);
    bool covers = MODE == 0 && s.a >= 1.0;
    if (opacity >= 1.0 && (covers || b.a <= 0.0)) {
        result = s;
        return;
    }
    float as = s.a * opacity, ao = as + b.a * (1.0 - as);
    vec3 over = s.rgb * (1.0 - b.a) + b.a * mixed(b.rgb, s.rgb);
    vec3 c = (over * as + b.rgb * b.a * (1.0 - as)) / ao;
    result = vec4(level(clamp(c.r, 0.0, 1.0)), level(clamp(c.g, 0.0, 1.0)), level(clamp(c.b, 0.0, 1.0)), level(ao));
}
