/* exporting.ts - the file that a person asked for, saved or put into the clipboard. */
import { projects, type File, type Follow } from '../../api/client.ts'
import { exportQuery, type ExportChoice, type ExportQuery } from '../exporting.ts'
import { flush } from '../save.ts'
import { preferences, project, selectedIds, layers } from '../store.ts'
import { topmost } from '../tree.ts'
import { prefer } from './machine.ts'

export const chosenLayers = (): string[] => topmost(layers.value, selectedIds.value)

/* What is on the server, with everything that was done until now. */
export async function fetchExport (query: ExportQuery, follow: Follow): Promise<File> {
  const id = project.value?.id ?? ''
  await flush()
  return await projects.exportFile(id, query, follow)
}

function save (f: File): void {
  const url = URL.createObjectURL(f.blob)
  const a = document.createElement('a')
  a.href = url
  a.download = f.name
  a.click()
  setTimeout(() => { URL.revokeObjectURL(url) }, 60000)
}

/* The name and size of the file that was saved. Throws what went wrong. */
export async function saveExport (c: ExportChoice, follow: Follow): Promise<File> {
  prefer({ exporting: c })
  const f = await fetchExport(exportQuery(c, chosenLayers()), follow)
  save(f)
  return f
}

export const canCopy = (): boolean => typeof ClipboardItem === 'function' && typeof navigator.clipboard?.write === 'function'

export async function copyExport (c: ExportChoice, follow: Follow): Promise<void> {
  const image = fetchExport(exportQuery({ ...c, format: 'png' }, chosenLayers()), follow).then((f) => f.blob)
  await navigator.clipboard.write([new ClipboardItem({ 'image/png': image })])
}

export const lastChoice = (usual: ExportChoice): ExportChoice => ({ ...usual, ...preferences.value.exporting, selected: false })
