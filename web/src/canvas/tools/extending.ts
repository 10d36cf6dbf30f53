/* extending.ts - a side of the canvas that is drawn outwards, for a change that paints what is new. */
import { extend, zoom } from '../../state/store.ts'
import { drawnSides, extended, GRIP_AWAY, sideAt, type Side } from '../extend.ts'
import type { Gesture, Pointer } from './tool.ts'

const REACH = { mouse: 14, touch: 24 }

export function sideUnder (p: Pointer): Side | null {
  return sideAt(p, (p.touch ? REACH.touch : REACH.mouse) / zoom.value, GRIP_AWAY / zoom.value)
}

/* Alt draws the opposite side too, Control leaves the steps of 16. */
export function extending (from: Pointer, side: Side): Gesture | null {
  const e = extended.value
  const before = extend.value
  if (!e) return null
  return {
    move (p) { extend.value = drawnSides(e.inner, before, side, from, p, { even: p.alt, free: p.ctrl }) },
    up () { /* it is where it was drawn to */ },
    cancel () { extend.value = before }
  }
}
