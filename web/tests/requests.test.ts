import assert from 'node:assert/strict'
import { test } from 'node:test'
import { budgetIn, canShrink } from '../src/state/advice.ts'
import { EMPTY_MAKE, fitted, madeFrom, makeRequest, modelFor, shaped, side, sideFor, smaller } from '../src/state/requests.ts'
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
  assert.deepEqual(makeRequest({ ...f, steps: 4, count: 3, guidance: 0, maxTokens: 64, int8: true }, { width: 128, height: 64 }, { model: 'm', seed: 0 }),
    { model: 'm', prompt: 'two owls', width: 128, height: 64, steps: 4, seed: 0, count: 3, guidance: 0, max_tokens: 64, compute: 'int8' })
})

test('fields made from a request ask for the same again', () => {
  const request = { prompt: 'two owls', width: 128, height: 64, steps: 4, seed: 9, guidance: 3.5, max_tokens: 64, compute: 'int8' }
  const f = madeFrom(request)
  assert.deepEqual(makeRequest(f, f.size ?? { width: 0, height: 0 }, { model: undefined, seed: f.seed ?? -1 }), request)
  assert.equal(madeFrom({ prompt: 5, width: 'x', seed: NaN }).prompt, '')
})

test('what a button can do of the advice', () => {
  assert.equal(budgetIn('a budget of 7.80 GiB or more (--budget) would be enough'), '7.80GiB')
  assert.equal(budgetIn('with a budget of 512.00 MiB nothing would have to be streamed'), '512.00MiB')
  assert.equal(budgetIn('--weights q8_0 halves what is streamed in bf16'), null)
  assert.ok(canShrink('a smaller image: computing takes up to 3.00 GiB'))
  assert.ok(!canShrink('smaller weights (--weights q8_0 or q5_0): they take up to 3.00 GiB'))
})
