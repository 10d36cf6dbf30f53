import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, bytesOf, date, keyLabel, middle, percent, seconds } from '../src/ui/format.ts'

test('sizes', () => {
  assert.equal(bytes(0), '0 B')
  assert.equal(bytes(999), '999 B')
  assert.equal(bytes(1500), '1.5 KB')
  assert.equal(bytes(7.84e9), '7.8 GB')
  assert.equal(bytes(123456789), '123 MB')
})

test('a part in the unit of the whole', () => {
  assert.equal(bytesOf(9.4e9, 16e9), '9.4 of 16.0 GB')
  assert.equal(bytesOf(0, 512e6), '0 of 512 MB')
  assert.equal(bytesOf(150e6, 512e6), '150 of 512 MB')
})

test('dates', () => {
  const now = new Date(2026, 2, 10, 14, 30).getTime()
  assert.equal(date(new Date(2026, 2, 10, 9, 5).getTime(), now), 'today 09:05')
  assert.equal(date(new Date(2026, 2, 9, 23, 59).getTime(), now), 'yesterday')
  assert.equal(date(new Date(2026, 0, 3).getTime(), now), 'Jan 3')
  assert.equal(date(new Date(2025, 10, 3).getTime(), now), 'Nov 3 2025')
})

test('times, shares and long names', () => {
  assert.equal(seconds(0), '0.1 s')
  assert.equal(seconds(12.4), '12 s')
  assert.equal(seconds(600), '10 min')
  assert.equal(percent(0.333), '33 %')
  assert.equal(middle('short'), 'short')
  assert.equal(middle('a long name of a layer', 11), 'a lon…layer')
})

test('keys as they are printed', () => {
  assert.equal(keyLabel('Ctrl+Shift+ArrowUp', false), 'Ctrl+Shift+\u2191')
  assert.equal(keyLabel('Escape', false), 'Esc')
  assert.equal(keyLabel('Ctrl+K', true), '\u2318K')
  assert.equal(keyLabel('?', false), '?')
})
