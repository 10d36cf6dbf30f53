import assert from 'node:assert/strict'
import { test } from 'node:test'
import { evaluate } from '../src/ui/arithmetic.ts'

test('sums', () => {
  assert.equal(evaluate('512*2'), 1024)
  assert.equal(evaluate(' (3 + 1) / 2 '), 2)
  assert.equal(evaluate('-4--2'), -2)
  assert.equal(evaluate('50%'), 0.5)
  assert.equal(evaluate('1,5'), 1.5)
  assert.equal(evaluate('2+3*4'), 14)
})

test('what is no sum is refused', () => {
  for (const s of ['', 'abc', '1+', '1 2 (', '1/0', '()', '1..2', '2**3', 'alert(1)']) assert.equal(evaluate(s), null, s)
})
