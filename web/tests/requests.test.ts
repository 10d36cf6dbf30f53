import assert from 'node:assert/strict'
import { test } from 'node:test'
import { budgetIn, canShrink } from '../src/state/advice.ts'
import { EMPTY_APART, EMPTY_CHANGE, EMPTY_MAKE, apartRequest, changeRequest, changedFrom, fitted, madeFrom, makeRequest, modelFor, resolutionAs, shaped, side, sideFor, smaller, takenApartFrom } from '../src/state/requests.ts'
import type { Model } from '../src/api/types.ts'

const model = (id: string, tasks: Model['tasks'], state = 'ready'): Model => ({ id, tasks, state, bytes: 1, embedded: false, open: false })

test('sides are whole tokens within the limits', () => {
  assert.equal(side(1000), 1008)
  assert.equal(side(999), 992)
  assert.equal(side(3), 64)
  assert.equal(side(5000), 2048)
})

test('shapes keep about the area', () => {
  assert.deepEqual(shaped('1:1', 1024), { width: 1024, height: 1024 })
  assert.deepEqual(shaped('3:2', 1024), { width: 1248, height: 832 })
  assert.deepEqual(shaped('9:16', 1024), { width: 768, height: 1360 })
  assert.deepEqual(shaped('16:9', 128), { width: 176, height: 96 })
})

test('a canvas that is too large keeps its shape', () => {
  assert.deepEqual(fitted({ width: 4096, height: 1024 }), { width: 2048, height: 512 })
  assert.deepEqual(fitted({ width: 500, height: 500 }), { width: 496, height: 496 })
})

test('smaller ends at the least size', () => {
  assert.deepEqual(smaller({ width: 1024, height: 1024 }), { width: 768, height: 768 })
  assert.equal(smaller({ width: 64, height: 64 }), null)
})

test('the preferred model answers while it is there and able', () => {
  const all = [model('a', ['generate', 'edit']), model('b', ['generate', 'edit']), model('c', ['layers']), model('d', ['generate'], 'away')]
  assert.equal(modelFor(all, 'images', 'b')?.id, 'b')
  assert.equal(modelFor(all, 'images', 'd')?.id, 'a')
  assert.equal(modelFor(all, 'images', undefined)?.id, 'a')
  assert.equal(modelFor(all, 'layers', 'b')?.id, 'c')
  assert.equal(sideFor(model('micro-klein', [])), 128)
  assert.equal(sideFor(model('klein-4b', [])), 1024)
})

test('a request holds what was chosen and nothing else', () => {
  const f = { ...EMPTY_MAKE, prompt: ' two owls ' }
  assert.deepEqual(makeRequest(f, { width: 128, height: 64 }, { model: undefined, seed: 7 }), { prompt: 'two owls', width: 128, height: 64, seed: 7 })
  assert.deepEqual(makeRequest({ ...f, steps: 4, count: 3, guidance: 0, maxTokens: 64, int8: true, fast: 2, transparent: true, loras: [{ name: 'glow', strength: 0.5 }] }, { width: 128, height: 64 }, { model: 'm', seed: 0 }),
    { model: 'm', prompt: 'two owls', width: 128, height: 64, steps: 4, seed: 0, count: 3, guidance: 0, max_tokens: 64, compute: 'int8', fast: 2, transparent: true, loras: [{ name: 'glow', strength: 0.5 }] })
})

test('files say nothing of how they were made where that is the wish', () => {
  const asked = { model: undefined, seed: 3, noMetadata: true }
  assert.equal(makeRequest(EMPTY_MAKE, { width: 64, height: 64 }, asked)['no_metadata'], true)
  assert.equal(changeRequest(EMPTY_CHANGE, { image: 'i', mask: null, extend: null }, asked)['no_metadata'], true)
  assert.equal(apartRequest(EMPTY_APART, 'i', asked)['no_metadata'], true)
  assert.equal('no_metadata' in apartRequest(EMPTY_APART, 'i', { ...asked, noMetadata: false }), false)
})

test('fields made from a request ask for the same again', () => {
  const request = { prompt: 'two owls', width: 128, height: 64, steps: 4, seed: 9, guidance: 3.5, max_tokens: 64, compute: 'int8', fast: 2, transparent: true, loras: [{ name: 'glow', strength: 1 }] }
  const f = madeFrom(request)
  assert.deepEqual(makeRequest(f, f.size ?? { width: 0, height: 0 }, { model: undefined, seed: f.seed ?? -1 }), request)
  assert.equal(madeFrom({ prompt: 5, width: 'x', seed: NaN }).prompt, '')
})

test('a change names its image first, then the references in their order', () => {
  const f = { ...EMPTY_CHANGE, prompt: 'darker', references: [{ id: 'r1', name: '' }, { id: 'r2', name: '' }], feather: 4 }
  assert.deepEqual(changeRequest(f, { image: 'i', mask: null, extend: null }, { model: undefined, seed: 3 }), { prompt: 'darker', images: ['i', 'r1', 'r2'], seed: 3 })
  assert.deepEqual(changeRequest({ ...f, strength: 0 }, { image: 'i', mask: 'm', extend: [1, 0, 0, 0] }, { model: 'k', seed: 3 }),
    { model: 'k', prompt: 'darker', images: ['i', 'r1', 'r2'], mask: 'm', extend: [1, 0, 0, 0], feather: 4, strength: 0, seed: 3 })
})

test('what shapes a mask is sent with one, what is undone always', () => {
  const f = { ...EMPTY_CHANGE, prompt: 'darker', maskGrow: -3, maskFeather: 2, maskInvert: true, cropToMask: true, matchColours: true, register: true }
  const asked = { model: undefined, seed: 3 }
  assert.deepEqual(changeRequest(f, { image: 'i', mask: null, extend: null }, asked), { prompt: 'darker', images: ['i'], match_colours: true, register: true, seed: 3 })
  const sent = { image: 'i', mask: 'm', extend: null }
  const request = changeRequest(f, sent, asked)
  assert.deepEqual(request, {
    prompt: 'darker', images: ['i'], mask: 'm', mask_grow: -3, mask_feather: 2, mask_invert: true, crop_to_mask: true, match_colours: true, register: true, seed: 3
  })
  assert.deepEqual(changeRequest(changedFrom(request), sent, asked), request)
})

test('alpha is asked for where the whole image is made anew', () => {
  const f = { ...EMPTY_CHANGE, prompt: 'darker', transparent: true }
  const asked = { model: undefined, seed: 3 }
  const whole = { image: 'i', mask: null, extend: null }
  assert.equal(changeRequest(f, whole, asked)['transparent'], true)
  for (const sent of [{ ...whole, mask: 'm' }, { ...whole, extend: [1, 0, 0, 0] }]) assert.equal(changeRequest(f, sent, asked)['transparent'], undefined)
  assert.equal(changeRequest({ ...f, strength: 0.5 }, whole, asked)['transparent'], undefined)
})

test('a change that is used again keeps references that are in the store', () => {
  const id = 'a'.repeat(64)
  const f = changedFrom({ prompt: 'darker', images: ['b'.repeat(64), id, 'photo.png'], feather: 2, seed: 5 })
  assert.deepEqual(f.references.map((r) => r.id), [id])
  assert.deepEqual([f.prompt, f.feather, f.seed], ['darker', 2, 5])
})

test('taking apart', () => {
  const f = { ...EMPTY_APART, layers: 6, prompt: ' a star ', language: 'zh' as const, resolution: 640, keepEmpty: true }
  const request = apartRequest(f, 'i', { model: undefined, seed: 1 })
  assert.deepEqual(request, { image: 'i', layers: 6, prompt: 'a star', language: 'zh', resolution: 640, seed: 1, keep_empty: true, full_size: true })
  assert.deepEqual(apartRequest(takenApartFrom(request), 'i', { model: undefined, seed: 1 }), request)
  assert.equal(resolutionAs(650), 640)
  assert.equal(resolutionAs(1), 32)
})

test('what a button can do of the advice', () => {
  assert.equal(budgetIn('a budget of 7.80 GiB or more (--budget) would be enough'), '7.80GiB')
  assert.equal(budgetIn('with a budget of 512.00 MiB nothing would have to be streamed'), '512.00MiB')
  assert.equal(budgetIn('--weights q8_0 halves what is streamed in bf16'), null)
  assert.ok(canShrink('a smaller image: computing takes up to 3.00 GiB'))
  assert.ok(!canShrink('smaller weights (--weights q8_0 or q5_0): they take up to 3.00 GiB'))
})
