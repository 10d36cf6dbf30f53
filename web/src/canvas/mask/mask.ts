/* mask.ts - a mask of the canvas: one byte a pixel, 255 where a change applies. Plain arrays, no page: everything here
 * is pure, but that painting writes into the mask it is given. */

export interface Mask { width: number, height: number, data: Uint8ClampedArray }
/* Right and bottom are behind the last pixel. */
export interface Box { left: number, top: number, right: number, bottom: number }

export function newMask (width: number, height: number): Mask {
  return { width, height, data: new Uint8ClampedArray(width * height) }
}

export function copyMask (m: Mask): Mask {
  return { ...m, data: m.data.slice() }
}

export function clip (b: Box, m: { width: number, height: number }): Box {
  return {
    left: Math.max(0, Math.floor(b.left)), top: Math.max(0, Math.floor(b.top)),
    right: Math.min(m.width, Math.ceil(b.right)), bottom: Math.min(m.height, Math.ceil(b.bottom))
  }
}

export function join (a: Box | null, b: Box): Box {
  return a
    ? { left: Math.min(a.left, b.left), top: Math.min(a.top, b.top), right: Math.max(a.right, b.right), bottom: Math.max(a.bottom, b.bottom) }
    : b
}

/* Where the mask is not black; null where it is nowhere. */
export function bounds (m: Mask): Box | null {
  let box: Box | null = null
  for (let y = 0; y < m.height; y++) {
    const row = m.data.subarray(y * m.width, (y + 1) * m.width)
    const left = row.findIndex((v) => v > 0)
    if (left >= 0) box = join(box, { left, top: y, right: row.findLastIndex((v) => v > 0) + 1, bottom: y + 1 })
  }
  return box
}

export type Mode = 'add' | 'subtract' | 'replace'

/* Lays `shape` into `m` in place. */
export function combine (m: Mask, shape: Mask, mode: Mode): void {
  const { data } = m
  for (let i = 0; i < data.length; i++) {
    const s = shape.data[i] ?? 0
    const v = data[i] ?? 0
    data[i] = mode === 'replace' ? s : mode === 'add' ? Math.max(v, s) : Math.min(v, 255 - s)
  }
}

export function invert (m: Mask): Mask {
  return { ...m, data: m.data.map((v) => 255 - v) }
}

/* ---- shapes --------------------------------------------------------------------------------------- */

export function rectangle (width: number, height: number, b: Box): Mask {
  const m = newMask(width, height)
  const c = clip({ left: Math.round(b.left), top: Math.round(b.top), right: Math.round(b.right), bottom: Math.round(b.bottom) }, m)
  for (let y = c.top; y < c.bottom; y++) m.data.fill(255, y * width + c.left, y * width + Math.max(c.left, c.right))
  return m
}

export interface Point { x: number, y: number }

const LINES = 4 // of samples a row of pixels

/* The inside of a closed line, even-odd, with soft edges: along a row exactly, down by four lines a row. */
export function polygon (width: number, height: number, points: Point[]): Mask {
  const m = newMask(width, height)
  if (points.length < 3) return m
  const cover = new Float32Array(width)
  const ys = points.map((p) => p.y)
  const top = Math.max(0, Math.floor(Math.min(...ys)))
  const bottom = Math.min(height, Math.ceil(Math.max(...ys)))
  for (let y = top; y < bottom; y++) {
    cover.fill(0)
    for (let k = 0; k < LINES; k++) addSpans(cover, crossings(points, y + (k + 0.5) / LINES))
    for (let x = 0; x < width; x++) m.data[y * width + x] = Math.round(255 * (cover[x] ?? 0) / LINES)
  }
  return m
}

/* Where the line crosses a height, from the left. */
function crossings (points: Point[], y: number): number[] {
  const xs: number[] = []
  let a = points[points.length - 1]
  for (const b of points) {
    if (a && (a.y <= y) !== (b.y <= y)) xs.push(a.x + (y - a.y) * (b.x - a.x) / (b.y - a.y))
    a = b
  }
  return xs.sort((p, q) => p - q)
}

function addSpans (cover: Float32Array, xs: number[]): void {
  for (let i = 0; i + 1 < xs.length; i += 2) {
    const from = Math.max(0, xs[i] ?? 0)
    const to = Math.min(cover.length, xs[i + 1] ?? 0)
    for (let x = Math.floor(from); x < to; x++) cover[x] = (cover[x] ?? 0) + Math.min(to, x + 1) - Math.max(from, x)
  }
}

/* ---- wand ----------------------------------------------------------------------------------------- */

export interface Pixels { width: number, height: number, data: Uint8ClampedArray }

/* The pixels like the one at (x, y): no channel further away than `tolerance`. `contiguous`: only those that hang together. */
export function wand (px: Pixels, x: number, y: number, tolerance: number, contiguous: boolean): Mask {
  const { width, height, data } = px
  const m = newMask(width, height)
  if (x < 0 || y < 0 || x >= width || y >= height) return m
  const at = 4 * (y * width + x)
  const seed = [data[at] ?? 0, data[at + 1] ?? 0, data[at + 2] ?? 0, data[at + 3] ?? 0]
  const like = (i: number): boolean => {
    const a = data[4 * i + 3] ?? 0
    if (Math.abs(a - (seed[3] ?? 0)) > tolerance) return false
    if (a === 0 && seed[3] === 0) return true
    for (let c = 0; c < 3; c++) if (Math.abs((data[4 * i + c] ?? 0) - (seed[c] ?? 0)) > tolerance) return false
    return true
  }
  if (contiguous) flood(m, x, y, like)
  else for (let i = 0; i < width * height; i++) if (like(i)) m.data[i] = 255
  return m
}

/* Whole runs of a row at a time. */
function flood (m: Mask, x: number, y: number, like: (i: number) => boolean): void {
  const { width, height, data } = m
  const stack = [y * width + x]
  const open = (i: number): boolean => data[i] === 0 && like(i)
  for (let i = stack.pop(); i !== undefined; i = stack.pop()) {
    if (!open(i)) continue
    const row = Math.floor(i / width) * width
    let left = i
    let right = i
    while (left > row && open(left - 1)) left--
    while (right < row + width - 1 && open(right + 1)) right++
    data.fill(255, left, right + 1)
    for (const next of [-width, width]) {
      if (row + next < 0 || row + next >= width * height) continue
      for (let j = left; j <= right; j++) {
        if (open(j + next) && (j === right || !open(j + next + 1))) stack.push(j + next)
      }
    }
  }
}
