/* actions.ts - what can be done to the whole mask: for the Change panel, keys and the palette. */
import type { Layer } from '../../api/types.ts'
import { clear } from '../../state/actions/selection.ts'
import { toast } from '../../state/actions/toasts.ts'
import { register, run } from '../../state/commands.ts'
import { activeLayer, brush, hasSelection, project, tool } from '../../state/store.ts'
import { text } from '../../text.ts'
import { pixels } from '../engine.ts'
import { boxOfLayer } from '../frames.ts'
import { apply, invert as inverse, matrixOf } from '../../state/matrix.ts'
import { draftMask, keep } from './current.ts'
import { combine, invert, newMask, type Mask, type Mode } from './mask.ts'
import { feather, grow } from './soften.ts'

async function change (work: (m: Mask) => Mask): Promise<void> {
  const m = draftMask()
  if (m) await keep(work(m))
}

export const invertMask = async (): Promise<void> => { await change(invert) }
export const growMask = async (by: number): Promise<void> => { await change((m) => grow(m, by)) }
export const featherMask = async (radius: number): Promise<void> => { await change((m) => feather(m, radius)) }
export const clearMask = (): void => { clear() }

export async function addShape (shape: Mask, mode: Mode): Promise<void> {
  await change((m) => {
    combine(m, shape, mode)
    return m
  })
}

/* Where the layer is seen, as it lies on the canvas. */
export async function maskFromLayer (layer: Layer): Promise<void> {
  const p = project.value
  const back = inverse(matrixOf(layer))
  const px = pixels.value
  if (!p || !px || !back) return
  const m = newMask(p.width, p.height)
  const b = boxOfLayer(layer)
  for (let y = Math.max(0, Math.floor(b.y)); y < Math.min(p.height, b.y + b.h); y++) {
    for (let x = Math.max(0, Math.floor(b.x)); x < Math.min(p.width, b.x + b.w); x++) {
      m.data[y * p.width + x] = px.alphaOf(layer, apply(back, { x: x + 0.5, y: y + 0.5 }))
    }
  }
  if (m.data.some((v) => v > 0)) await addShape(m, 'replace')
  else toast({ kind: 'note', text: text.masks.nothing })
}

const some = (): boolean => hasSelection.value
const group = text.groups.masks

export function registerMaskCommands (): void {
  register(
    { id: 'mask.invert', title: text.masks.invert, keys: ['Ctrl+Shift+I'], group, enabled: () => project.value !== null, run: invertMask },
    { id: 'mask.clear', title: text.masks.clear, keys: ['Ctrl+D'], group, enabled: some, run: clearMask },
    { id: 'mask.grow', title: text.masks.grow, group, enabled: some, run: async () => { await growMask(4) } },
    { id: 'mask.shrink', title: text.masks.shrink, group, enabled: some, run: async () => { await growMask(-4) } },
    { id: 'mask.feather', title: text.masks.feather, group, enabled: some, run: async () => { await featherMask(4) } },
    {
      id: 'mask.fromLayer', title: text.masks.fromLayer, group, enabled: () => activeLayer.value?.kind === 'image',
      run: async () => { if (activeLayer.value) await maskFromLayer(activeLayer.value) }
    },
    { id: 'brush.smaller', title: text.masks.smaller, keys: ['['], group, run: () => { resize(1 / 1.2) } },
    { id: 'brush.larger', title: text.masks.larger, keys: [']'], group, run: () => { resize(1.2) } },
    { id: 'brush.softer', title: text.masks.softer, keys: ['{'], group, run: () => { harden(-0.1) } },
    { id: 'brush.harder', title: text.masks.harder, keys: ['}'], group, run: () => { harden(0.1) } },
    { id: 'brush.swap', title: text.masks.swap, keys: ['X'], group, run: () => { run(tool.value === 'brush' ? 'tool.eraser' : 'tool.brush') } }
  )
}

function resize (by: number): void {
  const size = brush.value.size
  const next = by > 1 ? Math.max(size + 1, Math.round(size * by)) : Math.min(size - 1, Math.round(size * by))
  brush.value = { ...brush.value, size: Math.min(2000, Math.max(1, next)) }
}

function harden (by: number): void {
  brush.value = { ...brush.value, hardness: Math.min(1, Math.max(0, Math.round(10 * (brush.value.hardness + by)) / 10)) }
}

