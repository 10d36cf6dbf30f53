import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bounds, combine, invert, newMask, polygon, rectangle, wand, type Mask } from '../src/canvas/mask/mask.ts'
import { feather, grow } from '../src/canvas/mask/soften.ts'
import { beginStroke, falloff, strokeTo } from '../src/canvas/mask/stroke.ts'

const at = (m: Mask, x: number, y: number): number => m.data[y * m.width + x] ?? -1
const area = (m: Mask): number => m.data.reduce((a, v) => a + v, 0) / 255

test('a rectangle, its bounds, and its inverse', () => {
  const m = rectangle(10, 8, { left: 2, top: 3, right: 6, bottom: 5 })
  assert.equal(area(m), 8)
  assert.deepEqual(bounds(m), { left: 2, top: 3, right: 6, bottom: 5 })
  assert.equal(area(invert(m)), 72)
  assert.equal(bounds(newMask(3, 3)), null)
  assert.equal(area(rectangle(4, 4, { left: -9, top: -9, right: 99, bottom: 99 })), 16)
})

test('shapes are added, taken away and put in place', () => {
  const m = rectangle(8, 8, { left: 0, top: 0, right: 4, bottom: 8 })
  combine(m, rectangle(8, 8, { left: 2, top: 0, right: 6, bottom: 8 }), 'add')
  assert.equal(area(m), 48)
  combine(m, rectangle(8, 8, { left: 0, top: 0, right: 8, bottom: 4 }), 'subtract')
  assert.equal(area(m), 24)
  combine(m, rectangle(8, 8, { left: 0, top: 0, right: 1, bottom: 1 }), 'replace')
  assert.equal(area(m), 1)
})

test('a closed line has the area of its inside, also by halves of pixels', () => {
  const square = polygon(20, 20, [{ x: 2.5, y: 2.5 }, { x: 12.5, y: 2.5 }, { x: 12.5, y: 12.5 }, { x: 2.5, y: 12.5 }])
  assert.ok(Math.abs(area(square) - 100) < 0.5)
  assert.equal(at(square, 7, 7), 255)
  assert.equal(at(square, 2, 7), 128)
  const triangle = polygon(40, 40, [{ x: 0, y: 0 }, { x: 40, y: 0 }, { x: 0, y: 40 }])
  assert.ok(Math.abs(area(triangle) - 800) < 4)
  assert.equal(area(polygon(8, 8, [{ x: 1, y: 1 }, { x: 5, y: 5 }])), 0)
})

test('the wand takes what is alike, together or anywhere', () => {
  const px = { width: 5, height: 3, data: new Uint8ClampedArray(60).fill(255) }
  for (const i of [2, 7, 12]) px.data.set([0, 0, 0, 255], 4 * i)
  assert.equal(area(wand(px, 0, 0, 10, true)), 6)
  assert.equal(area(wand(px, 0, 0, 10, false)), 12)
  assert.equal(area(wand(px, 2, 1, 10, true)), 3)
  assert.equal(area(wand(px, 0, 0, 255, true)), 15)
  assert.equal(area(wand(px, 9, 9, 10, true)), 0)
})

test('a flood finds its way round corners', () => {
  const rows = ['.#...', '.#.#.', '...#.']
  const px = { width: 5, height: 3, data: new Uint8ClampedArray(60) }
  rows.join('').split('').forEach((c, i) => { px.data.set(c === '#' ? [0, 0, 0, 255] : [200, 200, 200, 255], 4 * i) })
  assert.equal(area(wand(px, 0, 0, 0, true)), 11)
})

test('growing and shrinking are by distance', () => {
  const m = rectangle(40, 40, { left: 15, top: 15, right: 25, bottom: 25 })
  const wide = grow(m, 5)
  assert.deepEqual(bounds(wide), { left: 10, top: 10, right: 30, bottom: 30 })
  assert.equal(at(wide, 10, 10), 0)
  assert.equal(at(wide, 12, 20), 255)
  assert.deepEqual(bounds(grow(m, -3)), { left: 18, top: 18, right: 22, bottom: 22 })
  assert.equal(bounds(grow(m, -6)), null)
  assert.equal(area(grow(newMask(6, 6), 3)), 0)
  assert.equal(grow(m, 0), m)
})

test('feathering keeps the middle, softens the edge, and keeps the sum', () => {
  const m = rectangle(60, 60, { left: 20, top: 20, right: 40, bottom: 40 })
  const soft = feather(m, 6)
  assert.equal(at(soft, 30, 30), 255)
  assert.ok(at(soft, 20, 30) > 100 && at(soft, 20, 30) < 160)
  assert.ok(Math.abs(area(soft) - 400) < 4)
  assert.equal(feather(m, 0), m)
})

test('a dab falls off from its core', () => {
  assert.equal(falloff(0, 10, 0.5), 1)
  assert.equal(falloff(5, 10, 0.5), 1)
  assert.ok(falloff(7.5, 10, 0.5) > 0.4 && falloff(7.5, 10, 0.5) < 0.65)
  assert.equal(falloff(11, 10, 0.5), 0)
})

test('a stroke is not stronger where it passes twice, and erases', () => {
  const m = newMask(64, 64)
  const s = beginStroke(m, { radius: 8, hardness: 0.2, erase: false })
  strokeTo(s, { x: 10, y: 32 })
  strokeTo(s, { x: 54, y: 32 })
  const once = m.data.slice()
  strokeTo(s, { x: 10, y: 32 })
  assert.deepEqual(m.data, once)
  assert.equal(at(m, 32, 32), 255)
  assert.equal(at(m, 32, 50), 0)
  const e = beginStroke(m, { radius: 4, hardness: 1, erase: true })
  strokeTo(e, { x: 32, y: 32 })
  assert.equal(at(m, 32, 32), 0)
  assert.equal(at(m, 20, 32), 255)
})
