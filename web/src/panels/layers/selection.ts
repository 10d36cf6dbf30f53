/* selection.ts - which rows are chosen, folded or being renamed. */
import { signal } from '@preact/signals'
import { select } from '../../state/actions/layers.ts'
import { range, type Row } from '../../state/rows.ts'
import { folded, selectedIds } from '../../state/store.ts'

export const renaming = signal<string | null>(null)
/* The row that arrows start from, and the other end of a range. */
export const focusedId = signal<string | null>(null)
let anchor: string | null = null

export function fold (id: string, close: boolean): void {
  const next = new Set(folded.value)
  if (close) next.add(id)
  else next.delete(id)
  folded.value = next
}

/* A click or an arrow on a row, with the keys that are held. */
export function choose (rows: Row[], id: string, keys: { shiftKey: boolean, ctrlKey: boolean, metaKey: boolean }): void {
  focusedId.value = id
  if (keys.shiftKey && anchor !== null) {
    select(range(rows, anchor, id))
    return
  }
  anchor = id
  if (keys.ctrlKey || keys.metaKey) select(selectedIds.value.includes(id) ? selectedIds.value.filter((x) => x !== id) : [...selectedIds.value, id])
  else select([id])
}
