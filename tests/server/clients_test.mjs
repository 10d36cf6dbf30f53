// The official OpenAI client, and a validator of OpenAPI documents, against a running server.
// Usage: clients_test.mjs BASE_URL IMAGE GUARDED_URL TOKEN (of a server with that token and room for one waiting job)
import assert from 'node:assert/strict'
import { File } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { Validator } from '@seriousme/openapi-schema-validator'
import OpenAI, { toFile } from 'openai'

globalThis.File ??= File // no global of Node.js 18, and the client wants one

const [base, picture, guarded, token] = process.argv.slice(2)
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: 'none', maxRetries: 0 })
const isPng = (b64) => Buffer.from(b64, 'base64').subarray(1, 4).toString() === 'PNG'

const document = await (await fetch(`${base}/openapi.json`)).json()
const verdict = await new Validator().validate(document)
assert.ok(verdict.valid, JSON.stringify(verdict.errors))

const models = []
for await (const m of client.models.list()) models.push(m.id)
assert.ok(models.includes('micro-klein'), String(models))
assert.equal((await client.models.retrieve('micro-klein')).id, 'micro-klein')

const made = await client.images.generate({
  model: 'micro-klein', prompt: 'a red star on a white background', n: 2, size: '128x128'
})
assert.equal(made.data.length, 2)
assert.ok(made.data.every((d) => isPng(d.b64_json)))

const linked = await client.images.generate({
  model: 'dall-e-3', prompt: 'a red star', response_format: 'url'
})
const answer = await fetch(linked.data[0].url)
assert.equal(answer.headers.get('content-type'), 'image/png')

const edited = await client.images.edit({
  model: 'micro-klein', prompt: 'make the circle green', image: createReadStream(picture)
})
assert.ok(isPng(edited.data[0].b64_json))
const many = await client.images.edit({
  model: 'gpt-image-1', prompt: 'x',
  image: [await toFile(createReadStream(picture), 'a.png', { type: 'image/png' }),
    await toFile(createReadStream(picture), 'b.png', { type: 'image/png' })]
})
assert.ok(isPng(many.data[0].b64_json))

const stream = await client.images.generate({
  model: 'micro-klein', prompt: 'a blue square', stream: true, partial_images: 2
})
const seen = []
for await (const event of stream) {
  seen.push(event.type)
  assert.ok(event.b64_json.length > 0)
}
assert.deepEqual(seen, ['image_generation.partial_image', 'image_generation.partial_image',
  'image_generation.completed'])

const both = await client.images.edit({
  model: 'gpt-image-1', prompt: 'make it green', image: createReadStream(picture), n: 2, stream: true,
  partial_images: 1, output_format: 'jpeg', output_compression: 70
})
const ends = []
for await (const event of both) {
  assert.equal(event.output_format, 'jpeg')
  assert.equal(Buffer.from(event.b64_json, 'base64').readUInt16BE(0), 0xffd8)
  if (event.type === 'image_edit.completed') ends.push(event.index)
}
assert.deepEqual(ends, [0, 1])
await assert.rejects(client.images.generate({ prompt: 'x', background: 'transparent' }),
  (e) => e instanceof OpenAI.BadRequestError && e.param === 'background')
await assert.rejects(client.models.retrieve('no-such-model'), (e) => e instanceof OpenAI.NotFoundError)
await assert.rejects(client.images.generate({ model: 'no-such-model', prompt: 'x' }),
  (e) => e instanceof OpenAI.APIError && e.status === 400 && e.param === 'model')

// A stream of two images; leaving it ends its job.
const two = await client.images.generate({ model: 'micro-klein', prompt: 'x', n: 2, size: '64x64', stream: true })
const indexes = []
for await (const event of two) {
  assert.equal(event.type, 'image_generation.completed')
  assert.ok(isPng(event.b64_json))
  indexes.push(event.index)
}
assert.deepEqual(indexes, [0, 1])
const job = async () => (await (await fetch(`${base}/v1/jobs?limit=1`)).json()).jobs[0]
async function until (said) {
  const end = Date.now() + 60000
  while (!await said()) {
    assert.ok(Date.now() < end, `not so after a minute: ${said}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
const before = (await job()).id
const left = await client.images.generate({ prompt: 'x', steps: 1000, stream: true, partial_images: 3 })
await until(async () => (await job()).id !== before)
left.controller.abort()
await until(async () => (await job()).state === 'cancelled')

// Every failure is the class that the client has for it.
const bare = { maxRetries: 0, baseURL: `${guarded}/v1` }
const stranger = new OpenAI({ ...bare, apiKey: 'wrong' })
const known = new OpenAI({ ...bare, apiKey: token })
const nobody = new OpenAI({ ...bare, baseURL: 'http://127.0.0.1:9/v1', apiKey: 'x' })
await assert.rejects(stranger.models.list(), (e) => e instanceof OpenAI.AuthenticationError && e.code === 'unauthorised')
await assert.rejects(nobody.models.list(), (e) => e instanceof OpenAI.APIConnectionError)
await assert.rejects(client.images.generate({ prompt: 'x', size: 'huge' }),
  (e) => e instanceof OpenAI.BadRequestError && e.param === 'size' && e.type === 'invalid_request_error')
await assert.rejects(client.images.edit({ prompt: 'x', image: await toFile(Buffer.from('no image'), 'a.png') }),
  (e) => e instanceof OpenAI.BadRequestError && e.param === 'image')
await assert.rejects(client.chat.completions.create({ model: 'x', messages: [] }),
  (e) => e instanceof OpenAI.NotFoundError && e.code === 'not_found')
assert.ok((await known.models.list()).data.length > 0)
const full = []
const gone = new AbortController()
for (let i = 0; i < 4; i++) {
  full.push(known.images.generate({ prompt: 'x', steps: 1000 }, { signal: gone.signal }).catch((e) => e))
}
const first = await Promise.race(full)
assert.ok(first instanceof OpenAI.RateLimitError && first.code === 'queue_full', String(first))
assert.ok(Number(first.headers.get('retry-after')) > 0)
gone.abort()
assert.ok((await Promise.all(full)).some((e) => e instanceof OpenAI.APIUserAbortError))
console.log('the clients are content')
