import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Job, Plan } from '../src/api/types.ts'
import { endedOf, fractionOf, liveOf, remediesOf, secondsLeft, smallerRequest } from '../src/state/progress.ts'

const job = (part: Partial<Job>): Job => ({
  id: 'j', kind: 'generate', model: 'm', state: 'queued', project: null, layer: null, candidate: null, created_ms: 0, request: {}, result: null, error: null, ...part
})
const plan = (part: Partial<Plan>): Plan => ({
  verdict: 'resident', budget_bytes: 1, peak_bytes: 1000, seconds: null, advice: [], stages: [], devices: [], swap_bytes: 0, ...part
})

test('progress grows over stages and images', () => {
  const at = (part: Partial<Job>): number => fractionOf(job({ state: 'running', ...part }))
  const rising = [at({ stage: 'load', done: 0.5 }), at({ stage: 'text', done: 1 }), at({ stage: 'steps', done: 0.2 }), at({ stage: 'steps', done: 0.9 }), at({ stage: 'decode', done: 0.5 })]
  assert.deepEqual([...rising].sort((a, b) => a - b), rising)
  assert.ok(at({ stage: 'load', done: 0, image: 1, images: 2 }) >= 0.5)
  assert.ok(at({ stage: 'decode', done: 7 }) <= 1)
  assert.equal(fractionOf(job({ state: 'queued' })), 0)
  assert.equal(fractionOf(job({ state: 'done' })), 1)
})

test('the time left is that of all images', () => {
  const left = (part: Partial<Job>): number | null => secondsLeft(job({ state: 'running', ...part }))
  assert.equal(left({ stage: 'steps', done: 0.25, seconds_left: 6 }), 6)
  assert.equal(left({ stage: 'steps', done: 0.25, seconds_left: 6, image: 0, images: 4 }), 30)
  assert.equal(left({ stage: 'steps', done: 0.25, seconds_left: 6, image: 3, images: 4 }), 6)
  assert.equal(left({ stage: 'load', done: 0.25, seconds_left: 6, image: 0, images: 4 }), null)
  assert.equal(left({ stage: 'steps', image: 0, images: 4 }), null)
})

test('what runs is first, then the order of the queue', () => {
  const all = [job({ id: 'a', created_ms: 1 }), job({ id: 'b', created_ms: 2 }), job({ id: 'f', state: 'running', created_ms: 9 }), job({ id: 'c', state: 'running' }), job({ id: 'd', state: 'done' }), job({ id: 'e', created_ms: 0 })]
  assert.deepEqual(liveOf(all, { paused: false, running: 'f', running_jobs: ['f', 'c'], queued: ['b', 'a'] }).map((j) => j.id), ['f', 'c', 'b', 'a', 'e'])
  const ended = [job({ id: 'x', state: 'done', finished_ms: 5 }), job({ id: 'y', state: 'failed', finished_ms: 9 }), job({ id: 'z', state: 'done', finished_ms: 1 }), job({ id: 'q' })]
  assert.deepEqual(endedOf(ended, 5).map((j) => j.id), ['y', 'x'])
})

test('the same in smaller', () => {
  assert.deepEqual(smallerRequest(job({ request: { prompt: 'p', width: 1024, height: 512 } }), null), { prompt: 'p', width: 768, height: 384 })
  assert.deepEqual(smallerRequest(job({ kind: 'edit', request: { images: ['a'] } }), { width: 128, height: 128 }), { images: ['a'], width: 96, height: 96 })
  assert.deepEqual(smallerRequest(job({ kind: 'layers', request: { image: 'a' } }), null), { image: 'a', resolution: 480 })
  assert.equal(smallerRequest(job({ kind: 'layers', request: { image: 'a', resolution: 64 } }), null), null)
  assert.equal(smallerRequest(job({ request: { width: 64, height: 64 } }), null), null)
  assert.equal(smallerRequest(job({ kind: 'caption' }), null), null)
})

test('remedies follow the plan', () => {
  assert.deepEqual(remediesOf(null), { smaller: false, budget: null, stream: null })
  assert.deepEqual(remediesOf(plan({})), { smaller: true, budget: null, stream: '600' })
  const refused = plan({ verdict: 'refused', advice: ['a budget of 2.00 GiB or more (--budget) would be enough', 'a smaller image: computing takes up to 1.00 GiB'] })
  assert.deepEqual(remediesOf(refused), { smaller: true, budget: '2.00GiB', stream: null })
  assert.equal(remediesOf(plan({ verdict: 'refused', advice: ['smaller weights (--weights q8_0 or q5_0): they take up to 3.00 GiB'] })).smaller, false)
})
