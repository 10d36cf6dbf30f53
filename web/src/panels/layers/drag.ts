/* drag.ts - dragging rows of the tree by pointer: after a few pixels a line shows where they would go; Escape gives up. */
import { signal } from '@preact/signals'
import { dropAt, type Drop, type Row } from '../../state/rows.ts'
import { moveLayers } from '../../state/actions/layers.ts'
import { layers } from '../../state/store.ts'

export const ROW = 36
const SLACK = 5
const EDGE = 28

export const drop = signal<Drop | null>(null)
export const dragged = signal<string[]>([])

/* Follows the pointer from a press on a row until it is released. */
export function follow (press: PointerEvent, list: HTMLElement, rows: () => Row[], ids: () => string[]): void {
  let active = false
  const move = (ev: PointerEvent): void => {
    if (!active && Math.hypot(ev.clientX - press.clientX, ev.clientY - press.clientY) < SLACK) return
    active = true
    const box = list.getBoundingClientRect()
    if (ev.clientY < box.top + EDGE) list.scrollTop -= 8
    if (ev.clientY > box.bottom - EDGE) list.scrollTop += 8
    const y = ev.clientY - box.top + list.scrollTop
    const all = rows()
    const at = Math.min(all.length - 1, Math.max(0, Math.floor(y / ROW)))
    const part = Math.min(1, Math.max(0, y / ROW - at))
    dragged.value = ids()
    drop.value = dropAt(layers.value, all, at, part, dragged.value)
  }
  const end = (): void => {
    window.removeEventListener('pointermove', move)
    window.removeEventListener('pointerup', up)
    window.removeEventListener('pointercancel', end)
    window.removeEventListener('keydown', key, true)
    dragged.value = []
    drop.value = null
  }
  const up = (): void => {
    const to = drop.value
    const moved = dragged.value
    end()
    if (active && to) moveLayers(moved, to.parent, to.index)
    if (active) window.addEventListener('click', swallow, { capture: true, once: true })
    setTimeout(() => { window.removeEventListener('click', swallow, true) })
  }
  const key = (ev: KeyboardEvent): void => {
    if (ev.key !== 'Escape' || !active) return
    ev.stopPropagation()
    end()
  }
  window.addEventListener('pointermove', move)
  window.addEventListener('pointerup', up)
  window.addEventListener('pointercancel', end)
  window.addEventListener('keydown', key, true)
}

/* The click that ends a drag chooses nothing. */
function swallow (ev: Event): void {
  ev.stopPropagation()
  ev.preventDefault()
}
