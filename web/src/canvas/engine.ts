/* engine.ts - follows the store and keeps the canvas element showing it: composes what changed, then draws, once a frame. */
import { effect, signal } from '@preact/signals'
import type { Layer } from '../api/types.ts'
import { brush, comparison, curtain, project, view, zoom } from '../state/store.ts'
import { alternative } from './alternative.ts'
import { Assets } from './assets.ts'
import type { Backend, Surface, Texture } from './backend.ts'
import { seenLayers } from './draft.ts'
import type { Box, Point } from './matrix.ts'
import { Scene } from './scene.ts'
import type { Rgb, Screen, Shown, View } from './screen.ts'
import { veil } from './veil.ts'
import { area, pan } from './viewport.ts'

/* Zoomed in at least so far, pixels have borders. */
const GRID_ZOOM = 8
/* While images arrive one after the other, they are composed this often. */
const ARRIVAL_MS = 120

/* What the engine knows of the open project for tools and gizmos. */
export interface Pixels {
  sizeOf: (asset: string) => { width: number, height: number } | null
  /* Alpha from 0 to 255 at a point of the layer's image, its mask applied. */
  alphaOf: (l: Layer, p: Point) => number
  /* The composed canvas, or a part of it: RGBA, straight alpha. */
  read: (part?: Box) => { width: number, height: number, data: Uint8ClampedArray } | null
}
export const pixels = signal<Pixels | null>(null)
/* Grows with each drawn change of the composed image. */
export const revision = signal(0)

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
  private checks: [Rgb, Rgb] = [[0.23, 0.23, 0.23], [0.29, 0.29, 0.29]]

  constructor (canvas: HTMLCanvasElement, backend: Backend<T, S>, screen: Screen<S>) {
    this.canvas = canvas
    this.backend = backend
    this.screen = screen
    this.assets = new Assets(backend, () => { this.arrived() })
    this.main = new Scene(backend, this.assets)
    this.other = new Scene(backend, this.assets)
    this.stops.push(effect(() => { this.listen() }), effect(() => { this.takeVeil() }), this.followTheme())
    pixels.value = { sizeOf: (id) => this.assets.get(id), alphaOf: (l, p) => this.alphaOf(l, p), read: (part) => this.read(part) }
  }

  close (): void {
    for (const stop of this.stops) stop()
    cancelAnimationFrame(this.frame)
    window.clearTimeout(this.timer)
    this.main.free()
    this.other.free()
    this.assets.clear()
    pixels.value = null
  }

  /* Everything that a frame depends on. */
  private listen (): void {
    for (const s of [seenLayers, alternative, project, comparison, curtain, view, zoom, pan, area, brush]) void s.value
    this.schedule()
  }

  private schedule (): void {
    if (this.frame === 0) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw() })
  }

  private arrived (): void {
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
    const first = this.shown(this.main, canvas, this.versions.main)
    if (first) this.screen.draw(this.view(first, canvas))
  }

  private shown (scene: Scene<T, S>, frame: Box, version: number): Shown<S> | null {
    return scene.surface && { surface: scene.surface, frame, version }
  }

  private view (first: Shown<S>, canvas: Box): View<S> {
    const a = alternative.value
    const second = a ? this.shown(this.other, a.frame, this.versions.other) : null
    const how = comparison.value
    return {
      first, second, canvas, checks: this.checks,
      comparing: !second || how === 'before' ? 'first' : how === 'off' ? 'second' : how,
      curtain: curtain.value * area.value.w, pan: pan.value, zoom: zoom.value, ratio: area.value.ratio,
      grid: view.value.grid && zoom.value >= GRID_ZOOM, veil: brush.value.veil
    }
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

  private read (part?: Box): { width: number, height: number, data: Uint8ClampedArray } | null {
    const s = this.main.surface
    if (!s) return null
    const box = part ?? { x: 0, y: 0, w: s.width, h: s.height }
    return { width: box.w, height: box.h, data: this.backend.read(s, box) }
  }
}
