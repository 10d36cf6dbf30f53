/* selection.ts - the project's selection as levels: read, changed as a whole, kept as an image of the canvas' size. */
import { assets } from '../../api/client.ts'
import type { Layer } from '../../api/types.ts'
import { clear, setFromAsset } from '../../state/actions/selection.ts'
import { toCanvas } from '../../state/affine.ts'
import { project } from '../../state/store.ts'
import { fromAlpha, invert, newMask, type Mask } from './mask.ts'
import { feather, grow } from './soften.ts'

async function bitmapOf (id: string): Promise<ImageBitmap> {
  return await createImageBitmap(await (await fetch(assets.url(id))).blob())
}

function surface (width: number, height: number): CanvasRenderingContext2D {
  const canvas = document.createElement('canvas')
  canvas.width = width
  canvas.height = height
  const g = canvas.getContext('2d', { willReadFrequently: true })
  if (!g) throw new Error('no canvas 2D')
  return g
}

/* The levels over the canvas; black where nothing is selected. */
export async function readSelection (): Promise<Mask | null> {
  const p = project.value
  if (!p) return null
  if (!p.selection) return newMask(p.width, p.height)
  const g = surface(p.width, p.height)
  g.drawImage(await bitmapOf(p.selection), 0, 0, p.width, p.height)
  const px = g.getImageData(0, 0, p.width, p.height)
  const m = newMask(p.width, p.height)
  for (let i = 0; i < m.data.length; i++) m.data[i] = px.data[4 * i] ?? 0
  return m
}

function pngOf (m: Mask): Promise<Blob> {
  const g = surface(m.width, m.height)
  const px = g.createImageData(m.width, m.height)
  for (let i = 0; i < m.data.length; i++) px.data.set([m.data[i] ?? 0, m.data[i] ?? 0, m.data[i] ?? 0, 255], 4 * i)
  g.putImageData(px, 0, 0)
  return new Promise((resolve, reject) => {
    g.canvas.toBlob((b) => { b ? resolve(b) : reject(new Error('no PNG')) }, 'image/png')
  })
}

/* Keeps the levels; all black is no selection. */
export async function keepSelection (m: Mask, gesture: string | null = null): Promise<void> {
  const id = project.value?.id
  if (!m.data.some((v) => v > 0)) {
    clear()
    return
  }
  const stored = await assets.upload(await pngOf(m), 'mask.png')
  if (project.value?.id === id) setFromAsset(stored.id, gesture)
}

async function become (f: (m: Mask) => Mask): Promise<void> {
  const m = await readSelection()
  if (m) await keepSelection(f(m))
}

export const invertSelection = async (): Promise<void> => { await become(invert) }
export const growSelection = async (by: number): Promise<void> => { await become((m) => grow(m, by)) }
export const featherSelection = async (radius: number): Promise<void> => { await become((m) => feather(m, radius)) }

/* What of the canvas the layer covers. */
export async function selectAlpha (l: Layer): Promise<void> {
  const p = project.value
  if (!p || !l.asset) return
  const g = surface(p.width, p.height)
  g.setTransform(...toCanvas(l))
  g.drawImage(await bitmapOf(l.asset), 0, 0)
  await keepSelection(fromAlpha(g.getImageData(0, 0, p.width, p.height)))
}
