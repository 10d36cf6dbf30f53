/* drag.ts - images that are dragged from one place of the window to another. */
import { signal } from '@preact/signals'

export const ASSET_TYPE = 'application/x-veetance-asset'

export interface DraggedAsset { id: string, width: number, height: number, name: string }

/* What is in the air: what it carries is told to nobody before it is dropped. */
export const inAir = signal<DraggedAsset | null>(null)

export function carryAsset (data: DataTransfer | null, a: DraggedAsset): void {
  data?.setData(ASSET_TYPE, JSON.stringify(a))
  if (data) data.effectAllowed = 'copy'
  inAir.value = a
}

/* Null where something else was dropped. */
export function draggedAsset (data: DataTransfer | null): DraggedAsset | null {
  const text = data?.getData(ASSET_TYPE)
  return text ? JSON.parse(text) as DraggedAsset : null
}
