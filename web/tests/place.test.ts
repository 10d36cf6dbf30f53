import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Layer } from '../src/api/types.ts'
import { grown, placed } from '../src/state/place.ts'

const layer = (part: Partial<Layer>): Layer => ({
  id: 'l', kind: 'image', parent: null, name: '', asset: 'a', mask: null, x: 0, y: 0, scale_x: 1, scale_y: 1, rotation: 0, opacity: 1,
  blend_mode: 'normal', visible: true, locked: false, warning: null, ...part
})
const canvas = { width: 200, height: 100 }
const near = (a: number | undefined, b: number): void => { assert.ok(Math.abs((a ?? NaN) - b) < 1e-9, `${a} is not ${b}`) }

test('what is made keeps its shape in the middle of the canvas', () => {
  assert.deepEqual(placed({ kind: 'generate', layer: null, request: {} }, { width: 128, height: 128 }, null, [], canvas), { x: 50, y: 0, scale_x: 100 / 128, scale_y: 100 / 128 })
})

test('a change of the canvas lies on it one to one, seen through its mask', () => {
  const at = placed({ kind: 'edit', layer: null, request: { images: ['i'], mask: 'm' } }, canvas, canvas, [], canvas)
  assert.deepEqual({ ...at, x: Math.abs(at.x ?? 1), y: Math.abs(at.y ?? 1) }, { x: 0, y: 0, scale_x: 1, scale_y: 1, mask: 'm' })
})

test('a result that came smaller is as large as what was sent', () => {
  const at = placed({ kind: 'edit', layer: null, request: {} }, { width: 100, height: 50 }, canvas, [], canvas)
  assert.equal(at.scale_x, 2)
  assert.equal(at.scale_y, 2)
})

test('a change of a turned layer lies over it', () => {
  const l = layer({ x: 30, y: 40, scale_x: 2, scale_y: 3, rotation: 90, mask: 'own', parent: 'g' })
  const at = placed({ kind: 'edit', layer: 'l', request: { extend: [10, 0, 0, 5] } }, { width: 60, height: 25 }, { width: 50, height: 20 }, [l], canvas)
  near(at.x, 30)
  near(at.y, 40 - 20)
  assert.equal(at.scale_x, 2)
  assert.equal(at.scale_y, 3)
  assert.equal(at.rotation, 90)
  assert.equal(at.mask, null)
  const same = placed({ kind: 'edit', layer: 'l', request: {} }, { width: 50, height: 20 }, { width: 50, height: 20 }, [l], canvas)
  assert.equal(same.mask, 'own')
  assert.equal(same.parent, 'g')
})

test('an extended canvas shows everything where it was', () => {
  const request = { extend: [20, 10, 0, 30] }
  const at = placed({ kind: 'edit', layer: null, request }, { width: 220, height: 140 }, canvas, [], canvas)
  assert.deepEqual({ x: at.x, y: at.y, sx: at.scale_x, sy: at.scale_y }, { x: -20, y: -10, sx: 1, sy: 1 })
  const next = grown([layer({ x: 5, y: 5 }), layer({ id: 'new', ...at })], canvas, { left: 20, top: 10, right: 0, bottom: 30 })
  assert.deepEqual([next.width, next.height, next.layers[0]?.x, next.layers[1]?.x, next.layers[1]?.y], [220, 140, 25, 0, 0])
})
