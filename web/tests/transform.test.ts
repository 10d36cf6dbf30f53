import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Layer } from '../src/api/types.ts'
import { apply, matrixOf, translation } from '../src/state/matrix.ts'
import { snapBox, snapPoint } from '../src/canvas/snap.ts'
import { boxOfFrame, frameOfBox, frameOfLayer, gripAt, handlePoint, moved, scaled, snappedAngle, turned, turnOf } from '../src/canvas/transform.ts'

const near = (a: number, b: number): void => { assert.ok(Math.abs(a - b) < 1e-6, `${a} is not ${b}`) }
const box = frameOfBox({ x: 10, y: 20, w: 100, h: 50 })
const layer = { x: 10, y: 20, scale_x: 1, scale_y: 1, rotation: 0 } as Layer

test('a corner keeps the proportions, and the corner across stays', () => {
  const m = scaled(box, { x: 1, y: 1 }, { x: 210, y: 120 }, { free: false, centred: false })
  const l = moved(layer, m)
  assert.deepEqual([l.x, l.y, l.scale_x, l.scale_y], [10, 20, 2, 2])
})

test('freed, a corner goes where it is drawn to; from the middle, both sides move', () => {
  const free = moved(layer, scaled(box, { x: 1, y: 1 }, { x: 210, y: 45 }, { free: true, centred: false }))
  assert.deepEqual([free.x, free.y, free.scale_x, free.scale_y], [10, 20, 2, 0.5])
  const centred = moved(layer, scaled(box, { x: 1, y: 0 }, { x: 135, y: 0 }, { free: false, centred: true }))
  assert.deepEqual([centred.x, centred.y, centred.scale_x, centred.scale_y], [-15, 20, 1.5, 1])
})

test('a side past the other one mirrors, and nothing becomes flat', () => {
  assert.equal(moved(layer, scaled(box, { x: 1, y: 0 }, { x: -90, y: 0 }, { free: false, centred: false })).scale_x, -1)
  near(moved(layer, scaled(box, { x: 1, y: 0 }, { x: 10, y: 0 }, { free: false, centred: false })).scale_x ?? 0, 0.01)
})

test('a turned layer is scaled along its own sides', () => {
  const l = { x: 0, y: 0, scale_x: 1, scale_y: 1, rotation: 90 } as Layer
  const f = frameOfLayer(l, { width: 10, height: 20 })
  const end = handlePoint(f, { x: 1, y: 0 })
  const to = moved(l, scaled(f, { x: 1, y: 0 }, { x: end.x, y: end.y + 10 }, { free: false, centred: false }))
  near(to.scale_x ?? 0, 2)
  near(to.scale_y ?? 0, 1)
  near(to.rotation ?? 0, 90)
})

test('turning several about their middle keeps that where it is', () => {
  const c = { x: 60, y: 45 }
  const l = moved(layer, turned(c, 180))
  const m = matrixOf({ ...layer, ...l })
  const p = apply(m, { x: 50, y: 25 })
  near(p.x, 60)
  near(p.y, 45)
  near(Math.abs(l.rotation ?? 0), 180)
  near(turnOf(c, { x: 70, y: 45 }, { x: 60, y: 55 }), 90)
})

test('angles hold at right angles, and go in steps', () => {
  assert.equal(snappedAngle(89, false), 90)
  assert.equal(snappedAngle(86.04, false), 86)
  assert.equal(snappedAngle(52, true), 45)
})

test('a whole step leaves scale and rotation alone', () => {
  assert.deepEqual(moved({ ...layer, rotation: 33 }, translation(3, -4)), { x: 13, y: 16 })
})

test('the part of a frame under a point', () => {
  assert.deepEqual(gripAt(box, { x: 109, y: 69 }, 4, 20), { x: 1, y: 1 })
  assert.deepEqual(gripAt(box, { x: 60, y: 21 }, 4, 20), { x: 0, y: -1 })
  assert.equal(gripAt(box, { x: 60, y: 0 }, 4, 20), 'turn')
  assert.equal(gripAt(box, { x: 60, y: 45 }, 4, 20), 'inside')
  assert.equal(gripAt(box, { x: 200, y: 45 }, 4, 20), null)
  assert.equal(gripAt(frameOfBox({ x: 0, y: 0, w: 6, h: 6 }), { x: 5, y: 5 }, 8, 20), 'inside')
})

test('a box sticks to edges and middles, the nearest one, and says how far the other is', () => {
  const canvas = { x: 0, y: 0, w: 400, h: 300 }
  const s = snapBox({ x: 3, y: 100, w: 50, h: 40 }, [canvas, { x: 200, y: 98, w: 20, h: 20 }], 5)
  assert.deepEqual([s.dx, s.dy], [-3, -2])
  const across = s.guides.find((g) => g.axis === 'y' && g.at === 98)
  assert.deepEqual(across?.gap, { from: 50, to: 200 })
  assert.deepEqual([across?.from, across?.to], [0, 220])
  const middle = snapBox({ x: 172, y: 50, w: 50, h: 40 }, [canvas], 5)
  assert.deepEqual([middle.dx, middle.dy], [3, 0])
  assert.deepEqual(snapBox({ x: 60, y: 60, w: 10, h: 10 }, [canvas], 5), { dx: 0, dy: 0, guides: [] })
})

test('a dragged side sticks only along its own axis', () => {
  const s = snapPoint({ x: 398, y: 299 }, { x: true, y: false }, [{ x: 0, y: 0, w: 400, h: 300 }], 5)
  assert.deepEqual([s.point, s.x, s.y], [{ x: 400, y: 299 }, true, false])
  assert.equal(s.guides.length, 1)
  assert.deepEqual(boxOfFrame(box), { x: 10, y: 20, w: 100, h: 50 })
})
