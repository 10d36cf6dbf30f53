/* drop.tsx - files and images of the history over the canvas: a ghost shows where they will lie and says what they become.
 * Files that become projects are left to the window. */
import { signal } from '@preact/signals'
import { assets } from '../../api/client.ts'
import { fateOf } from '../../state/actions/files.ts'
import { placeAsset, placeFile } from '../../state/actions/projects.ts'
import { ASSET_TYPE, draggedAsset, inAir } from '../../state/drag.ts'
import { project } from '../../state/store.ts'
import { text } from '../../text.ts'
import type { Point } from '../../state/matrix.ts'
import { boxToScreen, toCanvas, toScreen } from '../viewport.ts'
import { Label } from './label.tsx'

/* Where it would be dropped, on the canvas. */
const ghost = signal<{ at: Point, words: string } | null>(null)

/* What the drop becomes; null: nothing that belongs on the canvas. */
function wordsFor (data: DataTransfer | null): string | null {
  if (data?.types.includes(ASSET_TYPE)) return text.dropping.layer
  const files = [...data?.items ?? []].filter((i) => i.kind === 'file')
  if (files.length === 0 || inAir.value) return null
  const fate = fateOf(files, true)
  return fate === 'layer' || fate === 'layers' ? text.dropping[fate] : null
}

/* Several files lie a little apart. */
const APART = 24

async function place (data: DataTransfer, at: Point): Promise<void> {
  const a = draggedAsset(data)
  if (a) {
    placeAsset(a, a.name, at)
    return
  }
  for (const [i, file] of [...data.files].entries()) await placeFile(file, { x: at.x + i * APART, y: at.y + i * APART })
}

/* Listens on the canvas' element until the returned function is called. */
export function followDrops (host: HTMLElement): () => void {
  const heard = new AbortController()
  const on = <K extends 'dragover' | 'dragleave' | 'drop'>(name: K, f: (ev: DragEvent) => void): void => { host.addEventListener(name, f, { signal: heard.signal }) }
  const at = (ev: DragEvent): Point => {
    const r = host.getBoundingClientRect()
    return toCanvas({ x: ev.clientX - r.left, y: ev.clientY - r.top })
  }
  on('dragover', (ev) => {
    const words = wordsFor(ev.dataTransfer)
    ghost.value = words === null ? null : { at: at(ev), words }
    if (words === null || !ev.dataTransfer) return
    ev.preventDefault()
    ev.dataTransfer.dropEffect = 'copy'
  })
  on('dragleave', () => { ghost.value = null })
  on('drop', (ev) => {
    const words = wordsFor(ev.dataTransfer)
    ghost.value = null
    if (words === null || !ev.dataTransfer) return
    ev.preventDefault()
    void place(ev.dataTransfer, at(ev))
  })
  window.addEventListener('dragend', () => { inAir.value = null; ghost.value = null }, { signal: heard.signal })
  return () => { heard.abort() }
}

export function Ghost () {
  const g = ghost.value
  const p = project.value
  if (!g || !p) return null
  const size = inAir.value
  const scale = size ? Math.min(1, p.width / size.width, p.height / size.height) : 0
  const box = size && boxToScreen({ x: g.at.x - size.width * scale / 2, y: g.at.y - size.height * scale / 2, w: size.width * scale, h: size.height * scale })
  const at = toScreen(g.at)
  return (
    <>
      {box && size && <image class='ghost' href={assets.thumb(size.id, 256)} x={box.x} y={box.y} width={box.w} height={box.h} preserveAspectRatio='none' />}
      {box && <rect class='dashes' x={box.x} y={box.y} width={box.w} height={box.h} />}
      <Label x={at.x} y={at.y + 28} text={g.words} />
    </>
  )
}
