/* splitter.tsx - two panels above each other, or beside each other in a low room, with a border that moves by pointer and
 * arrows. */
import type { ComponentChildren } from 'preact'
import { useRef, useState } from 'preact/hooks'
import { text } from '../text.ts'

const LEAST = 0.2
const STEPS: Record<string, number> = { ArrowUp: -0.04, ArrowLeft: -0.04, ArrowDown: 0.04, ArrowRight: 0.04 }

function shareAt (box: HTMLElement, at: { clientX: number, clientY: number }): number {
  const r = box.getBoundingClientRect()
  const beside = getComputedStyle(box).flexDirection === 'row'
  return beside ? (at.clientX - r.left) / r.width : (at.clientY - r.top) / r.height
}

export function Splitter ({ top, bottom }: { top: ComponentChildren, bottom: ComponentChildren }) {
  const [share, setShare] = useState(0.56)
  const box = useRef<HTMLDivElement>(null)
  const set = (v: number): void => { setShare(Math.min(1 - LEAST, Math.max(LEAST, v))) }
  return (
    <div class='splitter' ref={box}>
      <div class='panel' style={{ flex: `${share} 1 0` }}>{top}</div>
      <div class='divider' role='separator' tabIndex={0} aria-orientation='horizontal' aria-label={text.splitter}
        aria-valuenow={Math.round(100 * share)} aria-valuemin={100 * LEAST} aria-valuemax={100 * (1 - LEAST)}
        onKeyDown={(ev) => {
          const by = STEPS[ev.key]
          if (by === undefined) return
          ev.preventDefault()
          set(share + by)
        }}
        onPointerDown={(ev) => { ev.currentTarget.setPointerCapture(ev.pointerId) }}
        onPointerMove={(ev) => {
          if (box.current && ev.currentTarget.hasPointerCapture(ev.pointerId)) set(shareAt(box.current, ev))
        }} />
      <div class='panel' style={{ flex: `${1 - share} 1 0` }}>{bottom}</div>
    </div>
  )
}
