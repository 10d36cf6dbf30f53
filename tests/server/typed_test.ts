// A client whose types openapi-typescript made of /openapi.json, against a running server. It must compile, strictly,
// and do what its types say. Usage: node typed_test.js BASE_URL
import assert from 'node:assert/strict'
import createClient from 'openapi-fetch'
import type { components, paths } from './api.js'

type Schemas = components['schemas']

const baseUrl = process.argv[2] as string
const client = createClient<paths>({ baseUrl })
const request: Schemas['GenerateRequest'] = { prompt: 'a red star on a white background', seed: 1, width: 64, height: 64 }
const key = { 'Idempotency-Key': 'typed' }

async function isOver (id: string): Promise<Schemas['Job']> {
  for (;;) {
    const { data } = await client.GET('/v1/jobs/{id}', { params: { path: { id } } })
    assert.ok(data)
    if (data.state !== 'queued' && data.state !== 'running') return data
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function images (job: Schemas['Job']): Schemas['ImagesResult'] {
  assert.ok(job.result && 'images' in job.result)
  return job.result as Schemas['ImagesResult']
}

// A job, the same one again, and its result.
const first = await client.POST('/v1/generate', { body: request, params: { header: key } })
const again = await client.POST('/v1/generate', { body: request, params: { header: key } })
const job = first.data as Schemas['Job']
assert.equal(job.id, (again.data as Schemas['Job']).id)
const done = await isOver(job.id)
assert.equal(done.state, 'done')
const image = images(done).images[0]
assert.ok(image && image.width === 64 && image.seed === 1)

// The result at once.
const waited = await client.POST('/v1/generate', { body: request, params: { query: { wait: true } } })
assert.equal(waited.response.status, 200)
assert.equal((waited.data as Schemas['ImagesResult']).images[0]?.asset, image.asset)

// A project: its revision guards it.
const made = await client.POST('/v1/projects', {
  body: { name: 'typed', width: 64, height: 64, layers: [{ asset: image.asset, opacity: 0.5 }] }
})
assert.ok(made.data?.id && made.data.layers?.[0])
const etag = made.response.headers.get('etag') as string
const id = made.data.id
const changed = await client.PATCH('/v1/projects/{id}', {
  params: { path: { id }, header: { 'If-Match': etag } }, body: { name: 'other' }
})
assert.equal(changed.data?.name, 'other')
const late = await client.PATCH('/v1/projects/{id}', {
  params: { path: { id }, header: { 'If-Match': etag } }, body: { name: 'third' }
})
assert.equal(late.response.status, 412)
assert.equal(late.error?.code, 'precondition')
const gone = await client.DELETE('/v1/projects/{id}', { params: { path: { id }, header: { 'X-Veetance': '1' } } })
assert.equal(gone.response.status, 204)

// What is wrong is said with the field's name; the types say so before.
const wrong = await client.POST('/v1/generate', {
  // @ts-expect-error: a number is wanted
  body: { prompt: 'x', steps: 'many' }
})
const problem: Schemas['Problem'] | undefined = wrong.error
assert.equal(problem?.field, 'steps')

// Events have the shapes that the document names.
const stream = await fetch(`${baseUrl}/v1/jobs/${done.id}/events`)
const line = (await stream.text()).split('\n').find((l) => l.startsWith('data: ')) as string
const end = JSON.parse(line.slice(6)) as Schemas['JobEnd']
assert.equal(end.state, 'done')
assert.ok(end.result && 'images' in end.result)
console.log('the typed client is content')
