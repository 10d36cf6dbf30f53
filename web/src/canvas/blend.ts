/* blend.ts - the blend functions and the compositing formula in numbers from 0 to 1; the shader gl/layer.frag.glsl has the
 * same, and so has the server's src/image/composite_kern.c. What browsers without WebGL2 draw with.
 *
 * Blending follows the W3C's "Compositing and Blending": with backdrop b, source s and blend function B,
 *     as' = as * opacity,  ao = as' + ab (1 - as'),
 *     co = (cs (1 - ab) + ab B(cb, cs)) as' + cb ab (1 - as'),  all over ao. */
import { BLEND_MODES, type BlendMode } from '../api/types.ts'

export type Colour = [number, number, number]
type Channel = (b: number, s: number) => number

/* Its number in the shader. */
export const modeNumber = (mode: BlendMode): number => Math.max(0, BLEND_MODES.indexOf(mode))

/* ---- separable: one channel ------------------------------------------------------------------------ */

const screen: Channel = (b, s) => b + s - b * s
const hardLight: Channel = (b, s) => s <= 0.5 ? b * 2 * s : screen(b, 2 * s - 1)

function dodge (b: number, s: number): number {
  if (b <= 0) return 0
  return s >= 1 ? 1 : Math.min(1, b / (1 - s))
}

function burn (b: number, s: number): number {
  if (b >= 1) return 1
  return s <= 0 ? 0 : 1 - Math.min(1, (1 - b) / s)
}

function softLight (b: number, s: number): number {
  if (s <= 0.5) return b - (1 - 2 * s) * b * (1 - b)
  const d = b <= 0.25 ? ((16 * b - 12) * b + 4) * b : Math.sqrt(b)
  return b + (2 * s - 1) * (d - b)
}

const separable: Partial<Record<BlendMode, Channel>> = {
  normal: (_, s) => s,
  multiply: (b, s) => b * s,
  screen,
  overlay: (b, s) => hardLight(s, b),
  darken: Math.min,
  lighten: Math.max,
  'color-dodge': dodge,
  'color-burn': burn,
  'hard-light': hardLight,
  'soft-light': softLight,
  difference: (b, s) => Math.abs(b - s),
  exclusion: (b, s) => b + s - 2 * b * s,
  add: (b, s) => Math.min(1, b + s)
}

/* ---- not separable: hue, saturation and luminosity of a colour -------------------------------------- */

const lum = (c: Colour): number => 0.3 * c[0] + 0.59 * c[1] + 0.11 * c[2]
const sat = (c: Colour): number => Math.max(...c) - Math.min(...c)
const each = (c: Colour, f: (v: number) => number): Colour => [f(c[0]), f(c[1]), f(c[2])]

/* Moves the colour to luminosity l, then towards grey until every channel is in 0..1. */
function setLum (c: Colour, l: number): Colour {
  const d = l - lum(c)
  let x = each(c, (v) => v + d)
  const m = lum(x)
  const low = Math.min(...x)
  const high = Math.max(...x)
  if (low < 0) x = each(x, (v) => m + (v - m) * m / (m - low))
  if (high > 1) x = each(x, (v) => m + (v - m) * (1 - m) / (high - m))
  return x
}

function setSat (c: Colour, s: number): Colour {
  const low = Math.min(...c)
  const range = sat(c)
  return each(c, (v) => range > 0 ? (v - low) * s / range : 0)
}

function whole (b: Colour, s: Colour, mode: BlendMode): Colour {
  if (mode === 'hue') return setLum(setSat(s, sat(b)), lum(b))
  if (mode === 'saturation') return setLum(setSat(b, sat(s)), lum(b))
  if (mode === 'color') return setLum(s, lum(b))
  return setLum(b, lum(s))
}

export function mix (b: Colour, s: Colour, mode: BlendMode): Colour {
  const channel = separable[mode]
  return channel ? [channel(b[0], s[0]), channel(b[1], s[1]), channel(b[2], s[2])] : whole(b, s, mode)
}

/* ---- the formula ------------------------------------------------------------------------------------- */

const level = (v: number): number => Math.floor(Math.min(1, Math.max(0, v)) * 255 + 0.5)

/* Blends the pixel at `j` of `layer` onto the pixel at `i` of `canvas`: RGBA, straight alpha, 8 bits. */
export function blendPixel (canvas: Uint8ClampedArray, i: number, layer: Uint8ClampedArray, j: number, opacity: number, mode: BlendMode): void {
  const at = (p: Uint8ClampedArray, k: number): number => p[k] ?? 0
  const alpha = at(layer, j + 3)
  if (alpha === 0 || opacity <= 0) return
  const under = at(canvas, i + 3)
  if (opacity >= 1 && ((mode === 'normal' && alpha === 255) || under === 0)) {
    for (let k = 0; k < 4; k++) canvas[i + k] = at(layer, j + k)
    return
  }
  const as = alpha / 255 * opacity
  const ab = under / 255
  const ao = as + ab * (1 - as)
  const b: Colour = [at(canvas, i) / 255, at(canvas, i + 1) / 255, at(canvas, i + 2) / 255]
  const s: Colour = [at(layer, j) / 255, at(layer, j + 1) / 255, at(layer, j + 2) / 255]
  const mixed = mix(b, s, mode)
  for (const k of [0, 1, 2] as const) {
    const source = s[k] * (1 - ab) + ab * mixed[k]
    canvas[i + k] = level((source * as + b[k] * ab * (1 - as)) / ao)
  }
  canvas[i + 3] = level(ao)
}
