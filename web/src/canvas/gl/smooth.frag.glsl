#version 300 es
/* A surface with premultiplied alpha: what can be averaged. */
precision highp float;
uniform sampler2D source;
out vec4 result;

void main() {
    vec4 c = texelFetch(source, ivec2(gl_FragCoord.xy), 0);
    result = vec4(c.rgb * c.a, c.a);
}
