/* view.ts - the hand and zoom tools. */
import { Hand, ZoomIn } from 'lucide'
import { text } from '../../text.ts'
import { panBy, show, zoomStep } from '../viewport.ts'
import { registerTool, type Gesture, type Pointer } from './tool.ts'
import { dragBox, marquee } from './marquee.ts'

/* Moves the canvas under the pointer. */
export function panning (from: Pointer): Gesture {
  let last = from.screen
  return {
    move (p) {
      panBy(p.screen.x - last.x, p.screen.y - last.y)
      last = p.screen
    },
    up () { /* it is where it was moved to */ },
    cancel () { panBy(from.screen.x - last.x, from.screen.y - last.y) }
  }
}

const LEAST_DRAG = 6

/* A click zooms in (Alt: out), a drag shows what it encloses. */
function zooming (from: Pointer): Gesture {
  return {
    move (p) { marquee.value = dragBox(from, p) },
    up (p) {
      const drawn = Math.hypot(p.screen.x - from.screen.x, p.screen.y - from.screen.y) >= LEAST_DRAG
      marquee.value = null
      if (drawn) show(dragBox(from, p), Infinity)
      else zoomStep(p.alt ? -1 : 1, p.screen)
    },
    cancel () { marquee.value = null }
  }
}

export function registerViewTools (): void {
  registerTool({ id: 'hand', key: 'H', label: text.canvas.tools.hand, icon: Hand, cursor: () => 'grab', down: panning })
  registerTool({
    id: 'zoom', key: 'Z', label: text.canvas.tools.zoom, icon: ZoomIn, cursor: (p) => p?.alt ? 'zoom-out' : 'zoom-in', down: zooming
  })
}
