import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Layer } from '../src/api/types.ts'
import { cropped, isAllowed, resizedBox } from '../src/canvas/crop.ts'

const box = { x: 10, y: 10, w: 100, h: 50 }

test('a handle moves its sides only, in whole pixels, and leaves at least one', () => {
  assert.deepEqual(resizedBox(box, { x: 1, y: 0 }, { x: 80.4, y: 0 }, false), { x: 10, y: 10, w: 70, h: 50 })
  assert.deepEqual(resizedBox(box, { x: -1, y: -1 }, { x: -5, y: 30 }, false), { x: -5, y: 30, w: 115, h: 30 })
  assert.deepEqual(resizedBox(box, { x: -1, y: 0 }, { x: 500, y: 0 }, false), { x: 109, y: 10, w: 1, h: 50 })
})

test('with its proportions kept, the corner across stays', () => {
  assert.deepEqual(resizedBox(box, { x: -1, y: -1 }, { x: -90, y: 10 }, true), { x: -90, y: -40, w: 200, h: 100 })
})

test('everything stays where it is seen', () => {
  const made = cropped([{ id: 'a', x: 12, y: 5 } as Layer], box)
  assert.deepEqual([made.width, made.height, made.selection, made.layers[0]?.x, made.layers[0]?.y], [100, 50, null, 2, -5])
})

test('a canvas has limits', () => {
  assert.ok(isAllowed({ x: 0, y: 0, w: 10000, h: 10000 }))
  assert.ok(!isAllowed({ x: 0, y: 0, w: 10001, h: 10000 }))
  assert.ok(!isAllowed({ x: 0, y: 0, w: 30001, h: 1 }))
})
