/* pointers.ts - pointers of the canvas: which gesture each of them is part of.
 *
 * One pointer works with the tool; the middle button, or any while Space is held, moves the canvas; two fingers move and
 * zoom it and take back what the first had begun. */
import { signal } from '@preact/signals'
import { zoom } from '../state/store.ts'
import type { Point } from '../state/matrix.ts'
import { activeTool, type Gesture, type Pointer } from './tools/tool.ts'
import { panning } from './tools/view.ts'
import { panBy, toCanvas, zoomHolding, zoomTo } from './viewport.ts'

export const spaceHeld = signal(false)
/* Where the pointer is; null: elsewhere. */
export const hovering = signal<Pointer | null>(null)
/* What is under way; null: nothing. */
export const gesture = signal<Gesture | null>(null)

const WHEEL_ZOOM = 0.0016
const PINCH_ZOOM = 0.01
const LINE_PX = 16

function local (ev: { clientX: number, clientY: number }, host: Element): Point {
  const r = host.getBoundingClientRect()
  return { x: ev.clientX - r.left, y: ev.clientY - r.top }
}

export function pointerOf (ev: PointerEvent, host: Element): Pointer {
  const screen = local(ev, host)
  const between = ev.type === 'pointermove' && ev.getCoalescedEvents ? ev.getCoalescedEvents() : []
  const trail = (between.length > 0 ? between : [ev]).map((e) => ({ ...toCanvas(local(e, host)), pressure: e.pressure }))
  return {
    ...toCanvas(screen), screen, trail, pressure: ev.pressure, pen: ev.pointerType === 'pen', touch: ev.pointerType === 'touch',
    shift: ev.shiftKey, alt: ev.altKey, ctrl: ev.ctrlKey || ev.metaKey
  }
}

export class Pointers {
  private readonly host: HTMLElement
  private readonly fingers = new Map<number, Point>()
  private gripped: { held: Point, each: number } | null = null // by two fingers: a point of the canvas, and the zoom a pixel between them
  private owner: number | null = null // the pointer of the gesture

  constructor (host: HTMLElement) {
    this.host = host
  }

  down (ev: PointerEvent): void {
    if (ev.button > 1) return
    this.host.setPointerCapture(ev.pointerId)
    if (ev.pointerType === 'touch') this.fingers.set(ev.pointerId, local(ev, this.host))
    if (this.fingers.size === 2) {
      this.cancel()
      this.grip()
      return
    }
    if (this.fingers.size > 2 || this.owner !== null) return
    const p = pointerOf(ev, this.host)
    gesture.value = ev.button === 1 || spaceHeld.value ? panning(p) : activeTool()?.down(p) ?? null
    this.owner = gesture.value ? ev.pointerId : null
  }

  move (ev: PointerEvent): void {
    const p = pointerOf(ev, this.host)
    hovering.value = p
    if (this.fingers.size === 2 && this.fingers.has(ev.pointerId)) this.pinch(ev)
    else if (ev.pointerId === this.owner) gesture.value?.move(p)
    else if (this.owner === null) activeTool()?.hover?.(p)
  }

  up (ev: PointerEvent): void {
    this.fingers.delete(ev.pointerId)
    if (this.fingers.size === 2) this.grip()
    if (ev.pointerId !== this.owner) return
    const g = gesture.value
    gesture.value = null
    this.owner = null
    if (ev.type === 'pointercancel') g?.cancel()
    else g?.up(pointerOf(ev, this.host))
  }

  leave (): void {
    hovering.value = null
    if (this.owner === null) activeTool()?.hover?.(null)
  }

  /* True when something was under way. */
  cancel (): boolean {
    const g = gesture.value
    gesture.value = null
    this.owner = null
    g?.cancel()
    return g !== null
  }

  wheel (ev: WheelEvent): void {
    ev.preventDefault()
    const px = ev.deltaMode === 1 ? LINE_PX : 1
    if (ev.shiftKey) panBy(-px * (ev.deltaX || ev.deltaY), 0)
    else if (ev.altKey) panBy(0, -px * ev.deltaY)
    else zoomTo(zoom.value * Math.exp(-px * ev.deltaY * (ev.ctrlKey ? PINCH_ZOOM : WHEEL_ZOOM)), local(ev, this.host))
  }

  /* The middle between two fingers, and how far they are apart. */
  private span (): { at: Point, length: number } {
    const [a = { x: 0, y: 0 }, b = a] = this.fingers.values()
    return { at: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }, length: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) }
  }

  private grip (): void {
    const { at, length } = this.span()
    this.gripped = { held: toCanvas(at), each: zoom.value / length }
  }

  /* Measured from where the fingers came down: what is rounded on the way does not add up. */
  private pinch (ev: PointerEvent): void {
    this.fingers.set(ev.pointerId, local(ev, this.host))
    const { at, length } = this.span()
    if (this.gripped) zoomHolding(this.gripped.each * length, this.gripped.held, at)
  }
}
