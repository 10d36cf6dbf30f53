/* Scenes drawn by the processor: what is kept between changes never changes what is seen. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BLEND_MODES, type Layer } from '../src/api/types.ts'
import { Assets } from '../src/canvas/assets.ts'
import { CPUBackend, type Pixels } from '../src/canvas/cpu/backend.ts'
import { Scene } from '../src/canvas/scene.ts'
import { changedBox, firstChange, unitsOf } from '../src/canvas/units.ts'

const W = 24
const H = 18
const FRAME = { x: 0, y: 0, w: W, h: H }

function random (seed: number): () => number {
  let s = seed
  return () => (s = (s * 1664525 + 1013904223) >>> 0) / 4294967296
}

/* Twelve images, a0 to a11, with all alphas. */
const images = new Map<string, Pixels>(Array.from({ length: 12 }, (_, k) => {
  const next = random(k + 1)
  const data = Uint8ClampedArray.from({ length: 4 * 10 * 8 }, () => next() * 256)
  return [`a${k}`, { width: 10, height: 8, data }]
}))

class Store extends Assets<Pixels, Pixels> {
  override get (id: string): { texture: Pixels, width: number, height: number } | null {
    const texture = images.get(id)
    return texture ? { texture, width: texture.width, height: texture.height } : null
  }
}

const scene = (): Scene<Pixels, Pixels> => {
  const backend = new CPUBackend()
  return new Scene(backend, new Store(backend, () => undefined))
}

function layer (id: string, part: Partial<Layer> = {}): Layer {
  return {
    id, kind: 'image', parent: null, name: id, asset: id, mask: null, x: 0, y: 0, scale_x: 1, scale_y: 1, rotation: 0, opacity: 1,
    blend_mode: 'normal', visible: true, locked: false, warning: null, ...part
  }
}

function composed (layers: Layer[]): Uint8ClampedArray {
  const s = scene()
  s.compose(layers, FRAME)
  return s.surface?.data ?? new Uint8ClampedArray()
}

/* a0, group g of a1, a2 and group h of a3, a4, then a5, a6. */
function stack (): Layer[] {
  const mode = (i: number): Partial<Layer> => ({ x: 3 * i, y: i, blend_mode: BLEND_MODES[(3 * i) % 17], opacity: i % 2 ? 0.7 : 1 })
  return [
    layer('a0', mode(0)), layer('a1', { ...mode(1), parent: 'g' }), layer('a2', { ...mode(2), parent: 'g' }),
    layer('a3', { ...mode(3), parent: 'h' }), layer('a4', { ...mode(4), parent: 'h' }),
    layer('h', { kind: 'group', parent: 'g', opacity: 0.8, blend_mode: 'screen' }), layer('g', { kind: 'group', opacity: 0.9 }),
    layer('a5', mode(5)), layer('a6', { ...mode(6), mask: 'a7', rotation: 20 })
  ]
}

test('whatever changes, in whatever order, looks as if it were composed anew', () => {
  const next = random(99)
  const s = scene()
  let layers = stack()
  for (let step = 0; step < 150; step++) {
    const at = Math.floor(next() * layers.length)
    const dice = next()
    const again = Math.floor(next() * 3)
    layers = layers.map((l, i) => i !== at ? l
      : dice < 0.6 ? { ...l, x: Math.floor(next() * 20) - 4, y: Math.floor(next() * 14) - 3 }
        : dice < 0.75 ? { ...l, visible: !l.visible }
          : dice < 0.9 ? { ...l, opacity: Math.round(next() * 10) / 10 } : { ...l, blend_mode: BLEND_MODES[Math.floor(next() * 17)] ?? 'normal' })
    s.compose(layers, FRAME)
    for (let k = 0; k < again; k++) {
      layers = layers.map((l, i) => i === at ? { ...l, x: l.x + 1 } : l)
      s.compose(layers, FRAME)
    }
    assert.deepEqual(s.surface?.data, composed(layers), `step ${step}`)
  }
})

test('what looks the same is not composed again', () => {
  const s = scene()
  assert.equal(s.compose(stack(), FRAME), true)
  assert.equal(s.compose(stack().map((l) => ({ ...l, name: 'other', locked: true })), FRAME), false)
  assert.equal(s.compose(stack().slice(0, -1), FRAME), true)
})

test('a canvas of another size begins anew, groups and all; nothing is kept of the old one', () => {
  const backend = new CPUBackend()
  const s = new Scene(backend, new Store(backend, () => undefined))
  let held = 0
  const surface = backend.surface.bind(backend)
  backend.surface = (w, h) => { held++; return surface(w, h) }
  backend.free = () => { held-- }
  s.compose(stack(), FRAME)
  s.compose(stack().map((l) => ({ ...l, x: l.x + 1 })), FRAME)
  s.compose(stack(), { ...FRAME, w: W / 2 })
  assert.equal(s.surface?.width, W / 2)
  s.free()
  assert.equal(held, 0)
})

test('a dragged layer blends again only what is above it, within what it touches', () => {
  const backend = new CPUBackend()
  const s = new Scene(backend, new Store(backend, () => undefined))
  const drag = (x: number): Layer[] => Array.from({ length: 10 }, (_, i) => layer(`a${i}`, { x: i === 7 ? x : 0 }))
  s.compose(drag(1), FRAME)
  s.compose(drag(2), FRAME)
  const blended: { layer: number, w: number }[] = []
  const blend = backend.blend.bind(backend)
  backend.blend = (to, d, part) => {
    blended.push({ layer: [...images.values()].indexOf(d.source), w: part.w })
    blend(to, d, part)
  }
  s.compose(drag(3), FRAME)
  assert.deepEqual(blended.map((b) => b.layer), [7, 8, 9])
  assert.ok(blended.every((b) => b.w <= 13))
})

test('a group is isolated: its members do not see what lies below', () => {
  const members = [layer('a1', { parent: 'g', blend_mode: 'multiply' }), layer('g', { kind: 'group' })]
  const alone = composed([layer('a1')])
  assert.deepEqual(composed(members), alone)
  const over = composed([layer('a0'), ...members])
  assert.deepEqual(over, composed([layer('a0'), layer('a1')]))
})

test('a layer at whole pixels is copied, one that is turned by right angles too', () => {
  const image = images.get('a0')
  const data = composed([layer('a0', { x: 2, y: 3 })])
  assert.deepEqual([...data.slice(4 * (3 * W + 2), 4 * (3 * W + 12))].filter((_, i) => i % 4 === 3), [...image?.data.slice(0, 40) ?? []].filter((_, i) => i % 4 === 3))
  const turned = composed([layer('a0', { x: 12, y: 3, rotation: 90 })])
  assert.equal(turned[4 * (3 * W + 11) + 3], image?.data[3])
})

test('units: what is hidden or not there yet is not drawn; boxes of what differs', () => {
  const size = (id: string): { width: number, height: number } | null => id === 'gone' ? null : { width: 10, height: 8 }
  const before = unitsOf([layer('a'), layer('b', { asset: 'gone' }), layer('c', { visible: false }), layer('d', { x: 5 })], size)
  assert.deepEqual(before.map((u) => u.layer.id), ['a', 'd'])
  const after = unitsOf([layer('a'), layer('d', { x: 7 })], size)
  assert.equal(firstChange(before, after), 1)
  assert.deepEqual(changedBox(before, after), { x: 5, y: 0, w: 12, h: 8 })
  assert.equal(changedBox(before, after.slice(1)), null)
})
