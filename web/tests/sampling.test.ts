import assert from 'node:assert/strict'
import { test } from 'node:test'
import { invert, matrixOf } from '../src/state/matrix.ts'
import { lanczosWeight, samplingOf } from '../src/canvas/sampling.ts'

function of (scale: number, rotation = 0) {
  const m = invert(matrixOf({ x: 3, y: 4, scale_x: scale, scale_y: scale, rotation }))
  assert.ok(m)
  return samplingOf(m)
}

test('what is only turned is not filtered, what is scaled is, what is much reduced is averaged', () => {
  assert.equal(of(1, 30).lanczos, false)
  assert.equal(of(1, 30).tapsX, 1)
  assert.equal(of(2).lanczos, true)
  assert.equal(of(0.5, 45).lanczos, true)
  assert.equal(of(0.25).lanczos, false)
  assert.equal(of(0.25).tapsX, 4)
  assert.equal(of(0.001).tapsX, 16)
})

test('the filter is one in the middle and nothing at whole steps', () => {
  assert.equal(lanczosWeight(0), 1)
  for (const x of [1, 2, -1, 3, 4]) assert.ok(Math.abs(lanczosWeight(x)) < 1e-12)
  assert.ok(Math.abs(lanczosWeight(0.5) - 6 * Math.sin(Math.PI / 2) * Math.sin(Math.PI / 6) * 2 / Math.PI ** 2) < 1e-12)
})
