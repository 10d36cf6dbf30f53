/* backend.ts - layers blended by the processor, where WebGL2 is not there: the formulas of blend.ts, the sampling of
 * gl/layer.frag.glsl, the same pixels. Also what the tests of scenes draw with. */
import type { BlendMode } from '../../api/types.ts'
import type { Backend, Drawing, Surface, Texture } from '../backend.ts'
import { blendPixel } from '../blend.ts'
import { intersect, invert, type Box, type Matrix } from '../../state/matrix.ts'
import { lanczosWeight, samplingOf, type Sampling } from '../sampling.ts'

export interface Pixels extends Texture, Surface { data: Uint8ClampedArray }

type Into = (out: Uint8ClampedArray, x: number, y: number) => void

const clamp = (v: number, lo: number, hi: number): number => Math.min(hi, Math.max(lo, v))

/* ---- masks ------------------------------------------------------------------------------------------------ */

/* Grey as PIL computes it; what is transparent in the mask hides. */
function maskLevel (m: Pixels, x: number, y: number): number {
  const [r = 0, g = 0, b = 0, a = 0] = m.data.subarray(4 * (y * m.width + x))
  return Math.round(Math.floor((r * 19595 + g * 38470 + b * 7471 + 32768) / 65536) * a / 255)
}

/* The mask stretched over a source of that size. */
function maskAt (m: Pixels, x: number, y: number, width: number, height: number): number {
  if (m.width === width && m.height === height) return maskLevel(m, x, y)
  const u = clamp((x + 0.5) * m.width / width - 0.5, 0, m.width - 1)
  const v = clamp((y + 0.5) * m.height / height - 0.5, 0, m.height - 1)
  const [x0, y0] = [Math.floor(u), Math.floor(v)]
  const [x1, y1] = [Math.min(x0 + 1, m.width - 1), Math.min(y0 + 1, m.height - 1)]
  const top = maskLevel(m, x0, y0) * (1 - u + x0) + maskLevel(m, x1, y0) * (u - x0)
  const low = maskLevel(m, x0, y1) * (1 - u + x0) + maskLevel(m, x1, y1) * (u - x0)
  return Math.round(top * (1 - v + y0) + low * (v - y0))
}

/* The source with its mask applied. */
function masked (s: Pixels, m: Pixels | null): Pixels {
  if (!m) return s
  const data = s.data.slice()
  for (let y = 0, i = 3; y < s.height; y++) {
    for (let x = 0; x < s.width; x++, i += 4) data[i] = Math.round((s.data[i] ?? 0) * maskAt(m, x, y, s.width, s.height) / 255)
  }
  return { ...s, data }
}

/* ---- sampling ---------------------------------------------------------------------------------------------- */

/* Adds a pixel, premultiplied. */
function add (sum: Float64Array, s: Pixels, x: number, y: number, weight: number): void {
  const i = 4 * (y * s.width + x)
  const a = weight * (s.data[i + 3] ?? 0)
  for (let c = 0; c < 3; c++) sum[c] = (sum[c] ?? 0) + a * (s.data[i + c] ?? 0)
  sum[3] = (sum[3] ?? 0) + a
}

function between (s: Pixels, u: number, v: number, sum: Float64Array): void {
  const x = clamp(u - 0.5, 0, s.width - 1)
  const y = clamp(v - 0.5, 0, s.height - 1)
  const [x0, y0] = [Math.floor(x), Math.floor(y)]
  for (const [px, wx] of [[x0, 1 - x + x0], [Math.min(x0 + 1, s.width - 1), x - x0]] as const) {
    for (const [py, wy] of [[y0, 1 - y + y0], [Math.min(y0 + 1, s.height - 1), y - y0]] as const) add(sum, s, px, py, wx * wy)
  }
}

/* The mean of what a pixel of the surface covers. */
function averaged (s: Pixels, u: number, v: number, k: Sampling, sum: Float64Array): void {
  const n = k.tapsX * k.tapsY
  const off = (i: number, taps: number, per: number): number => n === 1 ? 0 : ((i + 0.5) / taps - 0.5) / per
  for (let j = 0; j < k.tapsY; j++) {
    for (let i = 0; i < k.tapsX; i++) between(s, u + off(i, k.tapsX, k.perX), v + off(j, k.tapsY, k.perY), sum)
  }
  for (let c = 0; c < 4; c++) sum[c] = (sum[c] ?? 0) / n
}

/* Where a filter reaches along one side, and how much each pixel counts. */
function lobes (at: number, size: number, per: number): { from: number, weights: number[] } {
  const wide = Math.max(1, 1 / per)
  const from = Math.max(0, Math.trunc(at - 3 * wide + 0.5))
  const end = Math.min(size, Math.trunc(at + 3 * wide + 0.5))
  return { from, weights: Array.from({ length: Math.max(0, end - from) }, (_, i) => lanczosWeight((from + i + 0.5 - at) / wide)) }
}

function filtered (s: Pixels, u: number, v: number, k: Sampling, sum: Float64Array): void {
  const across = lobes(u, s.width, k.perX)
  const down = lobes(v, s.height, k.perY)
  let all = 0
  down.weights.forEach((wy, j) => {
    across.weights.forEach((wx, i) => {
      add(sum, s, across.from + i, down.from + j, wx * wy)
      all += wx * wy
    })
  })
  const alpha = clamp((sum[3] ?? 0) / all, 0, 255)
  for (let c = 0; c < 3; c++) sum[c] = clamp((sum[c] ?? 0) / all, 0, 255 * alpha)
  sum[3] = alpha
}

function sampler (s: Pixels, m: Matrix): Into {
  const k = samplingOf(m)
  const sum = new Float64Array(4)
  const edge = (at: number, size: number, per: number): number => clamp(at * per + 0.5, 0, 1) * clamp((size - at) * per + 0.5, 0, 1)
  return (out, x, y) => {
    const u = m.a * (x + 0.5) + m.c * (y + 0.5) + m.e
    const v = m.b * (x + 0.5) + m.d * (y + 0.5) + m.f
    const cover = edge(u, s.width, k.perX) * edge(v, s.height, k.perY)
    out[3] = 0
    if (cover <= 0) return
    sum.fill(0)
    if (k.lanczos) filtered(s, u, v, k, sum)
    else averaged(s, u, v, k, sum)
    const alpha = sum[3] ?? 0
    if (alpha <= 0) return
    for (let c = 0; c < 3; c++) out[c] = Math.round((sum[c] ?? 0) / alpha)
    out[3] = Math.round(alpha * cover)
  }
}

/* ---- the backend -------------------------------------------------------------------------------------------- */

function blendPart (to: Pixels, part: Box, opacity: number, mode: BlendMode, colour: Into): void {
  const pixel = new Uint8ClampedArray(4)
  for (let y = part.y; y < part.y + part.h; y++) {
    for (let x = part.x; x < part.x + part.w; x++) {
      colour(pixel, x, y)
      blendPixel(to.data, 4 * (y * to.width + x), pixel, 0, opacity, mode)
    }
  }
}

/* Nothing is resampled: pixel onto pixel. */
function blendExact (to: Pixels, s: Pixels, shift: { x: number, y: number }, part: Box, opacity: number, mode: BlendMode): void {
  const p = intersect(part, { ...shift, w: s.width, h: s.height })
  for (let y = p.y; y < p.y + p.h; y++) {
    let i = 4 * (y * to.width + p.x)
    let j = 4 * ((y - shift.y) * s.width + p.x - shift.x)
    for (let x = 0; x < p.w; x++, i += 4, j += 4) blendPixel(to.data, i, s.data, j, opacity, mode)
  }
}

export class CPUBackend implements Backend<Pixels, Pixels> {
  readonly most = 8192

  texture (bitmap: ImageBitmap): Pixels {
    const { width, height } = bitmap
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
    context?.drawImage(bitmap, 0, 0)
    return { width, height, data: context?.getImageData(0, 0, width, height).data ?? new Uint8ClampedArray(4 * width * height) }
  }

  drop (): void { /* memory of the page */ }

  surface (width: number, height: number): Pixels {
    return { width, height, data: new Uint8ClampedArray(4 * width * height) }
  }

  free (): void { /* memory of the page */ }

  clear (s: Pixels, part: Box): void {
    for (let y = part.y; y < part.y + part.h; y++) s.data.fill(0, 4 * (y * s.width + part.x), 4 * (y * s.width + part.x + part.w))
  }

  copy (from: Pixels, to: Pixels, part: Box): void {
    for (let y = part.y; y < part.y + part.h; y++) {
      const at = 4 * (y * from.width + part.x)
      to.data.set(from.data.subarray(at, at + 4 * part.w), at)
    }
  }

  blend (to: Pixels, d: Drawing<Pixels, Pixels>, part: Box): void {
    const source = masked(d.source, d.mask)
    if (d.shift) {
      blendExact(to, source, d.shift, part, d.opacity, d.mode)
      return
    }
    const inverse = invert(d.matrix)
    if (inverse) blendPart(to, part, d.opacity, d.mode, sampler(source, inverse))
  }

  read (s: Pixels, part: Box): Uint8ClampedArray {
    const out = new Uint8ClampedArray(4 * part.w * part.h)
    for (let y = 0; y < part.h; y++) {
      const at = 4 * ((part.y + y) * s.width + part.x)
      out.set(s.data.subarray(at, at + 4 * part.w), 4 * y * part.w)
    }
    return out
  }

  texel (t: Pixels, x: number, y: number): Uint8ClampedArray {
    return t.data.slice(4 * (y * t.width + x), 4 * (y * t.width + x) + 4)
  }
}
