import assert from 'node:assert/strict'
import { test } from 'node:test'
import { psnr } from '../src/canvas/psnr.ts'
import { stepFor, ticks } from '../src/canvas/ticks.ts'

test('numbers stand on round values, never between pixels', () => {
  assert.equal(stepFor(1), 100)
  assert.equal(stepFor(0.25), 500)
  assert.equal(stepFor(32), 2)
  assert.equal(stepFor(1000), 1)
})

test('a ruler begins where it is seen', () => {
  const list = ticks(210, -50, 1)
  assert.deepEqual(list.filter((t) => t.large).map((t) => [t.at, t.screen]), [[100, 50], [200, 150]])
  assert.equal(list[0]?.at, 50)
})

test('decibels over all channels', () => {
  const a = Uint8ClampedArray.from([0, 0, 0, 255])
  assert.equal(psnr(a, a), Infinity)
  const b = Uint8ClampedArray.from([10, 0, 0, 255])
  assert.ok(Math.abs(psnr(a, b) - 10 * Math.log10(255 * 255 * 4 / 100)) < 1e-12)
})
