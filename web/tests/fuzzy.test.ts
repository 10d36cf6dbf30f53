import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzzy, hasWords, search } from '../src/ui/fuzzy.ts'

const names = ['Undo', 'Redo', 'Export', 'Merge down', 'Keyboard shortcuts', 'Zoom in', 'Zoom out', 'Theme: dark']
const best = (q: string): string | undefined => search(q, names, (n) => n)[0]?.item

test('letters are found in their order', () => {
  assert.equal(best('exp'), 'Export')
  assert.equal(best('md'), 'Merge down')
  assert.equal(best('zo'), 'Zoom in')
  assert.equal(best('zout'), 'Zoom out')
  assert.equal(best('ks'), 'Keyboard shortcuts')
  assert.equal(fuzzy('tpx', 'Export'), null)
  assert.equal(fuzzy('longer than the name', 'Undo'), null)
})

test('starts of words come before letters inside', () => {
  assert.ok((fuzzy('d', 'Merge down')?.score ?? 0) > (fuzzy('d', 'Undo')?.score ?? 0))
  assert.deepEqual(fuzzy('mdo', 'Merge down')?.at, [0, 6, 7])
})

test('without a query everything stays as it is', () => {
  assert.deepEqual(search('', names, (n) => n).map((r) => r.item), names)
  assert.deepEqual(search('  ', names, (n) => n).map((r) => r.item), names)
})

test('every word, without case', () => {
  assert.ok(hasWords('HOUSE light', 'Lighthouse'))
  assert.ok(hasWords('', 'anything'))
  assert.ok(!hasWords('light tower', 'Lighthouse'))
})
