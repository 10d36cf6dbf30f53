#version 300 es
/* The screen: the composed image on its chequer, compared with another one, under the veil and the pixel grid.
 *
 * Compiled for what is drawn, by what gl/screen.ts defines: SMOOTH (smaller than 100 %), COMPARED (there are two images),
 * VEILED. */
precision highp float;
precision highp int;

uniform vec2 area;     /* device pixels */
uniform vec2 pan;      /* of the canvas' corner, device pixels from the upper left */
uniform float zoom;    /* device pixels a canvas pixel */
uniform vec4 frame[2]; /* x, y, w, h on the canvas: what the images show */
uniform int comparing; /* 0: the first alone, 1: the second alone, 2: curtain, 3: difference */
uniform float curtain; /* device pixels from the left */
uniform float unit;    /* device pixels a CSS pixel */
uniform vec3 check_a, check_b;
uniform bool grid;
uniform vec4 canvas;   /* x, y, w, h: where the veil lies */
uniform float veil;
uniform sampler2D image_0, image_1;   /* straight */
uniform sampler2D smooth_0, smooth_1; /* premultiplied, with smaller ones */
uniform sampler2D levels;

out vec4 result;

bool inside(vec2 p, vec4 box) {
    return all(greaterThanEqual(p, box.xy)) && all(lessThan(p, box.xy + box.zw));
}

#ifdef SMOOTH
vec4 look(sampler2D straight, sampler2D small, vec2 part) {
    return texture(small, part, -0.5);
}
#else
vec4 look(sampler2D straight, sampler2D small, vec2 part) {
    ivec2 size = textureSize(straight, 0);
    vec4 c = texelFetch(straight, clamp(ivec2(part * vec2(size)), ivec2(0), size - 1), 0);
    return vec4(c.rgb * c.a, c.a);
}
#endif

/* Premultiplied; nothing outside the frame. */
vec4 first_at(vec2 p) {
    vec4 c = look(image_0, smooth_0, (p - frame[0].xy) / frame[0].zw);
    return inside(p, frame[0]) ? c : vec4(0.0);
}

vec4 second_at(vec2 p) {
    vec4 c = look(image_1, smooth_1, (p - frame[1].xy) / frame[1].zw);
    return inside(p, frame[1]) ? c : vec4(0.0);
}

vec3 chequer(vec2 at) {
    vec2 cell = floor((at - pan) / (8.0 * unit));
    return mod(cell.x + cell.y, 2.0) < 0.5 ? check_a : check_b;
}

vec3 gridded(vec3 c, vec2 p) {
    vec2 to_line = fract(p) * zoom;
    if (min(to_line.x, to_line.y) >= 1.0)
        return c;
    return mix(c, vec3(dot(c, vec3(0.3, 0.59, 0.11)) < 0.5 ? 1.0 : 0.0), 0.22);
}

void main() {
    vec2 at = vec2(gl_FragCoord.x, area.y - gl_FragCoord.y);
    vec2 p = (at - pan) / zoom;
    vec4 a = first_at(p);
#ifdef COMPARED
    vec4 b = second_at(p);
    bool second = comparing == 1 || (comparing == 2 && at.x >= curtain);
    bool shown = comparing == 3 ? inside(p, frame[0]) || inside(p, frame[1]) : inside(p, second ? frame[1] : frame[0]);
    vec4 c = second ? b : a;
    vec3 seen = comparing == 3 ? min(vec3(1.0), 4.0 * (abs(a.rgb - b.rgb) + abs(a.a - b.a))) : c.rgb + chequer(at) * (1.0 - c.a);
#else
    bool shown = inside(p, frame[0]);
    vec3 seen = a.rgb + chequer(at) * (1.0 - a.a);
#endif
#ifdef VEILED
    if (inside(p, canvas))
        seen = mix(seen, vec3(0.92, 0.12, 0.16), veil * texture(levels, (p - canvas.xy) / canvas.zw).r);
#endif
    result = shown ? vec4(grid ? gridded(seen, p) : seen, 1.0) : vec4(0.0);
}
