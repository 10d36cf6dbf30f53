/* previews.tsx - what running jobs of this project have so far, where it will lie, with a thin line for how far they are.
 * A preview of layers is one sheet of tiles, the bottom layer at the left. A result that waits is not covered: then there is
 * the line alone. */
import type { Job, Preview } from '../../api/types.ts'
import { placeOf } from '../../state/actions/jobs.ts'
import { newLayer } from '../../state/actions/layers.ts'
import { fractionOf } from '../../state/progress.ts'
import { candidate, previews, project, projectJobs, zoom } from '../../state/store.ts'
import { draftLayers } from '../draft.ts'
import { around, corners, matrixOf, multiply, scaling, translation, type Matrix } from '../../state/matrix.ts'
import { boxToScreen, pan } from '../viewport.ts'

function toScreenMatrix (m: Matrix): string {
  const s = multiply(multiply(translation(pan.value.x, pan.value.y), scaling(zoom.value, zoom.value)), m)
  return `matrix(${s.a} ${s.b} ${s.c} ${s.d} ${s.e} ${s.f})`
}

function Sheet ({ of, w, h }: { of: Preview, w: number, h: number }) {
  const scale = w / of.width
  const href = `data:${of.type};base64,${of.data}`
  return (
    <>
      {of.tiles > 1 && <rect width={w} height={h} class='sheet-ground' />}
      <image href={href} width={w} height={of.height * scale} y={of.tiles > 1 ? (h - of.height * scale) / 2 : 0} preserveAspectRatio='none' />
    </>
  )
}

function Running ({ job, preview }: { job: Job, preview: Preview | undefined }) {
  const p = project.value
  if (!p) return null
  const size = preview ? { width: preview.width / preview.tiles, height: preview.height } : p
  const matrix = matrixOf(newLayer(placeOf(job, size, draftLayers.value, p)))
  const box = boxToScreen(around(corners(size.width, size.height, matrix)))
  return (
    <>
      {preview && !candidate.value && <g transform={toScreenMatrix(matrix)}><Sheet of={preview} w={size.width} h={size.height} /></g>}
      <rect class='job-place' x={box.x} y={box.y} width={box.w} height={box.h} />
      <rect class='job-track' x={box.x} y={box.y + box.h + 4} width={box.w} height={3} rx={1.5} />
      <rect class='job-done' x={box.x} y={box.y + box.h + 4} width={box.w * fractionOf(job)} height={3} rx={1.5} />
    </>
  )
}

export function Previews () {
  const running = projectJobs.value.filter((j) => j.state === 'running' && j.kind !== 'caption')
  return <>{running.map((j) => <Running key={j.id} job={j} preview={previews.value.get(j.id)} />)}</>
}
