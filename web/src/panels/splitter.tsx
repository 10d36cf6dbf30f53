/* splitter.tsx - two panels above each other with a border that moves by pointer and arrows. */
import type { ComponentChildren } from 'preact'
import { useRef, useState } from 'preact/hooks'
import { text } from '../text.ts'

const LEAST = 0.2

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
          if (ev.key !== 'ArrowUp' && ev.key !== 'ArrowDown') return
          ev.preventDefault()
          set(share + (ev.key === 'ArrowDown' ? 0.04 : -0.04))
        }}
        onPointerDown={(ev) => { ev.currentTarget.setPointerCapture(ev.pointerId) }}
        onPointerMove={(ev) => {
          const r = box.current?.getBoundingClientRect()
          if (r && ev.currentTarget.hasPointerCapture(ev.pointerId)) set((ev.clientY - r.top) / r.height)
        }} />
      <div class='panel' style={{ flex: `${1 - share} 1 0` }}>{bottom}</div>
    </div>
  )
}
