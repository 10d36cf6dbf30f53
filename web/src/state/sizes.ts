/* sizes.ts - the sizes of images, read once each. */
import { signal } from '@preact/signals'
import { assets } from '../api/client.ts'
import type { Size } from './requests.ts'

const known = signal<ReadonlyMap<string, Size>>(new Map())
const asked = new Set<string>()

export function knowSize (asset: string, size: Size): void {
  if (!known.value.has(asset)) known.value = new Map(known.value).set(asset, { width: size.width, height: size.height })
}

export async function readSize (asset: string): Promise<Size> {
  const now = known.value.get(asset)
  if (now) return now
  const info = await assets.info(asset)
  knowSize(asset, info)
  return info
}

/* Null until it is read; who reads the signal is told then. */
export function sizeOf (asset: string | null | undefined): Size | null {
  if (!asset) return null
  const size = known.value.get(asset)
  if (size) return size
  if (!asked.has(asset)) {
    asked.add(asset)
    readSize(asset).catch(() => { asked.delete(asset) })
  }
  return null
}
