/* soften.ts - growing, shrinking and feathering a mask. Pure. */
import type { Mask } from './mask.ts'

/* One row or column of the squared distance transform: lower envelope of parabolas (Felzenszwalb and Huttenlocher,
 * "Distance Transforms of Sampled Functions", 2012). */
function envelope (f: Float64Array, n: number, out: Float64Array, at: Int32Array, from: Float64Array): void {
  let k = 0
  at[0] = 0
  from[0] = -Infinity
  from[1] = Infinity
  for (let q = 1; q < n; q++) {
    let s: number
    do {
      const p = at[k] ?? 0
      s = (((f[q] ?? 0) + q * q) - ((f[p] ?? 0) + p * p)) / (2 * q - 2 * p)
    } while (s <= (from[k] ?? 0) && --k >= 0)
    k++
    at[k] = q
    from[k] = s
    from[k + 1] = Infinity
  }
  k = 0
  for (let q = 0; q < n; q++) {
    while ((from[k + 1] ?? Infinity) < q) k++
    const p = at[k] ?? 0
    out[q] = (q - p) * (q - p) + (f[p] ?? 0)
  }
}

const FAR = 1e12

/* Distance of every pixel to the nearest one for which `inside` holds. */
function distance (m: Mask, inside: (v: number) => boolean): Float64Array {
  const { width, height, data } = m
  const n = Math.max(width, height)
  const d = Float64Array.from(data, (v) => inside(v) ? 0 : FAR)
  const f = new Float64Array(n)
  const out = new Float64Array(n)
  const at = new Int32Array(n)
  const from = new Float64Array(n + 1)
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) f[y] = d[y * width + x] ?? 0
    envelope(f, height, out, at, from)
    for (let y = 0; y < height; y++) d[y * width + x] = out[y] ?? 0
  }
  for (let y = 0; y < height; y++) {
    f.set(d.subarray(y * width, (y + 1) * width))
    envelope(f, width, out, at, from)
    for (let x = 0; x < width; x++) d[y * width + x] = Math.sqrt(out[x] ?? 0)
  }
  return d
}

/* Grows by `by` pixels, shrinks where it is negative; round corners, an edge one pixel soft. */
export function grow (m: Mask, by: number): Mask {
  if (by === 0) return m
  const outward = by > 0
  const d = distance(m, outward ? (v) => v >= 128 : (v) => v < 128)
  const reach = Math.abs(by)
  const data = new Uint8ClampedArray(m.data.length)
  for (let i = 0; i < data.length; i++) {
    const near = Math.min(1, Math.max(0, reach + 1 - (d[i] ?? 0)))
    const v = m.data[i] ?? 0
    data[i] = outward ? Math.max(v, Math.round(255 * near)) : Math.min(v, Math.round(255 * (1 - near)))
  }
  return { ...m, data }
}

/* Running means of a row or column: three of them are close to a Gaussian. */
function blurLine (line: Float32Array, n: number, radius: number, out: Float32Array): void {
  const size = 2 * radius + 1
  let sum = 0
  const v = (i: number): number => line[Math.min(n - 1, Math.max(0, i))] ?? 0
  for (let i = -radius; i <= radius; i++) sum += v(i)
  for (let i = 0; i < n; i++) {
    out[i] = sum / size
    sum += v(i + radius + 1) - v(i - radius)
  }
}

/* Softens the edge over about `radius` pixels to both sides. */
export function feather (m: Mask, radius: number): Mask {
  if (radius <= 0) return m
  const { width, height } = m
  const r = Math.max(1, Math.round(radius / 2))
  const v = Float32Array.from(m.data)
  const n = Math.max(width, height)
  let a = new Float32Array(n)
  let b = new Float32Array(n)
  const pass = (start: number, step: number, length: number): void => {
    for (let i = 0; i < length; i++) a[i] = v[start + i * step] ?? 0
    for (let k = 0; k < 3; k++) {
      blurLine(a, length, r, b)
      ;[a, b] = [b, a]
    }
    for (let i = 0; i < length; i++) v[start + i * step] = a[i] ?? 0
  }
  for (let y = 0; y < height; y++) pass(y * width, 1, width)
  for (let x = 0; x < width; x++) pass(x, width, height)
  return { ...m, data: Uint8ClampedArray.from(v, Math.round) }
}
