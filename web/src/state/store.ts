/* store.ts - all that the editor shows, as signals. Read them anywhere; only actions (state/actions/) write them. */
import { computed, signal } from '@preact/signals'
import type { ExportChoice } from './exporting.ts'
import type { Asset, Job, Layer, Model, Preview, Project, ProjectHead, Queue, StoredLora, Telemetry } from '../api/types.ts'

export { denied } from '../api/client.ts'
export { connected } from '../api/events.ts'

/* ---- where the person is -------------------------------------------------------------------------- */

export type Route = { page: 'home' } | { page: 'project', id: string }
export type Tool = 'move' | 'hand' | 'brush' | 'eraser' | 'lasso' | 'rectangle' | 'wand' | 'crop' | 'zoom'
export type TaskPanel = 'make' | 'change' | 'apart'

export const route = signal<Route>({ page: 'home' })
export const tool = signal<Tool>('move')
export const taskPanel = signal<TaskPanel>('make')
export const queueOpen = signal(false)
export const historyOpen = signal(true)
/* The name of the dialog or overlay that is open. */
export const dialog = signal<'export' | 'settings' | 'shortcuts' | 'palette' | 'airgap' | 'new' | null>(null)

/* ---- the open project ----------------------------------------------------------------------------- */

export const project = signal<Project | null>(null)
export const selectedIds = signal<string[]>([])
/* Groups that are folded in the tree. */
export const folded = signal<ReadonlySet<string>>(new Set())
/* Shown alone; not part of the project. */
export const soloId = signal<string | null>(null)
/* Whether every change has reached the server. */
export const saving = signal<'saved' | 'saving' | 'offline'>('saved')

export const layers = computed<Layer[]>(() => project.value?.layers ?? [])
export const selectedLayers = computed<Layer[]>(() => layers.value.filter((l) => selectedIds.value.includes(l.id)))
export const activeLayer = computed<Layer | null>(() => selectedLayers.value.length === 1 ? selectedLayers.value[0] ?? null : null)

/* ---- masks and tools ------------------------------------------------------------------------------ */

export interface BrushSettings { size: number, hardness: number, tolerance: number, veil: number }
export const brush = signal<BrushSettings>({ size: 48, hardness: 0.8, tolerance: 32, veil: 0.5 })
/* True where a selection (the mask of a change) is painted. */
export const hasSelection = computed(() => project.value?.selection != null)
/* Pixels that a change adds around the canvas, or around the layer that it is for. */
export interface Sides { left: number, top: number, right: number, bottom: number }
export const NO_SIDES: Sides = { left: 0, top: 0, right: 0, bottom: 0 }
export const extend = signal<Sides>(NO_SIDES)

/* ---- view ----------------------------------------------------------------------------------------- */

export interface ViewOptions { rulers: boolean, grid: boolean, snap: boolean }
export const view = signal<ViewOptions>({ rulers: false, grid: true, snap: true })
/* Screen pixels (CSS) a canvas pixel. */
export const zoom = signal(1)

/* ---- jobs ----------------------------------------------------------------------------------------- */

export const jobs = signal<ReadonlyMap<string, Job>>(new Map())
export const previews = signal<ReadonlyMap<string, Preview>>(new Map())
export const queue = signal<Queue>({ paused: false, running: null, running_jobs: [], queued: [] })

/* A result that waits to be accepted, as one picture over the place where it belongs. */
export interface Candidate {
  key: string // job and number of the image
  job: Job
  index: number
  asset: string
  width: number
  height: number
  seed: number | null
  layers: boolean // a stack of layers: accepted as a whole
}
/* Which candidate is looked at. */
export const candidateIndex = signal(0)

/* How candidate and picture are compared while the comparison is held or switched on. */
export type Comparison = 'off' | 'curtain' | 'before' | 'difference'
export const comparison = signal<Comparison>('off')
export const curtain = signal(0.5) // of the width of the canvas' area
/* The group that is compared with the image that it was taken apart from. */
export const compareGroup = signal<string | null>(null)

/* Jobs of the open project, newest first. */
export const projectJobs = computed<Job[]>(() => {
  const id = project.value?.id
  return [...jobs.value.values()].filter((j) => j.project === id && id != null)
    .sort((a, b) => b.created_ms - a.created_ms)
})

function candidatesOf (job: Job): Candidate[] {
  const r = job.result
  if (!r) return []
  if (r.layers && r.composite) {
    return [{ key: job.id, job, index: 0, asset: r.composite, width: r.width ?? 0, height: r.height ?? 0, seed: r.seed ?? null, layers: true }]
  }
  return (r.images ?? []).map((im, index) => ({
    key: `${job.id}/${index}`, job, index, asset: im.asset, width: im.width, height: im.height, seed: im.seed, layers: false
  }))
}

/* Jobs whose results were neither accepted nor discarded, oldest first. */
export const openJobs = computed<Job[]>(() => projectJobs.value.filter((j) => j.state === 'done' && j.candidate === 'open').reverse())
/* The one of them that a person asked for. */
export const shownJob = signal<string | null>(null)
/* Of the job that was asked for, else of the oldest. */
export const candidates = computed<Candidate[]>(() => {
  const open = openJobs.value
  const job = open.find((j) => j.id === shownJob.value) ?? open[0]
  return job ? candidatesOf(job) : []
})
export const candidate = computed<Candidate | null>(() => candidates.value[Math.min(candidateIndex.value, candidates.value.length - 1)] ?? null)

/* A request that the panel of its task takes over into its fields, and then sets to null: what a new project began with,
 * what is used again from the history, what the tour asks. */
export interface Wish { task: TaskPanel, request: Record<string, unknown> }
export const wish = signal<Wish | null>(null)

/* ---- the tour: three things made for real with the models in the program ---------------------------- */

export type TourStep = 'make' | 'change' | 'apart'
export interface TourState {
  state: 'idle' | 'running' | 'done' | 'failed'
  job: string | null // that runs
  assets: string[] // what was made
  project: string | null
  detail: string | null // why it failed
}
const fresh: TourState = { state: 'idle', job: null, assets: [], project: null, detail: null }
export const tour = signal<Record<TourStep, TourState>>({ make: fresh, change: fresh, apart: fresh })

/* ---- what the machine has ------------------------------------------------------------------------- */

export const models = signal<Model[]>([])
export const storedLoras = signal<StoredLora[]>([])
/* What the engine is told to do with its models, until it has. */
export interface ModelOrder { kind: 'load' | 'unload', id: string | null }
export const modelOrder = signal<ModelOrder | null>(null)
export const telemetry = signal<Telemetry | null>(null)

/* ---- lists ---------------------------------------------------------------------------------------- */

/* The name of the file that is being read. */
export const opening = signal<string | null>(null)
export const projectList = signal<ProjectHead[] | null>(null)
export interface HistoryFilter { q: string, starred: boolean }
export const historyFilter = signal<HistoryFilter>({ q: '', starred: false })
export const historyItems = signal<Asset[] | null>(null)

/* ---- preferences: kept by the server --------------------------------------------------------------- */

export interface Preset { name: string, prompt: string }
export interface Preferences {
  theme: 'system' | 'dark' | 'light'
  presets: Preset[]
  toured: boolean
  models: { images?: string, layers?: string }
  rulers: boolean
  grid?: boolean
  snap?: boolean
  exporting?: Partial<ExportChoice>
  noMetadata?: boolean // files of what is made say nothing of how
}
export const preferences = signal<Preferences>({ theme: 'system', presets: [], toured: false, models: {}, rulers: false })
/* False until the server has told them. */
export const preferencesRead = signal(false)

/* ---- what is said at the edge of the screen -------------------------------------------------------- */

export interface Toast {
  id: number
  kind: 'note' | 'good' | 'error'
  text: string
  action?: { label: string, run: () => void }
}
export const toasts = signal<Toast[]>([])
