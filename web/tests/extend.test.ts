import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawnSides, outerFrame, sideGrip } from '../src/canvas/extend.ts'
import { boxOfFrame, frameOfBox, frameOfLayer } from '../src/canvas/transform.ts'
import { NO_SIDES } from '../src/state/store.ts'

const canvas = frameOfBox({ x: 0, y: 0, w: 100, h: 80 })
const usual = { even: false, free: false }

test('a side is drawn outwards in steps of 16, never inwards', () => {
  assert.deepEqual(drawnSides(canvas, NO_SIDES, 'right', { x: 100, y: 0 }, { x: 131, y: 50 }, usual), { left: 0, top: 0, right: 32, bottom: 0 })
  assert.deepEqual(drawnSides(canvas, NO_SIDES, 'left', { x: 0, y: 0 }, { x: 60, y: 0 }, usual), NO_SIDES)
  assert.deepEqual(drawnSides(canvas, { ...NO_SIDES, top: 32 }, 'top', { x: 0, y: 0 }, { x: 0, y: -5 }, { even: true, free: true }), { left: 0, top: 37, right: 0, bottom: 37 })
})

test('around a turned layer, pixels are those of its image', () => {
  const f = frameOfLayer({ x: 0, y: 0, scale_x: 2, scale_y: 2, rotation: 90 }, { width: 10, height: 20 })
  assert.equal(drawnSides(f, NO_SIDES, 'right', { x: 0, y: 20 }, { x: 0, y: 84 }, usual).right, 32)
})

test('the outer frame reaches as far as the sides, the grip stands outside', () => {
  const outer = outerFrame(canvas, { left: 16, top: 32, right: 0, bottom: 8 })
  assert.deepEqual(boxOfFrame(outer), { x: -16, y: -32, w: 116, h: 120 })
  assert.deepEqual(sideGrip(outer, 'left', 10), { x: -26, y: 28 })
})
