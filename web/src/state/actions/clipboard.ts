/* clipboard.ts - the selected layers, or everything, as a PNG in the clipboard. */
import { text } from '../../text.ts'
import { USUAL } from '../exporting.ts'
import { selectedIds } from '../store.ts'
import { canCopy, chosenLayers, copyExport } from './exporting.ts'
import { removeLayers } from './layers.ts'
import { attempt, toast } from './toasts.ts'

/* True when it is there. */
export async function copyImage (): Promise<boolean> {
  const some = chosenLayers().length > 0
  if (!canCopy()) {
    toast({ kind: 'error', text: text.canvas.noClipboard })
    return false
  }
  const done = await attempt(async () => { await copyExport({ ...USUAL, selected: some, trim: some }, { signal: new AbortController().signal }); return true })
  if (done) toast({ kind: 'good', text: some ? text.canvas.copiedLayers(chosenLayers().length) : text.canvas.copiedAll })
  return done ?? false
}

export async function cutImage (): Promise<void> {
  const ids = selectedIds.value
  if (ids.length > 0 && await copyImage()) removeLayers(ids)
}
