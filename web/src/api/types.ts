/* types.ts - what the server says and takes: the types of its OpenAPI document (schema.d.ts, made by schema.mjs) under
 * short names. A document that no longer fits what the editor uses fails to compile. */
import type { components, operations } from './schema.d.ts'

type Schema = components['schemas']
/* A schema serves answers and requests alike; in answers every member is there. */
type Filled<T> = { [K in keyof T]-?: Exclude<T[K], undefined> }
type Answer<O extends keyof operations, Status extends number = 200> =
  operations[O] extends { responses: Record<Status, { content: { 'application/json': infer T } }> } ? T : never

/* One row of a project's stack, bottom first. The members of a group lie together, directly below its own row. A group's
 * asset is the image that it was taken apart from; it is never drawn. */
export type Layer = Filled<Schema['Layer']>
export type BlendMode = Layer['blend_mode']
export const BLEND_MODES: readonly BlendMode[] = [
  'normal', 'multiply', 'screen', 'overlay', 'darken', 'lighten', 'color-dodge', 'color-burn', 'hard-light',
  'soft-light', 'difference', 'exclusion', 'add', 'hue', 'saturation', 'color', 'luminosity'
]

/* `selection`: grey levels over the canvas, what a change applies to. */
export type Project = Omit<Filled<Schema['Project']>, 'layers'> & { layers: Layer[] }
export type ProjectHead = Omit<Filled<Answer<'listProjects'>['projects'][number]>, 'layers' | 'can_undo' | 'can_redo'>

export type JobKind = 'generate' | 'edit' | 'layers' | 'caption'
export type JobState = Schema['Job']['state']
export type Stage = NonNullable<Schema['Job']['stage']>
export type CandidateState = NonNullable<Schema['Job']['candidate']>
export type JobError = Schema['JobError']

/* Of its stage: `done` from 0 to 1, and the seconds left. */
export type Progress = Pick<Schema['Job'], 'position' | 'stage' | 'done' | 'step' | 'steps' | 'image' | 'images' | 'elapsed' | 'seconds_left'>

export type ResultImage = Pick<Schema['ImagesResult']['images'][number], 'asset' | 'seed' | 'width' | 'height'>
export type ResultLayer = Schema['LayersResult']['layers'][number]
/* What images, layers and captions leave, whichever the job was. */
export interface JobResult extends Partial<Pick<Schema['LayersResult'], 'composite' | 'width' | 'height' | 'seed' | 'steps' | 'seconds' | 'notes' | 'warnings' | 'doubtful'>> {
  images?: ResultImage[]
  layers?: ResultLayer[]
  caption?: string
  recomposed?: { source?: { psnr_db?: number | null } }
}

export type Job = Omit<Schema['Job'], 'kind' | 'request' | 'result' | 'created_ms'> & {
  kind: JobKind
  created_ms: number
  request: Record<string, unknown>
  result: JobResult | null
  error: JobError | null
}

export type Preview = Schema['JobPreview']
export type Queue = Schema['Queue']
export type Model = Omit<Schema['Model'], 'tasks' | 'object' | 'created' | 'owned_by'> & { tasks: JobKind[] }
export type StoredLora = Pick<Answer<'listLoras'>['data'][number], 'name' | 'base' | 'rank' | 'state'> & { tasks: JobKind[] }
export type Telemetry = Schema['Telemetry']
export type Plan = Answer<'plan'>
export type Asset = Omit<Schema['Asset'], 'task'> & { task: JobKind | null }

/* What made an image, read from the file. Members are those of the request that would make it again. */
export type Recipe = Record<string, unknown> & { prompt?: string, seed?: number, steps?: number, width?: number, height?: number, model?: string }

export type StoreFacts = Answer<'getStore'>
export type StoreLimits = StoreFacts['limits'] // 0: none
export type Tidied = NonNullable<StoreFacts['tidied']>

/* application/problem+json */
export type Problem = Omit<Schema['Problem'], 'title' | 'code'> & { title?: string, code: string }
