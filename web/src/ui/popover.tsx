/* popover.tsx - a button that opens a small panel below it. Escape and a click elsewhere close it. */
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'

const EDGE = 8

function Panel ({ label, anchor, onClose, children }: { label: string, anchor: HTMLElement, onClose: () => void, children: ComponentChildren }) {
  const ref = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    const panel = ref.current
    if (!panel) return
    const from = anchor.getBoundingClientRect()
    const box = panel.getBoundingClientRect()
    panel.style.left = `${Math.max(EDGE, Math.min(from.left, innerWidth - box.width - EDGE))}px`
    panel.style.top = `${Math.min(from.bottom + 4, innerHeight - box.height - EDGE)}px`
    panel.focus()
    const outside = (ev: Event): void => {
      const to = ev.target as Node
      if (!panel.contains(to) && !anchor.contains(to)) onClose()
    }
    window.addEventListener('pointerdown', outside, true)
    return () => {
      window.removeEventListener('pointerdown', outside, true)
      if (panel.contains(document.activeElement)) anchor.focus()
    }
  }, [])
  return (
    <div ref={ref} class='popover' role='dialog' aria-label={label} tabIndex={-1}
      onKeyDown={(ev) => {
        ev.stopPropagation()
        if (ev.key !== 'Escape') return
        onClose()
        anchor.focus()
      }}>
      {children}
    </div>
  )
}

export function PopoverButton ({ label, title, class: cls = 'button quiet', content, children }: {
  label: string
  title?: string
  class?: string
  content: () => ComponentChildren
  children: ComponentChildren
}) {
  const [open, setOpen] = useState(false)
  const ref = useRef<HTMLButtonElement>(null)
  return (
    <>
      <button ref={ref} type='button' class={cls} aria-label={label} title={title ?? label} aria-haspopup='dialog' aria-expanded={open} onClick={() => { setOpen(!open) }}>{children}</button>
      {open && ref.current && <Panel label={label} anchor={ref.current} onClose={() => { setOpen(false) }}>{content()}</Panel>}
    </>
  )
}
