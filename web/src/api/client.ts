/* client.ts - the HTTP API as functions. Every failure is a Failure: the server's own problem, or "offline". */
import { signal } from '@preact/signals'
import type {
  Asset, CandidateState, Job, JobKind, Model, Plan, Problem, Project, ProjectHead, Queue, Recipe, StoredLora, StoreFacts, StoreLimits, Tidied
} from './types.ts'

export class Failure extends Error {
  readonly problem: Problem
  constructor (problem: Problem) {
    super(problem.detail)
    this.problem = problem
  }

  get offline (): boolean { return this.problem.code === 'offline' }
}

/* The server wants its token, and this page has none that is right. */
export const denied = signal(false)

export interface Follow {
  signal: AbortSignal
  onProgress?: (received: number, total: number | null) => void
}

interface Options {
  signal?: AbortSignal
  method?: string
  query?: Record<string, string | number | boolean | undefined>
  json?: unknown
  body?: BodyInit
  type?: string
  revision?: number
  key?: string
}

function address (path: string, query: Options['query'] = {}): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(query)) if (v !== undefined) q.set(k, String(v))
  const text = q.toString()
  return text ? `${path}?${text}` : path
}

async function problemOf (r: Response): Promise<Problem> {
  const plain = { status: r.status, detail: `${r.status} ${r.statusText}`.trim(), code: 'unknown' }
  try {
    return { ...plain, ...await r.json() as Problem }
  } catch {
    return plain
  }
}

/* A connection that breaks, on the way there or while the answer comes, is a TypeError in every browser. */
async function reached<T> (work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (e) {
    if (!(e instanceof TypeError)) throw e
    throw new Failure({ status: 0, code: 'offline', detail: 'The server does not answer.' })
  }
}

async function send (path: string, o: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { 'X-Veetance': '1' }
  if (o.json !== undefined) headers['Content-Type'] = 'application/json'
  if (o.type) headers['Content-Type'] = o.type
  if (o.revision) headers['If-Match'] = `"${o.revision}"`
  if (o.key) headers['Idempotency-Key'] = o.key
  const body = o.json !== undefined ? JSON.stringify(o.json) : o.body
  const r = await reached(fetch(address(path, o.query), { method: o.method ?? 'GET', headers, body: body ?? null, keepalive: o.method === 'DELETE', signal: o.signal ?? null }))
  denied.value = r.status === 401
  if (!r.ok) throw new Failure(await problemOf(r))
  return r
}

async function get<T> (path: string, query?: Options['query']): Promise<T> {
  return await reached((await send(path, { query })).json()) as T
}

async function call<T> (method: string, path: string, o: Options = {}): Promise<T> {
  const r = await send(path, { ...o, method })
  return (r.status === 204 ? undefined : await reached(r.json())) as T
}

export interface File { blob: Blob, name: string }

/* "attachment; filename="a.png"; filename*=UTF-8''%C3%A4.png": the second, which has every letter. */
export function nameOf (disposition: string | null): string {
  const whole = /filename\*=UTF-8''([^;]+)/.exec(disposition ?? '')?.[1]
  return whole ? decodeURIComponent(whole) : /filename="([^"]+)"/.exec(disposition ?? '')?.[1] ?? ''
}

/* A file as it comes, so that its progress and its failure can be shown. */
async function download (path: string, query: Options['query'], follow: Follow): Promise<File> {
  const r = await send(path, { query, signal: follow.signal })
  const length = r.headers.get('Content-Length')
  const total = length === null ? null : Number(length)
  const parts: BlobPart[] = []
  let received = 0
  const reader = r.body?.getReader()
  const read = async () => reader && await reached(reader.read())
  for (let got = await read(); got && !got.done; got = await read()) {
    parts.push(got.value)
    received += got.value.length
    follow.onProgress?.(received, total)
  }
  const blob = new Blob(parts, { type: r.headers.get('Content-Type') ?? '' })
  return { blob, name: nameOf(r.headers.get('Content-Disposition')) }
}

/* ---- projects ----------------------------------------------------------------------------------- */

export interface Page<T> { items: T[], next: number | null }

export interface Change { label: string, amend?: boolean, revision?: number }

const of = (id: string): string => `/v1/projects/${encodeURIComponent(id)}`

export const projects = {
  async list (before?: number): Promise<Page<ProjectHead>> {
    const r = await get<{ projects: ProjectHead[], next: number | null }>('/v1/projects', { before, limit: 60 })
    return { items: r.projects, next: r.next }
  },
  get: async (id: string) => await get<Project>(of(id)),
  create: async (p: Partial<Project> & { job?: string }) => await call<Project>('POST', '/v1/projects', { json: p }),
  open: async (file: Blob, name: string) =>
    await call<Project & { notes?: string[] }>('POST', '/v1/projects/open',
      { query: { name }, body: file, type: file.type || 'application/octet-stream' }),
  patch: async (id: string, part: Partial<Project>, c: Change) =>
    await call<Project>('PATCH', of(id), { json: part, query: { label: c.label, amend: c.amend || undefined }, revision: c.revision }),
  remove: async (id: string) => await call<void>('DELETE', of(id)),
  undo: async (id: string) => await call<Project>('POST', `${of(id)}/undo`),
  redo: async (id: string) => await call<Project>('POST', `${of(id)}/redo`),
  importJob: async (id: string, body: { job: string, replace?: string, group?: boolean }, label: string) =>
    await call<Project>('POST', `${of(id)}/import`, { json: body, query: { label } }),
  /* What is seen of it, as an image. */
  render: async (id: string) => await call<{ asset: string, width: number, height: number }>('POST', `${of(id)}/render`, { json: {} }),
  merge: async (id: string, layers: string[]) => await call<Project>('POST', `${of(id)}/merge`, { json: { layers } }),
  trim: async (id: string, layer: string) => await call<Project>('POST', `${of(id)}/layers/${layer}/trim`),
  clean: async (id: string, layer: string) => await call<Project>('POST', `${of(id)}/layers/${layer}/clean`),
  /* The revision behind the "#" makes an image that has changed another address for the page. */
  thumbnail: (p: { id: string, revision: number }, size = 320) => `${address(`${of(p.id)}/thumbnail`, { size })}#${p.revision}`,
  exportFile: async (id: string, query: Options['query'], follow: Follow) => await download(`${of(id)}/export`, query, follow)
}

/* ---- images ------------------------------------------------------------------------------------- */

export interface AssetFilter { q?: string, starred?: boolean, trashed?: boolean, origin?: string, before?: number, limit?: number }

export const assets = {
  thumb: (id: string, side = 128) => `/v1/assets/${id}?w=${side}`,
  /* The file itself, or, with a side, a small WebP of it. */
  file: async (id: string, side?: number): Promise<Blob> => {
    const r = await send(`/v1/assets/${id}`, { query: { w: side } })
    return await reached(r.blob())
  },
  async list (filter: AssetFilter = {}): Promise<Page<Asset>> {
    const r = await get<{ assets: Asset[], next: number | null }>('/v1/assets', { ...filter })
    return { items: r.assets, next: r.next }
  },
  info: async (id: string) => await get<Asset & { recipe?: Recipe | null }>(`/v1/assets/${id}/info`),
  async upload (file: Blob, name = 'image.png'): Promise<{ id: string, assets: Asset[] }> {
    const form = new FormData()
    form.append('file', file, name)
    return await call('POST', '/v1/assets', { body: form })
  },
  patch: async (id: string, part: { starred?: boolean, trashed?: boolean }) => await call<Asset>('PATCH', `/v1/assets/${id}`, { json: part })
}

/* ---- jobs --------------------------------------------------------------------------------------- */

export interface Place { project?: string, layer?: string }

export const jobs = {
  submit: async (kind: JobKind, request: Record<string, unknown>, place: Place = {}, key?: string) =>
    await call<Job>('POST', `/v1/${kind}`, { json: request, query: { ...place }, key }),
  plan: async (task: JobKind, request: Record<string, unknown>, signal?: AbortSignal) => await call<Plan>('POST', '/v1/plan', { json: { task, request }, signal }),
  list: async (filter: { project?: string, state?: string, candidate?: CandidateState, limit?: number, before?: number } = {}) =>
    (await get<{ jobs: Job[] }>('/v1/jobs', { limit: 100, ...filter })).jobs,
  get: async (id: string) => await get<Job>(`/v1/jobs/${id}`),
  cancel: async (id: string) => await call<Job>('DELETE', `/v1/jobs/${id}`),
  again: async (id: string) => await call<Job>('POST', `/v1/jobs/${id}/again`),
  patch: async (id: string, part: { candidate?: CandidateState, position?: number }) => await call<Job>('PATCH', `/v1/jobs/${id}`, { json: part }),
  queue: async () => await get<Queue>('/v1/queue'),
  pause: async (paused: boolean) => await call<Queue>('PATCH', '/v1/queue', { json: { paused } })
}

/* ---- the rest ----------------------------------------------------------------------------------- */

export const models = {
  list: async () => (await get<{ data: Model[] }>('/v1/models')).data,
  loras: async () => (await get<{ data: StoredLora[] }>('/v1/loras')).data,
  load: async (id: string) => await call<void>('POST', `/v1/models/${encodeURIComponent(id)}/load`),
  unload: async () => await call<void>('POST', '/v1/models/unload'),
  setBudget: async (budget: string | null) => await call<void>('PUT', '/v1/budget', { json: { budget } })
}

export const store = {
  get: async () => await get<StoreFacts>('/v1/store'),
  setLimits: async (part: Partial<StoreLimits>) => await call<StoreLimits>('PATCH', '/v1/store/limits', { json: part }),
  tidy: async () => await call<Tidied>('POST', '/v1/store/tidy')
}

export const preferences = {
  get: async () => await get<Record<string, unknown>>('/v1/preferences'),
  put: async (p: Record<string, unknown>) => await call<void>('PUT', '/v1/preferences', { json: p })
}

export const version = async (): Promise<{ name: string, version: string }> => await get('/version')

/* What the server lets a page of its own ask: the header that it gives every page. */
export async function pagePolicy (): Promise<string | null> {
  return (await send('/')).headers.get('Content-Security-Policy')
}
