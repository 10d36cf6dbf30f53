import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nameOf } from '../src/api/client.ts'
import { exportQuery, exportSize, previewQuery, USUAL, type ExportChoice } from '../src/state/exporting.ts'

const choice = (part: Partial<ExportChoice>): ExportChoice => ({ ...USUAL, ...part })
const sent = (c: ExportChoice, ids: string[] = []) => JSON.parse(JSON.stringify(exportQuery(c, ids))) as object

test('only what differs from the usual is sent', () => {
  assert.deepEqual(sent(choice({})), { format: 'png' })
  assert.deepEqual(sent(choice({ format: 'jpeg', scale: 0.5, background: '#102030' })), { format: 'jpeg', scale: 0.5, quality: 90, background: '#102030' })
  assert.deepEqual(sent(choice({ format: 'webp' })), { format: 'webp' })
  assert.deepEqual(sent(choice({ format: 'webp', lossless: false, quality: 40 })), { format: 'webp', quality: 40 })
  assert.deepEqual(sent(choice({ format: 'psd', scale: 2, trim: true })), { format: 'psd' })
  assert.deepEqual(sent(choice({ format: 'psd', metadata: false })), { format: 'psd', no_metadata: true })
})

test('layers are named only when some are chosen', () => {
  assert.deepEqual(sent(choice({ selected: true }), ['a', 'b']), { format: 'png', layers: 'a,b' })
  assert.deepEqual(sent(choice({ selected: true })), { format: 'png' })
  assert.deepEqual(sent(choice({}), ['a']), { format: 'png' })
})

test('a small flat file is its own preview; others are shown small', () => {
  assert.equal(previewQuery(choice({ format: 'jpeg' }), [], { width: 800, height: 600 })['quality'], 90)
  assert.equal(previewQuery(choice({ format: 'jpeg' }), [], { width: 800, height: 600 })['scale'], undefined)
  assert.equal(previewQuery(choice({}), [], { width: 4800, height: 4800 })['scale'], 0.1)
  assert.equal(previewQuery(choice({ format: 'psd' }), [], { width: 960, height: 960 })['format'], 'png')
})

test('the pixels of the file', () => {
  const canvas = { width: 301, height: 200 }
  assert.deepEqual(exportSize(choice({ scale: 0.5 }), canvas, null), { width: 151, height: 100 })
  assert.deepEqual(exportSize(choice({ format: 'zip', scale: 0.5, trim: true }), canvas, null), canvas)
  assert.equal(exportSize(choice({ trim: true }), canvas, null), null)
  assert.deepEqual(exportSize(choice({ trim: true, scale: 2 }), canvas, { width: 50, height: 25, scale: 0.5 }), { width: 200, height: 100 })
})

test('the name that the server gave the file', () => {
  assert.equal(nameOf('attachment; filename="a_.png"; filename*=UTF-8\'\'a%C3%A4.png'), 'aä.png')
  assert.equal(nameOf('attachment; filename="a.png"'), 'a.png')
  assert.equal(nameOf(null), '')
})
