/* What the server says and takes, under the names of its OpenAPI document. */

export const BLEND_MODES = [
  'normal', 'multiply', 'screen', 'overlay', 'darken', 'lighten', 'color-dodge', 'color-burn', 'hard-light',
  'soft-light', 'difference', 'exclusion', 'add', 'hue', 'saturation', 'color', 'luminosity'
] as const
export type BlendMode = typeof BLEND_MODES[number]

/* One row of a project's stack. The members of a group lie together, directly below its own row. */
export interface Layer {
  id: string
  kind: 'image' | 'group'
  parent: string | null
  name: string
  asset: string | null // of a group: the image that it was taken apart from; never drawn
  mask: string | null // grey levels, stretched over the layer's image; black hides
  x: number
  y: number
  scale_x: number
  scale_y: number
  rotation: number // degrees clockwise about the image's upper left corner
  opacity: number
  blend_mode: BlendMode
  visible: boolean
  locked: boolean
  warning: string | null // why the engine calls it doubtful
}

export interface Project {
  id: string
  revision: number
  name: string
  width: number
  height: number
  layers: Layer[] // bottom first
  selection: string | null // grey levels over the canvas: what a change applies to
  created_ms: number
  updated_ms: number
  can_undo: boolean
  can_redo: boolean
}

export interface ProjectHead {
  id: string
  revision: number
  name: string
  width: number
  height: number
  layer_count: number
  created_ms: number
  updated_ms: number
}

export type JobKind = 'generate' | 'edit' | 'layers' | 'caption'
export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled' | 'interrupted'
export type Stage = 'load' | 'text' | 'encode' | 'steps' | 'decode'
export type CandidateState = 'open' | 'accepted' | 'discarded'

export interface Progress {
  position?: number
  stage?: Stage
  done?: number // of this stage, 0 to 1
  step?: number
  steps?: number
  image?: number
  images?: number
  elapsed?: number
  seconds_left?: number
}

export interface ResultImage { asset: string, seed: number, width: number, height: number }
export interface ResultLayer {
  asset: string
  id?: string
  name?: string
  x: number
  y: number
  opacity?: number
  visible?: boolean
  blend_mode?: BlendMode
}
export interface JobResult {
  images?: ResultImage[]
  layers?: ResultLayer[]
  composite?: string
  caption?: string
  width?: number
  height?: number
  seed?: number
  steps?: number
  seconds?: Record<string, number>
  recomposed?: { source?: { psnr_db?: number | null } }
  notes?: string[]
  warnings?: { code: string, detail?: string, layer?: number }[]
  doubtful?: boolean
}

export interface JobError { code: string, status?: number, detail: string }

export interface Job extends Progress {
  id: string
  kind: JobKind
  model: string
  state: JobState
  project: string | null
  layer: string | null
  candidate: CandidateState | null
  created_ms: number
  started_ms?: number
  finished_ms?: number
  request: Record<string, unknown>
  result: JobResult | null
  error: JobError | null
}

export interface Preview { id: string, step: number, width: number, height: number, tiles: number, type: string, data: string }

export interface Queue { paused: boolean, running: string | null, queued: string[] }

export interface Model {
  id: string
  tasks: ('generate' | 'edit' | 'layers' | 'caption')[]
  state: string
  bytes: number
  embedded: boolean
  open: boolean
}

export interface Telemetry {
  device: { name: string | null, total_bytes?: number, budget_bytes: number, used_bytes: number, peak_bytes: number, budget: string | null }
  host: { total_bytes: number, available_bytes: number, anonymous_bytes: number, mapped_bytes: number, cpus: number, load: number }
  queue: { waiting: number, running: { id: string, kind: JobKind, stage: Stage | '' } | null, done: number, failed: number, cancelled: number }
  model: string | null
  uptime: number
}

export interface Plan {
  verdict: 'resident' | 'streamed' | 'refused'
  budget_bytes: number
  peak_bytes: number
  seconds: number | null
  advice: string[]
}

export interface Asset {
  id: string
  type: string
  width: number
  height: number
  alpha: boolean
  bytes: number
  name: string
  origin: string
  created_ms: number
  starred: boolean
  trashed: boolean
  prompt: string | null
  seed: number | null
  model: string | null
  task: JobKind | null
  job: string | null
}

/* What made an image, read from the file. Members are those of the request that would make it again. */
export type Recipe = Record<string, unknown> & { prompt?: string, seed?: number, steps?: number, width?: number, height?: number, model?: string }

export interface StoreLimits { job_days: number, jobs: number, asset_days: number, bytes: number } // 0: none
export interface Tidied { jobs: number, assets: number, strays: number, bytes: number }
export interface StoreFacts {
  assets: number
  asset_bytes: number
  projects: number
  jobs: number
  database_bytes: number
  limits: StoreLimits
  tidied_ms: number | null
  tidied: Tidied | null
}

/* application/problem+json */
export interface Problem { status: number, title?: string, detail: string, code: string, field?: string }
