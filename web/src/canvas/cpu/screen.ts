/* screen.ts - the composed images onto the screen by Canvas 2D. */
import { intersect, isEmpty, type Box } from '../../state/matrix.ts'
import type { Levels, Rgb, Screen, Shown, View } from '../screen.ts'
import type { Pixels } from './backend.ts'

type Context = CanvasRenderingContext2D
type Off = OffscreenCanvasRenderingContext2D

const VEIL: Rgb = [0.92, 0.12, 0.16]
const CHECK = 8 // CSS pixels

function offscreen (width: number, height: number): Off {
  const c = new OffscreenCanvas(width, height).getContext('2d')
  if (!c) throw new Error('Canvas 2D is not there')
  return c
}

/* A surface as something that Canvas 2D draws, made anew when it has changed. */
class Copy {
  private context: Off | null = null
  private version = -1
  private of: Pixels | null = null

  update ({ surface: s, version }: Shown<Pixels>): OffscreenCanvas {
    if (!this.context || this.of !== s || this.version !== version) {
      if (this.of !== s || !this.context) this.context = offscreen(s.width, s.height)
      this.context.putImageData(new ImageData(new Uint8ClampedArray(s.data), s.width, s.height), 0, 0)
      this.of = s
      this.version = version
    }
    return this.context.canvas
  }
}

const css = (c: Rgb): string => `rgb(${c.map((v) => Math.round(255 * v)).join(' ')})`

export class CPUScreen implements Screen<Pixels> {
  private readonly context: Context
  private readonly copies: [Copy, Copy] = [new Copy(), new Copy()]
  private levels: Off | null = null

  constructor (context: Context) {
    this.context = context
  }

  draw (v: View<Pixels>): void {
    const { context: c } = this
    c.setTransform(1, 0, 0, 1, 0, 0)
    c.clearRect(0, 0, c.canvas.width, c.canvas.height)
    if (v.comparing === 'curtain' && v.second) this.curtain(v, v.second)
    else if (v.comparing === 'difference' && v.second) this.difference(v, v.second)
    else this.image(v, v.comparing === 'second' && v.second ? v.second : v.first, v.comparing === 'second' ? 1 : 0)
    if (this.levels && v.veil > 0) this.layer(v, v.canvas, this.levels.canvas, v.veil)
    if (v.grid) this.grid(v)
  }

  private onScreen (v: View<Pixels>, b: Box): Box {
    const k = v.zoom * v.ratio
    return { x: b.x * k + v.pan.x * v.ratio, y: b.y * k + v.pan.y * v.ratio, w: b.w * k, h: b.h * k }
  }

  private layer (v: View<Pixels>, frame: Box, image: OffscreenCanvas, alpha = 1): void {
    const { context: c } = this
    const b = this.onScreen(v, frame)
    c.imageSmoothingEnabled = v.zoom < 1
    c.globalAlpha = alpha
    c.drawImage(image, b.x, b.y, b.w, b.h)
    c.globalAlpha = 1
  }

  private image (v: View<Pixels>, shown: Shown<Pixels>, slot: 0 | 1): void {
    this.chequer(v, this.onScreen(v, shown.frame))
    this.layer(v, shown.frame, this.copies[slot].update(shown))
  }

  private chequer (v: View<Pixels>, b: Box): void {
    const { context: c } = this
    const side = Math.round(CHECK * v.ratio)
    const tile = offscreen(2 * side, 2 * side)
    tile.fillStyle = css(v.checks[0])
    tile.fillRect(0, 0, 2 * side, 2 * side)
    tile.fillStyle = css(v.checks[1])
    tile.fillRect(side, 0, side, side)
    tile.fillRect(0, side, side, side)
    const pattern = c.createPattern(tile.canvas, 'repeat')
    if (!pattern) return
    pattern.setTransform(new DOMMatrix([1, 0, 0, 1, v.pan.x * v.ratio, v.pan.y * v.ratio]))
    c.fillStyle = pattern
    c.fillRect(b.x, b.y, b.w, b.h)
  }

  private curtain (v: View<Pixels>, second: Shown<Pixels>): void {
    const { context: c } = this
    const { width, height } = c.canvas
    const at = v.curtain * v.ratio
    for (const [x, w, shown, slot] of [[0, at, v.first, 0], [at, width - at, second, 1]] as const) {
      c.save()
      c.beginPath()
      c.rect(x, 0, w, height)
      c.clip()
      this.image(v, shown, slot)
      c.restore()
    }
  }

  /* Four times as bright as it is. */
  private difference (v: View<Pixels>, second: Shown<Pixels>): void {
    const { context: c } = this
    const b = this.onScreen(v, v.first.frame)
    c.fillStyle = '#000'
    c.fillRect(b.x, b.y, b.w, b.h)
    this.layer(v, v.first.frame, this.copies[0].update(v.first))
    c.globalCompositeOperation = 'difference'
    this.layer(v, second.frame, this.copies[1].update(second))
    c.globalCompositeOperation = 'color-dodge'
    c.fillStyle = '#bfbfbf'
    c.fillRect(b.x, b.y, b.w, b.h)
    c.globalCompositeOperation = 'source-over'
  }

  private grid (v: View<Pixels>): void {
    const { context: c } = this
    const area = { x: 0, y: 0, w: c.canvas.width, h: c.canvas.height }
    const b = intersect(area, this.onScreen(v, v.first.frame))
    if (isEmpty(b)) return
    const k = v.zoom * v.ratio
    const firstOf = (from: number, pan: number): number => from + (k - (((from - pan * v.ratio) % k) + k) % k) % k
    c.fillStyle = '#80808080'
    for (let x = firstOf(b.x, v.pan.x); x < b.x + b.w; x += k) c.fillRect(Math.round(x), b.y, 1, b.h)
    for (let y = firstOf(b.y, v.pan.y); y < b.y + b.h; y += k) c.fillRect(b.x, Math.round(y), b.w, 1)
  }

  veil (levels: Levels | null, part: Box): void {
    if (!levels) {
      this.levels = null
      return
    }
    if (this.levels?.canvas.width !== levels.width || this.levels.canvas.height !== levels.height) this.levels = offscreen(levels.width, levels.height)
    if (isEmpty(part)) return
    const image = new ImageData(part.w, part.h)
    for (let y = 0, i = 0; y < part.h; y++) {
      for (let x = 0; x < part.w; x++, i += 4) {
        VEIL.forEach((c, k) => { image.data[i + k] = Math.round(255 * c) })
        image.data[i + 3] = levels.data[(part.y + y) * levels.width + part.x + x] ?? 0
      }
    }
    this.levels.putImageData(image, part.x, part.y)
  }
}
