/* under.ts - the colour of the composed image under the pointer, read a few times a second at most: reading waits for the
 * card. */
import { effect, signal } from '@preact/signals'
import { project } from '../state/store.ts'
import { pixels, revision } from './engine.ts'
import { contains } from '../state/matrix.ts'
import { hovering } from './pointers.ts'

const EVERY_MS = 60

/* RGBA; null: no canvas is there. */
export const under = signal<Uint8ClampedArray | null>(null)

function read (): void {
  const p = hovering.peek()
  const canvas = project.peek()
  if (!p || !canvas || !contains({ x: 0, y: 0, w: canvas.width, h: canvas.height }, p)) {
    under.value = null
    return
  }
  under.value = pixels.peek()?.colourAt(p) ?? null
}

/* Until the returned function is called. */
export function followColour (): () => void {
  let timer = 0
  const stop = effect(() => {
    void hovering.value
    void revision.value
    if (timer === 0) timer = window.setTimeout(() => { timer = 0; read() }, EVERY_MS)
  })
  return () => { stop(); window.clearTimeout(timer) }
}
