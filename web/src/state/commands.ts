/* commands.ts - everything that can be done, once: menus, buttons, shortcuts and the palette run these. A panel adds its
 * own with `register`. */
import { signal } from '@preact/signals'

export interface Command {
  id: string
  title: string
  keys?: string[] // "Ctrl+Shift+Z", "V", "["; the first is shown
  group: string // heading in the list of shortcuts
  enabled?: () => boolean
  run: () => void | Promise<unknown>
  /* Also while a text field has the focus. */
  inFields?: boolean
  /* Of several commands with one key the highest runs; 0 by default. */
  rank?: number
}

export const commands = signal<ReadonlyMap<string, Command>>(new Map())

export function register (...list: Command[]): void {
  const next = new Map(commands.value)
  for (const c of list) next.set(c.id, c)
  commands.value = next
}

export function isEnabled (c: Command): boolean {
  return c.enabled?.() ?? true
}

export function run (id: string): void {
  const c = commands.value.get(id)
  if (c && isEnabled(c)) void c.run()
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

/* "Ctrl" is Command on a Mac. Of a character that Shift makes ("?"), Shift is not told. */
export function keyName (ev: KeyboardEvent): string {
  const key = ev.key === ' ' ? 'Space' : ev.key.length === 1 ? ev.key.toUpperCase() : ev.key
  const letter = /^[A-Z0-9]$/.test(key) || key.length > 1
  return (ev.ctrlKey || ev.metaKey ? 'Ctrl+' : '') + (ev.altKey ? 'Alt+' : '') + (ev.shiftKey && letter ? 'Shift+' : '') + key
}

export function isField (target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true
  return target instanceof HTMLInputElement && !['checkbox', 'radio', 'button', 'range', 'color'].includes(target.type)
}

/* Enter and Space press the button that has the focus, arrows move its slider, and nothing else happens. */
function usesKey (name: string, target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  if (name === 'Enter' || name === 'Space') return target.closest('button, a, summary, input, [role=treeitem], [role=option]') !== null
  return name.startsWith('Arrow') && target instanceof HTMLInputElement && target.type === 'range'
}

export function commandFor (ev: KeyboardEvent): Command | null {
  const name = keyName(ev)
  if (usesKey(name, ev.target)) return null
  /* A dialog keeps its keys to itself, like a text field. */
  const typing = isField(ev.target) || (ev.target instanceof Element && ev.target.closest('dialog') !== null)
  let best: Command | null = null
  for (const c of commands.value.values()) {
    if (!c.keys?.includes(name) || (typing && !c.inFields) || !isEnabled(c)) continue
    if (!best || (c.rank ?? 0) > (best.rank ?? 0)) best = c
  }
  return best
}

/* Escape leaves a text field, so that the keys are shortcuts again. */
function leave (ev: KeyboardEvent): void {
  if (ev.key === 'Escape' && isField(ev.target) && ev.target instanceof HTMLElement && !ev.target.closest('dialog')) ev.target.blur()
}

/* Runs shortcuts until the returned function is called. */
export function followKeys (): () => void {
  const down = (ev: KeyboardEvent): void => {
    if (ev.defaultPrevented || ev.isComposing) return
    const c = commandFor(ev)
    if (!c) {
      leave(ev)
      return
    }
    ev.preventDefault()
    void c.run()
  }
  window.addEventListener('keydown', down)
  return () => { window.removeEventListener('keydown', down) }
}
