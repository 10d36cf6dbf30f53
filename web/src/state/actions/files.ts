/* files.ts - files that are dropped, pasted or chosen: a project each, or layers of the open one. */
import { text } from '../../text.ts'
import { project, route } from '../store.ts'
import { isLayered, openFile, placeFile } from './projects.ts'
import { attempt, toast } from './toasts.ts'

/* What will become of files: from their names, or, while they are still in the air, from their types alone. */
export type Fate = 'project' | 'projects' | 'layer' | 'layers'

export function fateOf (files: { type: string, name?: string }[], inProject: boolean): Fate {
  const images = files.every((f) => f.name === undefined ? f.type.startsWith('image/') && !f.type.includes('photoshop') : !isLayered(f.name))
  if (inProject && images) return files.length > 1 ? 'layers' : 'layer'
  return files.length > 1 ? 'projects' : 'project'
}

export async function openFiles (files: File[]): Promise<void> {
  for (const f of files) await openFile(f)
}

/* Images become layers of the open project; a layered file is a project of its own. */
export async function takeFiles (files: File[]): Promise<void> {
  if (route.value.page !== 'project' || !project.value) return await openFiles(files)
  for (const f of files) await (isLayered(f.name) ? openFile(f) : placeFile(f))
}

/* Browsers call an image that was copied, and is no file, "image.png". */
export function named (file: File): File {
  const end = /^image(\.[a-z]+)$/.exec(file.name)?.[1]
  return end ? new File([file], text.creating.pasted + end, { type: file.type }) : file
}

/* The image in the clipboard, as a project. False where there is none. */
export async function openClipboard (): Promise<boolean> {
  const items = await attempt(async () => await navigator.clipboard.read())
  for (const item of items ?? []) {
    const type = item.types.find((x) => x.startsWith('image/'))
    if (!type) continue
    const blob = await item.getType(type)
    await openFile(new File([blob], `${text.creating.pasted}.${type.slice(6)}`, { type }))
    return true
  }
  if (items) toast({ kind: 'note', text: text.creating.nothingToPaste })
  return false
}
