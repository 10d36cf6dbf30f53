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

export const LORAS_MAX = 8
export const FAST_MAX = 3

export interface Lora { name: string, strength: number }

export interface MakeForm {
  prompt: string
  size: Size | null // null: the model's own
  steps: number | null
  seed: number | null // null: another one every time
  count: number
  guidance: number | null
  maxTokens: number | null
  int8: boolean
  fast: number // 0 to FAST_MAX
  transparent: boolean
  loras: Lora[]
}

export const EMPTY_MAKE: MakeForm = {
  prompt: '', size: null, steps: null, seed: null, count: 1, guidance: null, maxTokens: null, int8: false, fast: 0, transparent: false, loras: []
}

export interface Chosen { model: string | undefined, seed: number, noMetadata?: boolean | undefined }

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
    compute: f.int8 ? 'int8' : null,
    fast: f.fast || null,
    transparent: f.transparent || null,
    loras: f.loras.length > 0 ? f.loras : null,
    no_metadata: c.noMetadata || null
  })
}

/* ---- change ----------------------------------------------------------------------------------------- */

export const IMAGES_MAX = 10 // the one that is changed among them

export interface Reference { id: string, name: string }

export interface ChangeForm {
  prompt: string
  target: 'image' | 'layer'
  references: Reference[]
  inside: boolean // only inside the mask, where there is one
  feather: number
  maskGrow: number // less than 0 shrinks it
  maskFeather: number
  maskInvert: boolean
  cropToMask: boolean
  matchColours: boolean
  register: boolean
  strength: number | null
  steps: number | null
  seed: number | null
  count: number
  guidance: number | null
  maxTokens: number | null
  int8: boolean
  fast: number // 0 to FAST_MAX
  transparent: boolean
  loras: Lora[]
}

export const EMPTY_CHANGE: ChangeForm = {
  prompt: '', target: 'image', references: [], inside: true, feather: 0, maskGrow: 0, maskFeather: 0, maskInvert: false, cropToMask: false, matchColours: false, register: false,
  strength: null, steps: null, seed: null, count: 1, guidance: null, maxTokens: null, int8: false, fast: 0, transparent: false, loras: []
}

export interface Sent { image: string, mask: string | null, extend: number[] | null }

/* What shapes a mask is sent with one. */
function maskShape (f: ChangeForm, masked: boolean): Request {
  return masked
    ? { mask_grow: f.maskGrow || null, mask_feather: f.maskFeather || null, mask_invert: f.maskInvert || null, crop_to_mask: f.cropToMask || null }
    : {}
}

export function changeRequest (f: ChangeForm, sent: Sent, c: Chosen): Request {
  return given({
    model: c.model,
    prompt: f.prompt.trim(),
    images: [sent.image, ...f.references.map((r) => r.id)],
    mask: sent.mask,
    extend: sent.extend,
    feather: f.feather > 0 && (sent.mask || sent.extend) ? f.feather : null,
    ...maskShape(f, sent.mask !== null),
    match_colours: f.matchColours || null,
    register: f.register || null,
    strength: f.strength,
    steps: f.steps,
    seed: c.seed,
    count: f.count > 1 ? f.count : null,
    guidance: f.guidance,
    max_tokens: f.maxTokens,
    compute: f.int8 ? 'int8' : null,
    fast: f.fast || null,
    transparent: (f.transparent && !sent.mask && !sent.extend && f.strength === null) || null,
    loras: f.loras.length > 0 ? f.loras : null,
    no_metadata: c.noMetadata || null
  })
}

/* ---- take apart ------------------------------------------------------------------------------------- */

export const LAYERS_MIN = 2
export const LAYERS_MAX = 10
export const RESOLUTION_UNIT = 32

export interface ApartForm {
  target: 'image' | 'layer'
  layers: number
  prompt: string
  language: 'en' | 'zh'
  resolution: number | null
  steps: number | null
  seed: number | null
  keepEmpty: boolean
  mergeDuplicates: boolean
  fullSize: boolean
  negative: string
  guidance: number | null
  int8: boolean
  fast: number // 0 to FAST_MAX
  loras: Lora[]
}

export const EMPTY_APART: ApartForm = {
  target: 'layer', layers: 4, prompt: '', language: 'en', resolution: null, steps: null, seed: null, keepEmpty: false, mergeDuplicates: false, fullSize: true,
  negative: '', guidance: null, int8: false, fast: 0, loras: []
}

export const resolutionAs = (v: number): number => Math.min(2048, Math.max(RESOLUTION_UNIT, Math.round(v / RESOLUTION_UNIT) * RESOLUTION_UNIT))

export function apartRequest (f: ApartForm, image: string, c: Chosen): Request {
  return given({
    model: c.model,
    image,
    layers: f.layers,
    prompt: f.prompt.trim() || null,
    negative_prompt: f.negative.trim() || null,
    language: f.language === 'zh' ? 'zh' : null,
    resolution: f.resolution,
    steps: f.steps,
    seed: c.seed,
    guidance: f.guidance,
    keep_empty: f.keepEmpty || null,
    merge_duplicates: f.mergeDuplicates || null,
    full_size: f.fullSize || null,
    compute: f.int8 ? 'int8' : null,
    fast: f.fast || null,
    loras: f.loras.length > 0 ? f.loras : null,
    no_metadata: c.noMetadata || null
  })
}

/* ---- requests to forms: "use again" ------------------------------------------------------------------- */

const number = (v: unknown): number | null => typeof v === 'number' && Number.isFinite(v) ? v : null

function lorasOf (v: unknown): Lora[] {
  if (!Array.isArray(v)) return []
  const loras = v.filter((l): l is { name: string, strength?: unknown } => typeof l === 'object' && l !== null && typeof (l as { name?: unknown }).name === 'string')
  return loras.slice(0, LORAS_MAX).map((l) => ({ name: l.name, strength: number(l.strength) ?? 1 }))
}

const fastOf = (v: unknown): number => Math.min(FAST_MAX, Math.max(0, Math.round(number(v) ?? 0)))

/* The editor's switch knows one way of 8 bits; what was made in another is made again in that one, not in the default. */
const inEightBits = (v: unknown): boolean => typeof v === 'string' && v !== 'default'

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
    int8: inEightBits(r['compute']),
    fast: fastOf(r['fast']),
    transparent: r['transparent'] === true,
    loras: lorasOf(r['loras'])
  }
}

const words = (v: unknown): string => typeof v === 'string' ? v : ''

/* The image that was changed is another one now; those behind it are its references. */
export function changedFrom (r: Request, now: ChangeForm = EMPTY_CHANGE): ChangeForm {
  const images = Array.isArray(r['images']) ? r['images'].filter((i): i is string => typeof i === 'string' && /^[0-9a-f]{64}$/.test(i)) : []
  return {
    ...now,
    prompt: words(r['prompt']),
    references: images.slice(1, IMAGES_MAX).map((id) => ({ id, name: '' })),
    feather: number(r['feather']) ?? 0,
    maskGrow: number(r['mask_grow']) ?? 0,
    maskFeather: number(r['mask_feather']) ?? 0,
    maskInvert: r['mask_invert'] === true,
    cropToMask: r['crop_to_mask'] === true,
    matchColours: r['match_colours'] === true,
    register: r['register'] === true,
    strength: number(r['strength']),
    steps: number(r['steps']),
    seed: number(r['seed']),
    count: 1,
    guidance: number(r['guidance']),
    maxTokens: number(r['max_tokens']),
    int8: inEightBits(r['compute']),
    fast: fastOf(r['fast']),
    transparent: r['transparent'] === true,
    loras: lorasOf(r['loras'])
  }
}

export function takenApartFrom (r: Request, now: ApartForm = EMPTY_APART): ApartForm {
  const layers = number(r['layers'])
  return {
    ...now,
    layers: layers ? Math.min(LAYERS_MAX, Math.max(LAYERS_MIN, layers)) : now.layers,
    prompt: words(r['prompt']),
    language: r['language'] === 'zh' ? 'zh' : 'en',
    resolution: number(r['resolution']),
    steps: number(r['steps']),
    seed: number(r['seed']),
    keepEmpty: r['keep_empty'] === true,
    mergeDuplicates: r['merge_duplicates'] === true,
    fullSize: r['full_size'] === true,
    negative: words(r['negative_prompt']).trim(),
    guidance: number(r['guidance'] ?? r['cfg']),
    int8: inEightBits(r['compute']),
    fast: fastOf(r['fast']),
    loras: lorasOf(r['loras'])
  }
}
