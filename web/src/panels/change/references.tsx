/* references.tsx - images that a change looks at: dropped, chosen, or from the history; in an order that counts. */
import { History, ImagePlus, X } from 'lucide'
import { useRef, useState } from 'preact/hooks'
import { assets } from '../../api/client.ts'
import { attempt } from '../../state/actions/toasts.ts'
import { changeForm, fill } from '../../state/forms.ts'
import { IMAGES_MAX, type Reference } from '../../state/requests.ts'
import { historyItems } from '../../state/store.ts'
import { text } from '../../text.ts'
import { IconButton } from '../../ui/button.tsx'
import { ASSET_TYPE, draggedAsset } from '../../state/drag.ts'
import { wrong } from '../tasks/parts.tsx'

const MOVED = 'application/x-veetance-reference'
const MOST = IMAGES_MAX - 1

function put (references: Reference[]): void {
  fill(changeForm, 'change', { references: references.slice(0, MOST) })
}

function add (...more: Reference[]): void {
  put([...changeForm.value.references, ...more])
}

async function addFiles (files: Iterable<File>): Promise<void> {
  for (const f of files) {
    const stored = await attempt(async () => await assets.upload(f, f.name))
    if (stored) add({ id: stored.id, name: f.name })
  }
}

function move (from: number, to: number): void {
  const next = [...changeForm.value.references]
  const [one] = next.splice(from, 1)
  if (one) next.splice(Math.min(next.length, Math.max(0, to)), 0, one)
  put(next)
}

function One ({ r, at, of }: { r: Reference, at: number, of: number }) {
  const label = text.change.reference(at + 1, of, r.name)
  return (
    <li class='reference' draggable tabIndex={0} aria-label={label} title={label}
      onDragStart={(ev) => { ev.dataTransfer?.setData(MOVED, String(at)) }}
      onDragOver={(ev) => { if (ev.dataTransfer?.types.includes(MOVED)) ev.preventDefault() }}
      onDrop={(ev) => {
        const from = ev.dataTransfer?.getData(MOVED)
        if (!from) return
        ev.preventDefault()
        ev.stopPropagation()
        move(Number(from), at)
      }}
      onKeyDown={(ev) => {
        if (ev.key === 'Delete') put(changeForm.value.references.filter((_, i) => i !== at))
        else if (ev.key === 'ArrowLeft' || ev.key === 'ArrowRight') move(at, at + (ev.key === 'ArrowLeft' ? -1 : 1))
        else return
        ev.preventDefault()
        ev.stopPropagation()
      }}>
      <img src={assets.thumb(r.id, 96)} alt='' class='checker' draggable={false} />
      <IconButton class='small' label={text.change.removeReference(at + 1)} icon={X} onClick={() => { put(changeForm.value.references.filter((_, i) => i !== at)) }} />
    </li>
  )
}

function FromHistory ({ onDone }: { onDone: () => void }) {
  const items = historyItems.value ?? []
  return (
    <div class='reference-pick' role='group' aria-label={text.change.fromHistory}>
      {items.length === 0 && <p class='secondary'>{text.history.empty}</p>}
      {items.slice(0, 24).map((a) => (
        <button key={a.id} type='button' title={a.prompt ?? a.name} aria-label={a.prompt ?? a.name} onClick={() => {
          add({ id: a.id, name: a.prompt ?? a.name })
          onDone()
        }}>
          <img src={assets.thumb(a.id, 96)} alt='' loading='lazy' class='checker' />
        </button>
      ))}
    </div>
  )
}

export function References () {
  const all = changeForm.value.references
  const files = useRef<HTMLInputElement>(null)
  const [picking, setPicking] = useState(false)
  const [over, setOver] = useState(false)
  const full = all.length >= MOST
  const error = wrong('change', 'images')
  return (
    <div class={over ? 'field-group references over' : 'field-group references'} role='group' aria-label={text.change.references}
      onDragOver={(ev) => {
        const types = ev.dataTransfer?.types ?? []
        if (full || !(types.includes('Files') || types.includes(ASSET_TYPE))) return
        ev.preventDefault()
        ev.stopPropagation()
        setOver(true)
      }}
      onDragLeave={() => { setOver(false) }}
      onDrop={(ev) => {
        setOver(false)
        const a = draggedAsset(ev.dataTransfer)
        const dropped = [...ev.dataTransfer?.files ?? []]
        if (!a && dropped.length === 0) return
        ev.preventDefault()
        ev.stopPropagation()
        if (a) add({ id: a.id, name: a.name })
        else void addFiles(dropped)
      }}>
      <div class='field-head'>
        <span class='field-group-label'>{text.change.references}{all.length > 0 && ` ${all.length}/${MOST}`}</span>
        <span class='row'>
          <IconButton class='small' label={text.change.fromHistory} icon={History} expanded={picking} disabled={full} onClick={() => { setPicking(!picking) }} />
          <IconButton class='small' label={text.change.addReference} icon={ImagePlus} disabled={full} onClick={() => { files.current?.click() }} />
        </span>
      </div>
      <input ref={files} type='file' accept='image/*' multiple hidden onChange={(ev) => {
        void addFiles([...ev.currentTarget.files ?? []])
        ev.currentTarget.value = ''
      }} />
      {all.length > 0
        ? <ol class='reference-list'>{all.map((r, i) => <One key={`${r.id}${i}`} r={r} at={i} of={all.length} />)}</ol>
        : <p class='reference-drop'>{text.change.dropReferences}</p>}
      {picking && <FromHistory onDone={() => { setPicking(false) }} />}
      {error && <small class='field-error' role='alert'>{error}</small>}
    </div>
  )
}
