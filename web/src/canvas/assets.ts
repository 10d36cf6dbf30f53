/* assets.ts - images of the store as textures: read once, kept within a bound of bytes.
 *
 * Pixels come as they are in the file: not premultiplied, and converted only where the file has a colour profile (the
 * server converts those too). What the open project draws stays; of the rest the one used longest ago goes first. When
 * even what is drawn passes the bound, new ones are kept at half the side, and half again, until they fit. */
import { signal } from '@preact/signals'
import { assets as api } from '../api/client.ts'
import type { Backend, Surface, Texture } from './backend.ts'

/* width and height are those of the image; its texture may be smaller. */
export interface Loaded<T extends Texture> { texture: T, width: number, height: number }

interface Entry<T extends Texture> {
  state: 'waiting' | 'loading' | 'ready' | 'failed'
  loaded: Loaded<T> | null
  used: number
}

export const BOUND = 1 << 30
const AT_ONCE = 4
/* A profile stands before the pixels, in a chunk named so by PNG, JPEG or WebP. */
const PROFILE_WITHIN = 65536

/* How many images are on their way; read by the status corner. */
export const loading = signal(0)
/* How many could not be read. */
export const missing = signal(0)

const bytesOf = (t: Texture): number => 4 * t.width * t.height

async function hasProfile (file: Blob): Promise<boolean> {
  const head = new TextDecoder('latin1').decode(await file.slice(0, PROFILE_WITHIN).arrayBuffer())
  return head.includes('iCCP') || head.includes('ICC_PROFILE') || head.includes('ICCP')
}

async function decode (file: Blob, options: ImageBitmapOptions = {}): Promise<ImageBitmap> {
  const colorSpaceConversion = await hasProfile(file) ? 'default' : 'none'
  return await createImageBitmap(file, { premultiplyAlpha: 'none', colorSpaceConversion, ...options })
}

/* What this browser does not decode (TIFF, HEIC) is shown as the server's small image of it. */
async function fetchImage (id: string): Promise<{ bitmap: ImageBitmap, width: number, height: number }> {
  try {
    const bitmap = await decode(await api.file(id))
    return { bitmap, width: bitmap.width, height: bitmap.height }
  } catch {
    const [bitmap, info] = await Promise.all([api.file(id, 1024).then(decode), api.info(id)])
    return { bitmap, width: info.width, height: info.height }
  }
}

async function reduced (from: ImageBitmap, most: number): Promise<ImageBitmap> {
  const scale = Math.min(1, most / Math.max(from.width, from.height))
  if (scale === 1) return from
  const small = await createImageBitmap(from, {
    resizeWidth: Math.max(1, Math.round(from.width * scale)), resizeHeight: Math.max(1, Math.round(from.height * scale)),
    resizeQuality: 'high', premultiplyAlpha: 'none'
  })
  from.close()
  return small
}

export class Assets<T extends Texture, S extends Surface> {
  private readonly backend: Backend<T, S>
  private readonly bound: number
  private readonly changed: () => void
  private readonly entries = new Map<string, Entry<T>>()
  private needed: ReadonlySet<string> = new Set()
  private clock = 0
  private running = 0
  private bytes = 0

  constructor (backend: Backend<T, S>, changed: () => void, bound = BOUND) {
    this.backend = backend
    this.changed = changed
    this.bound = bound
  }

  /* Null while it is on its way. */
  get (id: string): Loaded<T> | null {
    const e = this.entries.get(id)
    if (e) {
      e.used = ++this.clock
      return e.loaded
    }
    this.entries.set(id, { state: 'waiting', loaded: null, used: ++this.clock })
    this.start()
    return null
  }

  /* Says what is drawn from now on; the rest may go. */
  need (ids: ReadonlySet<string>): void {
    this.needed = ids
    this.evict(0)
  }

  /* Asks again for what could not be read. */
  retry (): void {
    for (const [id, e] of this.entries) if (e.state === 'failed') this.entries.delete(id)
    missing.value = 0
    this.changed()
  }

  /* What is on its way then comes for nothing. */
  clear (): void {
    for (const [id, e] of this.entries) this.remove(id, e)
    loading.value = 0
    missing.value = 0
  }

  private start (): void {
    for (const [id, e] of this.entries) {
      if (this.running >= AT_ONCE) break
      if (e.state === 'waiting') void this.load(id, e)
    }
    const count = (...states: Entry<T>['state'][]): number => [...this.entries.values()].filter((e) => states.includes(e.state)).length
    loading.value = count('waiting', 'loading')
    missing.value = count('failed')
  }

  private async load (id: string, e: Entry<T>): Promise<void> {
    e.state = 'loading'
    this.running++
    try {
      const image = await fetchImage(id)
      const bitmap = await reduced(image.bitmap, this.sideFor(image.bitmap))
      if (this.entries.get(id) === e) this.keep(e, bitmap, image)
      bitmap.close()
    } catch {
      e.state = 'failed'
    } finally {
      this.running--
    }
    if (this.entries.get(id) !== e) return
    this.start()
    this.changed()
  }

  private keep (e: Entry<T>, bitmap: ImageBitmap, { width, height }: { width: number, height: number }): void {
    e.loaded = { texture: this.backend.texture(bitmap), width, height }
    e.state = 'ready'
    this.bytes += bytesOf(e.loaded.texture)
  }

  private sideFor (b: ImageBitmap): number {
    let side = Math.min(this.backend.most, Math.max(b.width, b.height))
    const scaled = (): number => bytesOf(b) * (side / Math.max(b.width, b.height)) ** 2
    this.evict(scaled())
    while (side > 512 && this.bytes + scaled() > this.bound) side /= 2
    return Math.round(side)
  }

  private evict (coming: number): void {
    const idle = [...this.entries].filter(([id, e]) => e.state === 'ready' && !this.needed.has(id)).sort((a, b) => a[1].used - b[1].used)
    for (const [id, e] of idle) {
      if (this.bytes + coming <= this.bound) return
      this.remove(id, e)
    }
  }

  private remove (id: string, e: Entry<T>): void {
    this.entries.delete(id)
    if (!e.loaded) return
    this.bytes -= bytesOf(e.loaded.texture)
    this.backend.drop(e.loaded.texture)
  }
}
