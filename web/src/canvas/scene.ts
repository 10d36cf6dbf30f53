/* scene.ts - the composed image of a stack, made anew only where and from where something changed.
 *
 * Each level (the canvas, and the groups on the way to what changes) has a surface with the composed image and a second
 * one, the base: what lies below the layer that changed last. While one layer is dragged, the base is put back
 * and only that layer and those above are blended again, within the box that it left and the one that it came to. A group
 * is isolated: its members are composed on a transparent surface, which is blended as one. */
import type { Layer } from '../api/types.ts'
import type { Assets } from './assets.ts'
import type { Backend, Drawing, Surface, Texture } from './backend.ts'
import { EMPTY, intersect, isEmpty, matrixOf, multiply, pixels, scaling, translation, type Box, type Matrix, type Point } from '../state/matrix.ts'
import { changedBox, firstChange, unitsOf, type Unit } from './units.ts'

/* Pixels of a scene's surface, at most; larger canvases are composed smaller. */
const MOST_PIXELS = 36e6

interface Level<S extends Surface> {
  surface: S
  base: S | null
  baseKeys: string[]
  owner: string | null // the group whose members it holds; null: nobody's
  units: Unit[]
}

const near = (a: number, b: number): boolean => Math.abs(a - b) < 1e-3

/* A layer without scale and rotation at whole pixels is not resampled. */
function wholeShift (m: Matrix): { x: number, y: number } | null {
  const upright = near(m.a, 1) && near(m.d, 1) && m.b === 0 && m.c === 0
  return upright && near(m.e, Math.round(m.e)) && near(m.f, Math.round(m.f)) ? { x: Math.round(m.e), y: Math.round(m.f) } : null
}

export class Scene<T extends Texture, S extends Surface> {
  private readonly backend: Backend<T, S>
  private readonly assets: Assets<T, S>
  private frame: Box = EMPTY
  private whole: Box = EMPTY // of the surfaces
  private levels: Level<S>[] = [] // by depth: the canvas, then groups on the way to the change
  private spare: Level<S>[] = [] // by depth: for the other groups
  scale = 1 // pixels of the surface a pixel of the canvas

  constructor (backend: Backend<T, S>, assets: Assets<T, S>) {
    this.backend = backend
    this.assets = assets
  }

  get origin (): Point {
    return this.frame
  }

  get surface (): S | null {
    return this.levels[0]?.surface ?? null
  }

  /* Composes `layers` as seen in `frame`, a part of the canvas. True when it looks different from before. */
  compose (layers: Layer[], frame: Box): boolean {
    const fresh = this.resize(frame)
    const units = unitsOf(layers, (id) => this.assets.get(id))
    const top = this.level(this.levels, 0)
    if (!fresh && firstChange(top.units, units) < 0) return false
    this.update(0, top, '', units)
    return true
  }

  free (): void {
    for (const l of [...Object.values(this.levels), ...Object.values(this.spare)]) { // depths that nothing needed are holes
      this.backend.free(l.surface)
      if (l.base) this.backend.free(l.base)
    }
    this.levels = []
    this.spare = []
    this.frame = EMPTY
  }

  /* True when everything begins anew. */
  private resize (frame: Box): boolean {
    const old = this.frame
    if (old.x === frame.x && old.y === frame.y && old.w === frame.w && old.h === frame.h) return false
    this.free()
    const side = Math.min(1, this.backend.most / frame.w, this.backend.most / frame.h)
    this.scale = Math.min(side, Math.sqrt(MOST_PIXELS / (frame.w * frame.h)))
    if (this.scale > 1) this.scale = 1
    this.frame = { ...frame }
    this.whole = { x: 0, y: 0, w: Math.max(1, Math.round(frame.w * this.scale)), h: Math.max(1, Math.round(frame.h * this.scale)) }
    return true
  }

  private level (list: Level<S>[], depth: number): Level<S> {
    const level = list[depth] ?? { surface: this.backend.surface(this.whole.w, this.whole.h), base: null, baseKeys: [], owner: null, units: [] }
    list[depth] = level
    return level
  }

  /* A box of the canvas in whole pixels of the surface. */
  private onSurface (b: Box): Box {
    const s = this.scale
    return intersect(this.whole, pixels({ x: (b.x - this.frame.x) * s, y: (b.y - this.frame.y) * s, w: b.w * s, h: b.h * s }))
  }

  /* Makes the level hold `units` of the group `owner`. */
  private update (depth: number, level: Level<S>, owner: string, units: Unit[]): void {
    const kept = level.owner === owner
    if (!kept) level.baseKeys = []
    const before = kept ? level.units : []
    const change = firstChange(before, units)
    if (kept && change < 0) return
    const first = Math.max(0, change)
    const box = kept ? changedBox(before, units) : null
    /* A box of a reduced surface reaches into the pixels beside it. */
    const part = box ? this.onSurface({ x: box.x - 1, y: box.y - 1, w: box.w + 2, h: box.h + 2 }) : this.whole
    const based = this.startsAtBase(level, units, first)
    if (based) this.backend.copy(level.base as S, level.surface, part)
    else if (first === 0) this.backend.clear(level.surface, part)
    const from = based || first === 0 ? first : this.rebase(depth, level, units, first)
    const area = based || first === 0 ? part : this.whole
    for (let i = from; i < units.length; i++) this.blend(depth, level, units[i] as Unit, i === first, area)
    level.units = units
    level.owner = owner
  }

  private startsAtBase (level: Level<S>, units: Unit[], first: number): boolean {
    return first > 0 && level.base !== null && level.baseKeys.length === first && level.baseKeys.every((k, i) => units[i]?.key === k)
  }

  /* Composes what lies below `first` and keeps it as the base. Where drawing goes on. */
  private rebase (depth: number, level: Level<S>, units: Unit[], first: number): number {
    const have = level.base !== null && level.baseKeys.length < first && level.baseKeys.every((k, i) => units[i]?.key === k)
      ? level.baseKeys.length
      : 0
    if (have > 0) this.backend.copy(level.base as S, level.surface, this.whole)
    else this.backend.clear(level.surface, this.whole)
    for (let i = have; i < first; i++) this.blend(depth, level, units[i] as Unit, false, this.whole)
    level.base ??= this.backend.surface(this.whole.w, this.whole.h)
    this.backend.copy(level.surface, level.base, this.whole)
    level.baseKeys = units.slice(0, first).map((u) => u.key)
    return first
  }

  private blend (depth: number, level: Level<S>, unit: Unit, changing: boolean, area: Box): void {
    const { layer } = unit
    const part = intersect(area, this.onSurface(unit.box))
    if (isEmpty(part)) return
    if (unit.members === null) {
      this.backend.blend(level.surface, this.drawing(layer), part)
      return
    }
    const inside = this.level(changing ? this.levels : this.spare, depth + 1)
    if (changing) this.update(depth + 1, inside, layer.id, unit.members)
    else this.afresh(depth + 1, inside, unit.members, part)
    this.backend.blend(level.surface, {
      source: inside.surface, mask: null, shift: { x: 0, y: 0 }, matrix: translation(0, 0), opacity: layer.opacity, mode: layer.blend_mode
    }, part)
  }

  /* A group that nothing is kept of. */
  private afresh (depth: number, level: Level<S>, units: Unit[], part: Box): void {
    this.backend.clear(level.surface, part)
    for (const u of units) this.blend(depth, level, u, false, part)
  }

  private drawing (layer: Layer): Drawing<T, S> {
    const loaded = this.assets.get(layer.asset ?? '')
    const mask = layer.mask === null ? null : this.assets.get(layer.mask)
    if (!loaded) throw new Error('a unit has its image')
    const { texture, width, height } = loaded
    const onCanvas = multiply(scaling(this.scale, this.scale), multiply(translation(-this.frame.x, -this.frame.y), matrixOf(layer)))
    const matrix = multiply(onCanvas, scaling(width / texture.width, height / texture.height))
    return { source: texture, mask: mask?.texture ?? null, shift: wholeShift(matrix), matrix, opacity: layer.opacity, mode: layer.blend_mode }
  }
}
