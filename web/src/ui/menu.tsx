/* menu.tsx - a button that opens a menu, and a menu at a point. Arrows walk, letters jump, Escape closes. */
import { Check, type IconNode } from 'lucide'
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { keyLabel } from './format.ts'
import { Icon } from './icon.tsx'

export type MenuItem = 'line' | {
  label: string
  keys?: string | undefined
  icon?: IconNode
  disabled?: boolean
  danger?: boolean
  checked?: boolean // makes it one of several
  toggle?: boolean // with checked: it is switched by itself
  note?: string
  run: () => void
}

function walk (list: HTMLElement, ev: KeyboardEvent, close: () => void): void {
  const items = [...list.querySelectorAll<HTMLElement>('[role^=menuitem]:not([aria-disabled=true])')]
  const at = items.indexOf(document.activeElement as HTMLElement)
  const to = ev.key === 'ArrowDown' ? at + 1 : ev.key === 'ArrowUp' ? at - 1 : ev.key === 'Home' ? 0 : ev.key === 'End' ? items.length - 1 : null
  if (ev.key === 'Escape' || ev.key === 'Tab') close()
  else if (to !== null) items[(to + items.length) % items.length]?.focus()
  else if (ev.key.length === 1) items.find((i) => i.textContent?.toLowerCase().startsWith(ev.key.toLowerCase()))?.focus()
  else return
  ev.stopPropagation()
  if (ev.key !== 'Tab') ev.preventDefault()
}

export function Menu ({ items, at, label, onClose }: { items: MenuItem[], at: { x: number, y: number }, label: string, onClose: () => void }) {
  const ref = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    const list = ref.current
    const before = document.activeElement
    if (!list) return
    const box = list.getBoundingClientRect()
    list.style.left = `${Math.max(8, Math.min(at.x, innerWidth - box.width - 8))}px`
    list.style.top = `${Math.max(8, Math.min(at.y, innerHeight - box.height - 8))}px`
    list.querySelector<HTMLElement>('[role^=menuitem]')?.focus()
    const outside = (ev: Event): void => { if (!list.contains(ev.target as Node)) onClose() }
    window.addEventListener('pointerdown', outside, true)
    return () => {
      window.removeEventListener('pointerdown', outside, true)
      /* Unless what was chosen has taken the focus. */
      if (before instanceof HTMLElement && list.contains(document.activeElement)) before.focus()
    }
  }, [])
  return (
    <div ref={ref} class='menu' role='menu' aria-label={label} onKeyDown={(ev) => { if (ref.current) walk(ref.current, ev, onClose) }}>
      {items.map((item, i) => item === 'line'
        ? <div key={i} class='menu-line' role='separator' />
        : (
          <button key={i} type='button' tabIndex={-1} role={item.checked === undefined ? 'menuitem' : item.toggle ? 'menuitemcheckbox' : 'menuitemradio'} aria-checked={item.checked}
            aria-disabled={item.disabled} class={item.danger ? 'danger' : ''}
            onClick={() => { if (!item.disabled) { onClose(); item.run() } }}>
            {item.icon ? <Icon of={item.icon} /> : item.checked ? <Icon of={Check} /> : <span class='icon' />}
            <span class='menu-label'>{item.label}{item.note && <small>{item.note}</small>}</span>
            {item.keys && <kbd>{keyLabel(item.keys)}</kbd>}
          </button>
          ))}
    </div>
  )
}

export function MenuButton ({ label, items, children, class: cls = 'button quiet', title }: {
  label: string
  items: () => MenuItem[]
  children: ComponentChildren
  class?: string
  title?: string
}) {
  const [at, setAt] = useState<{ x: number, y: number } | null>(null)
  const ref = useRef<HTMLButtonElement>(null)
  return (
    <>
      <button ref={ref} type='button' class={cls} aria-label={label} title={title ?? label} aria-haspopup='menu' aria-expanded={at !== null}
        onClick={() => {
          const r = ref.current?.getBoundingClientRect()
          setAt(at || !r ? null : { x: r.left, y: r.bottom + 4 })
        }}>
        {children}
      </button>
      {at && <Menu items={items()} at={at} label={label} onClose={() => { setAt(null) }} />}
    </>
  )
}
