/* button.tsx - buttons with words, with an icon, and ones that stay pressed. */
import type { IconNode } from 'lucide'
import type { ComponentChildren } from 'preact'
import { keyLabel } from './format.ts'
import { Icon } from './icon.tsx'

interface Common {
  onClick?: (ev: MouseEvent) => void
  disabled?: boolean
  class?: string
}

export function Button ({ kind = 'plain', icon, children, busy, title, ...rest }: Common & {
  kind?: 'plain' | 'primary' | 'danger' | 'quiet'
  icon?: IconNode
  busy?: boolean
  title?: string
  children: ComponentChildren
}) {
  return (
    <button type='button' class={`button ${kind} ${rest.class ?? ''}`} disabled={rest.disabled} aria-busy={busy} title={title} onClick={rest.onClick}>
      {icon && <Icon of={icon} />}
      <span>{children}</span>
    </button>
  )
}

/* `label` is its accessible name and, with the key, its tooltip. `pressed` makes it a toggle. */
export function IconButton ({ label, icon, keys, pressed, expanded, ...rest }: Common & {
  label: string
  icon: IconNode
  keys?: string | undefined
  pressed?: boolean
  expanded?: boolean
}) {
  return (
    <button type='button' class={`icon-button ${rest.class ?? ''}`} aria-label={label} title={keys ? `${label}  ${keyLabel(keys)}` : label}
      aria-pressed={pressed} aria-expanded={expanded} disabled={rest.disabled} onClick={rest.onClick}>
      <Icon of={icon} />
    </button>
  )
}
