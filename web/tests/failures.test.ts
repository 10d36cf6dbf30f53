import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Job } from '../src/api/types.ts'
import { failureOf } from '../src/panels/queue/words.ts'

const failed = (code: string, more: { detail?: string, refused?: boolean } = {}): Job => ({
  id: 'j', kind: 'generate', model: 'm', state: 'failed', project: null, layer: null, candidate: null, created_ms: 0, request: {}, result: null,
  error: { code, status: 500, detail: 'as the server says it', ...more }
})

test('a dead engine is told in words, with what to do next', () => {
  assert.match(failureOf(failed('engine_crashed')), /crashed.*Try again/)
  assert.match(failureOf(failed('engine_lost_worker')), /worker on the other machine is gone.*runs there.*try again/)
  assert.match(failureOf(failed('engine_out_of_memory')), /ran out of memory.*Try smaller.*budget.*close other programs/)
  assert.match(failureOf(failed('engine_stuck')), /no sign of life.*Try again/)
})

test('what has ended the engine twice is not to be tried again', () => {
  for (const code of ['engine_crashed', 'engine_out_of_memory', 'engine_stuck']) {
    const said = failureOf(failed(code, { refused: true }))
    assert.match(said, /twice.*not tried again until the server.*Change/)
    assert.doesNotMatch(said, /Try again/)
  }
})

test('all else is said as the server says it', () => {
  assert.equal(failureOf(failed('numeric')), 'as the server says it')
  assert.equal(failureOf({ ...failed('numeric'), state: 'interrupted', error: null }), 'Interrupted')
  assert.equal(failureOf(failed('constructor')), 'as the server says it')
})
