/* engine.ts - follows the store and keeps the canvas element showing it: composes what changed, then draws, once a frame. */
import { effect, signal } from '@preact/signals'
import type { Layer } from '../api/types.ts'
import { comparison, connected, curtain, project, view, zoom } from '../state/store.ts'
import { alternative, type Alternative } from './alternative.ts'
import { Assets, missing } from './assets.ts'
import type { Backend, Surface, Texture } from './backend.ts'
import { seenLayers } from './draft.ts'
import { around, corners, intersect, isEmpty, matrixOf, pixels as pixelsOf, type Box, type Point } from '../state/matrix.ts'
import { psnr } from './psnr.ts'
import { Scene } from './scene.ts'
import type { Rgb, Screen, Shown, View } from './screen.ts'
import { strength, veil } from './veil.ts'
import { area, pan } from './viewport.ts'

/* Zoomed in at least so far, pixels have borders. */
const GRID_ZOOM = 8
/* While images arrive one after the other, they are composed this often. */
const ARRIVAL_MS = 120
const MEASURE_MS = 150

/* What the engine knows of the open project for tools and gizmos. */
export interface Pixels {
  sizeOf: (asset: string) => { width: number, height: number } | null
  /* Alpha from 0 to 255 at a point of the layer's image, its mask applied. */
  alphaOf: (l: Layer, p: Point) => number
  /* What is seen at a point of the canvas: RGBA. */
  colourAt: (p: Point) => Uint8ClampedArray | null
  /* The composed canvas, or a part of it: RGBA, straight alpha. */
  read: (part?: Box) => { width: number, height: number, data: Uint8ClampedArray } | null
}
export const pixels = signal<Pixels | null>(null)
/* What blends the layers. */
export const drawnBy = signal<'card' | 'processor'>('card')
/* Between what is compared, where they differ; null: nothing is compared. */
export const difference = signal<number | null>(null)
/* Grows with each drawn change of the composed image. */
export const revision = signal(0)
/* An image has arrived that is not drawn yet. */
export const arriving = signal(false)

function rgb (style: CSSStyleDeclaration, name: string): Rgb {
  const hex = style.getPropertyValue(name).trim().replace('#', '')
  return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255) as Rgb
}

export class Engine<T extends Texture, S extends Surface> {
  private readonly canvas: HTMLCanvasElement
  private readonly screen: Screen<S>
  private readonly assets: Assets<T, S>
  private readonly main: Scene<T, S>
  private readonly other: Scene<T, S>
  private readonly backend: Backend<T, S>
  private readonly stops: (() => void)[] = []
  private versions = { main: 0, other: 0 }
  private frame = 0
  private timer = 0
  private measuring = 0
  private measured = ''
  private checks: [Rgb, Rgb] = [[0.23, 0.23, 0.23], [0.29, 0.29, 0.29]]

  constructor (canvas: HTMLCanvasElement, backend: Backend<T, S>, screen: Screen<S>) {
    this.canvas = canvas
    this.backend = backend
    this.screen = screen
    this.assets = new Assets(backend, () => { this.arrived() })
    this.main = new Scene(backend, this.assets)
    this.other = new Scene(backend, this.assets)
    this.stops.push(effect(() => { this.listen() }), effect(() => { this.takeVeil() }), this.followTheme(), this.followServer())
    pixels.value = { sizeOf: (id) => this.assets.get(id), alphaOf: (l, p) => this.alphaOf(l, p), colourAt: (p) => this.colourAt(p), read: (part) => this.read(part) }
  }

  close (): void {
    for (const stop of this.stops) stop()
    cancelAnimationFrame(this.frame)
    window.clearTimeout(this.timer)
    window.clearTimeout(this.measuring)
    this.main.free()
    this.other.free()
    this.assets.clear()
    arriving.value = false
    pixels.value = null
  }

  /* Everything that a frame depends on. */
  private listen (): void {
    for (const s of [seenLayers, alternative, project, comparison, curtain, view, zoom, pan, area, strength]) void s.value
    this.schedule()
  }

  private schedule (): void {
    if (this.frame === 0) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw() })
  }

  private arrived (): void {
    arriving.value = true
    if (this.timer !== 0) return
    this.timer = window.setTimeout(() => { this.timer = 0; this.schedule() }, ARRIVAL_MS)
    pixels.value = pixels.value && { ...pixels.value }
  }

  private followTheme (): () => void {
    const read = (): void => {
      const style = getComputedStyle(document.documentElement)
      this.checks = [rgb(style, '--check-a'), rgb(style, '--check-b')]
      this.schedule()
    }
    const system = matchMedia('(prefers-color-scheme: light)')
    const chosen = new MutationObserver(read)
    system.addEventListener('change', read)
    chosen.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    read()
    return () => { system.removeEventListener('change', read); chosen.disconnect() }
  }

  /* When the server is heard again, what could not be read is asked for again. */
  private followServer (): () => void {
    return connected.subscribe((heard) => { if (heard && missing.peek() > 0) this.assets.retry() })
  }

  private takeVeil (): void {
    const { levels, part } = veil.value
    if (!levels || !part) this.screen.veil(null, { x: 0, y: 0, w: 0, h: 0 })
    if (levels) this.screen.veil(levels, part ?? { x: 0, y: 0, w: levels.width, h: levels.height })
    this.schedule()
  }

  private need (): void {
    const ids = [...seenLayers.value, ...alternative.value?.layers ?? []].flatMap((l) => l.visible ? [l.asset, l.mask] : [])
    this.assets.need(new Set(ids.filter((id) => id !== null)))
  }

  private compose (canvas: Box): void {
    const a = alternative.value
    const changed = this.main.compose(seenLayers.value, canvas)
    const otherChanged = a !== null && this.other.compose(a.layers, a.frame)
    if (!a) this.other.free()
    if (changed) this.versions.main++
    if (otherChanged) this.versions.other++
    if (changed || otherChanged) {
      this.need()
      revision.value++
    }
  }

  private draw (): void {
    const p = project.value
    const { w, h, ratio } = area.value
    if (!p || w === 0 || h === 0) return
    const width = Math.round(w * ratio)
    const height = Math.round(h * ratio)
    if (this.canvas.width !== width) this.canvas.width = width
    if (this.canvas.height !== height) this.canvas.height = height
    const canvas = { x: 0, y: 0, w: p.width, h: p.height }
    this.compose(canvas)
    if (this.timer === 0) arriving.value = false
    const view = this.view(canvas)
    if (view) this.screen.draw(view)
    this.compare()
  }

  private shown (scene: Scene<T, S>, frame: Box, version: number): Shown<S> | null {
    return scene.surface && { surface: scene.surface, frame, version }
  }

  /* What stands before and after: the canvas as it is is one of them. */
  private view (canvas: Box): View<S> | null {
    const a = alternative.value
    const now = this.shown(this.main, canvas, this.versions.main)
    const other = a && this.shown(this.other, a.frame, this.versions.other)
    if (!now) return null
    const [first, second] = other && a.is === 'before' ? [other, now] : [now, other]
    const how = comparison.value
    return {
      first, second, canvas, checks: this.checks,
      comparing: !second || how === 'before' ? 'first' : how === 'off' ? 'second' : how,
      curtain: curtain.value * area.value.w, pan: pan.value, zoom: zoom.value, ratio: area.value.ratio,
      grid: view.value.grid && zoom.value >= GRID_ZOOM, veil: strength.value
    }
  }

  /* Measures the difference a moment after the images or the comparison changed. */
  private compare (): void {
    const a = alternative.value
    const key = a && comparison.value !== 'off' ? `${this.versions.main} ${this.versions.other}` : ''
    if (key === this.measured) return
    this.measured = key
    window.clearTimeout(this.measuring)
    if (!a || key === '') difference.value = null
    else this.measuring = window.setTimeout(() => { difference.value = this.measure(a) }, MEASURE_MS)
  }

  private measure (a: Alternative): number | null {
    const { surface: s } = this.main
    const { surface: o } = this.other
    const size = a.size ?? this.assets.get(a.place.asset ?? '')
    if (!s || !o || !size || this.main.scale !== 1 || this.other.scale !== 1) return null
    const where = around(corners(size.width, size.height, matrixOf(a.place)))
    const part = intersect(pixelsOf(where), { x: 0, y: 0, w: s.width, h: s.height })
    if (isEmpty(part)) return null
    return psnr(this.backend.read(s, part), this.backend.read(o, { ...part, x: part.x - a.frame.x, y: part.y - a.frame.y }))
  }

  private alphaOf (l: Layer, p: Point): number {
    const image = this.assets.get(l.asset ?? '')
    const mask = l.mask === null ? null : this.assets.get(l.mask)
    if (!image || p.x < 0 || p.y < 0 || p.x >= image.width || p.y >= image.height) return 0
    const texel = (t: T): Uint8ClampedArray =>
      this.backend.texel(t, Math.floor(p.x / image.width * t.width), Math.floor(p.y / image.height * t.height))
    const alpha = texel(image.texture)[3] ?? 0
    if (!mask) return alpha
    const [r = 0, g = 0, b = 0, a = 0] = texel(mask.texture)
    return alpha * (0.299 * r + 0.587 * g + 0.114 * b) / 255 * a / 255
  }

  private colourAt (p: Point): Uint8ClampedArray | null {
    const scene = alternative.value?.is === 'after' && comparison.value === 'off' ? this.other : this.main
    const { surface: s, origin, scale } = scene
    const x = Math.floor((p.x - origin.x) * scale)
    const y = Math.floor((p.y - origin.y) * scale)
    return s && x >= 0 && y >= 0 && x < s.width && y < s.height ? this.backend.read(s, { x, y, w: 1, h: 1 }) : null
  }

  private read (part?: Box): { width: number, height: number, data: Uint8ClampedArray } | null {
    const s = this.main.surface
    if (!s) return null
    const box = part ?? { x: 0, y: 0, w: s.width, h: s.height }
    return { width: box.w, height: box.h, data: this.backend.read(s, box) }
  }
}
