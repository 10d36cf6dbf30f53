import assert from 'node:assert/strict'
import { test } from 'node:test'
import { about, apply, around, corners, invert, matrixOf, multiply, pixels, placementOf, rotation, scaling, type Placement } from '../src/state/matrix.ts'

const close = (a: number, b: number): void => { assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`) }

test('a layer lies where docs/formats/project.md says', () => {
  const m = matrixOf({ x: 10, y: 20, scale_x: 2, scale_y: 3, rotation: 90 })
  /* (x, y) + R(90) S(2, 3) (1, 1) = (10, 20) + R(90) (2, 3) = (10, 20) + (-3, 2) */
  assert.deepEqual(apply(m, { x: 1, y: 1 }), { x: 7, y: 22 })
})

test('an inverse takes points back', () => {
  const m = matrixOf({ x: -3, y: 8, scale_x: 0.5, scale_y: -2, rotation: 33 })
  const back = invert(m)
  assert.ok(back)
  const p = apply(back, apply(m, { x: 5, y: 7 }))
  close(p.x, 5)
  close(p.y, 7)
  assert.equal(invert(scaling(0, 1)), null)
})

test('a placement is found again in its matrix, mirrored or not', () => {
  const cases: Placement[] = [
    { x: 1, y: 2, scale_x: 1.5, scale_y: 0.25, rotation: 30 },
    { x: 1, y: 2, scale_x: -1.5, scale_y: 0.25, rotation: -120 },
    { x: 1, y: 2, scale_x: 1.5, scale_y: -0.25, rotation: 170 },
    { x: 1, y: 2, scale_x: -1, scale_y: -2, rotation: 10 }
  ]
  for (const p of cases) {
    const found = placementOf(matrixOf(p), p)
    for (const k of ['x', 'y', 'scale_x', 'scale_y', 'rotation'] as const) close(found[k], p[k])
  }
})

test('turning about a point leaves it where it is', () => {
  const m = about({ x: 40, y: -7 }, multiply(rotation(57), scaling(2, 2)))
  const p = apply(m, { x: 40, y: -7 })
  close(p.x, 40)
  close(p.y, -7)
})

test('boxes: around a turned image, and the pixels that they touch', () => {
  const b = around(corners(10, 20, matrixOf({ x: 0, y: 0, scale_x: 1, scale_y: 1, rotation: 90 })))
  assert.deepEqual({ x: b.x, y: Math.abs(b.y), w: b.w, h: b.h }, { x: -20, y: 0, w: 20, h: 10 })
  assert.deepEqual(pixels({ x: 0.2, y: 1, w: 2, h: 1.0000001 }), { x: 0, y: 1, w: 3, h: 1 })
})
