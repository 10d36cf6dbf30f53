/* current.ts - the open project's mask as levels that can be painted: read from its asset, shown as the veil, and kept by
 * a new asset after each gesture. */
import { effect, signal } from '@preact/signals'
import { assets } from '../../api/client.ts'
import { clear, holdFor, setFromAsset } from '../../state/actions/selection.ts'
import { attempt } from '../../state/actions/toasts.ts'
import { project } from '../../state/store.ts'
import { setVeil, touchVeil } from '../veil.ts'
import { bounds, copyMask, newMask, type Box, type Mask } from './mask.ts'

/* What is painted; null where nothing is. Its levels are replaced, never changed behind a reader's back, but by a stroke. */
export const current = signal<Mask | null>(null)
/* The asset that holds `current`, or null while it is newer. */
let held: string | null = null
let reading: string | null = null
let writing = 0

const sameSize = (m: Mask): boolean => m.width === project.value?.width && m.height === project.value.height

function show (m: Mask | null): void {
  current.value = m
  setVeil(m && { width: m.width, height: m.height, data: new Uint8Array(m.data.buffer) })
}

/* ---- from and to the server ---------------------------------------------------------------------------- */

async function decode (id: string, width: number, height: number): Promise<Mask> {
  const bitmap = await createImageBitmap(await assets.file(id), { colorSpaceConversion: 'none' })
  const c = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
  if (!c) throw new Error('no 2d context')
  c.drawImage(bitmap, 0, 0, width, height)
  bitmap.close()
  const { data } = c.getImageData(0, 0, width, height)
  const m = newMask(width, height)
  for (let i = 0; i < m.data.length; i++) m.data[i] = data[4 * i] ?? 0
  return m
}

export async function encode (m: Mask): Promise<Blob> {
  const image = new ImageData(m.width, m.height)
  for (let i = 0; i < m.data.length; i++) {
    const v = m.data[i] ?? 0
    image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = v
    image.data[4 * i + 3] = 255
  }
  const canvas = new OffscreenCanvas(m.width, m.height)
  canvas.getContext('2d')?.putImageData(image, 0, 0)
  return await canvas.convertToBlob({ type: 'image/png' })
}

/* Follows the project: another one, undo, and other windows change its mask. */
effect(() => {
  const p = project.value
  const id = p?.selection ?? null
  if (writing > 0 || id === held || (id !== null && id === reading)) return
  if (!p || id === null) {
    held = null
    reading = null
    show(null)
    return
  }
  reading = id
  void attempt(async () => await decode(id, p.width, p.height)).then((m) => {
    if (reading !== id) return
    reading = null
    if (project.value?.selection !== id || !m) return
    held = id
    show(m)
  })
})

/* Shows `m` at once and keeps it as the project's mask: one undo step. A black one is none. */
export async function keep (m: Mask): Promise<void> {
  await holdFor(write(m))
}

async function write (m: Mask): Promise<void> {
  show(m)
  if (!bounds(m)) {
    held = null
    show(null)
    clear()
    return
  }
  writing++
  const stored = await attempt(async () => await assets.upload(await encode(m), 'mask.png'))
  writing--
  const id = stored?.assets[0]?.id
  if (!id || current.value !== m) return
  held = id
  setFromAsset(id)
}

/* ---- for tools ----------------------------------------------------------------------------------------- */

/* A mask of the canvas' size to paint on: the current one's copy, or black. */
export function draftMask (): Mask | null {
  const p = project.value
  if (!p) return null
  const m = current.value
  return m && sameSize(m) ? copyMask(m) : newMask(p.width, p.height)
}

/* While a stroke is under way: shown, but not kept. */
export function showDraft (m: Mask, box: Box | null): void {
  if (current.peek() !== m) show(m)
  else if (box) touchVeil({ x: box.left, y: box.top, w: Math.max(0, box.right - box.left), h: Math.max(0, box.bottom - box.top) })
}

export function dropDraft (before: Mask | null): void {
  show(before)
}
