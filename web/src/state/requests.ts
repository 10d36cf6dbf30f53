/* requests.ts - what the panels' fields mean as requests: sizes as models make them, seeds, and the members that are sent.
 * Pure. A field that holds null leaves the choice to the model and is not sent. */
import type { Model } from '../api/types.ts'

/* ---- sizes ------------------------------------------------------------------------------------------ */

export const UNIT = 16
export const SIDE_MIN = 64
export const SIDE_MAX = 2048

export interface Size { width: number, height: number }

/* The side that the model makes: the nearest whole token. */
export function side (v: number): number {
  return Math.min(SIDE_MAX, Math.max(SIDE_MIN, Math.round(v / UNIT) * UNIT))
}

export const RATIOS = ['1:1', '3:2', '2:3', '16:9', '9:16'] as const
export type Ratio = typeof RATIOS[number]

/* About base x base pixels in that shape. */
export function shaped (ratio: Ratio, base: number): Size {
  const [w = 1, h = 1] = ratio.split(':').map(Number)
  return { width: side(base * Math.sqrt(w / h)), height: side(base * Math.sqrt(h / w)) }
}

/* A canvas as near as the model comes to it: made smaller in its shape where it is too large. */
export function fitted (canvas: Size): Size {
  const k = Math.min(1, SIDE_MAX / Math.max(canvas.width, canvas.height))
  return { width: side(canvas.width * k), height: side(canvas.height * k) }
}

export const sameSize = (a: Size, b: Size): boolean => a.width === b.width && a.height === b.height

/* Three quarters of each side, for what did not fit. Null where it cannot get smaller. */
export function smaller (s: Size): Size | null {
  const next = { width: side(s.width * 0.75), height: side(s.height * 0.75) }
  return sameSize(next, s) ? null : next
}

/* ---- models ----------------------------------------------------------------------------------------- */

export type Use = 'images' | 'layers'

export function modelsFor (models: Model[], use: Use): Model[] {
  return models.filter((m) => m.state === 'ready' && m.tasks.includes(use === 'images' ? 'generate' : 'layers'))
}

/* The one that answers: the preferred one while it is there, else the first. */
export function modelFor (models: Model[], use: Use, preferred: string | undefined): Model | undefined {
  const able = modelsFor(models, use)
  return able.find((m) => m.id === preferred) ?? able[0]
}

/* The length of a side that the model is at home with. */
export const sideFor = (model: Model | undefined): number => model?.id.startsWith('micro-') ? 128 : 1024

/* ---- seeds ------------------------------------------------------------------------------------------ */

/* 32 bits: short enough to read out, and what other programs take. */
export function newSeed (): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 1
}

/* ---- forms to requests ------------------------------------------------------------------------------ */

export interface MakeForm {
  prompt: string
  size: Size | null // null: the model's own
  steps: number | null
  seed: number | null // null: another one every time
  count: number
  guidance: number | null
  maxTokens: number | null
  int8: boolean
}

export const EMPTY_MAKE: MakeForm = {
  prompt: '', size: null, steps: null, seed: null, count: 1, guidance: null, maxTokens: null, int8: false
}

export interface Chosen { model: string | undefined, seed: number }

export type Request = Record<string, unknown>

/* Leaves out what is null or undefined. */
export function given (members: Request): Request {
  return Object.fromEntries(Object.entries(members).filter(([, v]) => v !== null && v !== undefined))
}

export function makeRequest (f: MakeForm, size: Size, c: Chosen): Request {
  return given({
    model: c.model,
    prompt: f.prompt.trim(),
    width: size.width,
    height: size.height,
    steps: f.steps,
    seed: c.seed,
    count: f.count > 1 ? f.count : null,
    guidance: f.guidance,
    max_tokens: f.maxTokens,
    compute: f.int8 ? 'int8' : null
  })
}

/* ---- requests to forms: "use again" ------------------------------------------------------------------- */

const number = (v: unknown): number | null => typeof v === 'number' && Number.isFinite(v) ? v : null

export function madeFrom (r: Request, now: MakeForm = EMPTY_MAKE): MakeForm {
  const width = number(r['width'])
  const height = number(r['height'])
  return {
    ...now,
    prompt: typeof r['prompt'] === 'string' ? r['prompt'] : now.prompt,
    size: width && height ? { width: side(width), height: side(height) } : now.size,
    steps: number(r['steps']),
    seed: number(r['seed']),
    count: 1,
    guidance: number(r['guidance']),
    maxTokens: number(r['max_tokens']),
    int8: r['compute'] === 'int8'
  }
}
