/* field.tsx - labelled fields: numbers that drag, take sums and arrows; text; choices; sliders; switches. */
import type { ComponentChildren } from 'preact'
import { useId, useRef, useState } from 'preact/hooks'
import { evaluate } from './arithmetic.ts'

const clamp = (v: number, lo: number, hi: number): number => Math.min(hi, Math.max(lo, v))

interface NumberProps {
  label: string
  value: number
  min?: number
  max?: number
  step?: number
  unit?: string
  digits?: number // behind the point
  disabled?: boolean
  hideLabel?: boolean
  error?: string | undefined // what is wrong with it
  /* `gesture` is the same for all steps of one drag, null for a typed value. */
  onChange: (value: number, gesture: string | null) => void
}

/* A field that may be left to others: null, shown as `empty`; arrows and drags start at `start`. */
interface OptionalNumberProps extends Omit<NumberProps, 'value' | 'onChange'> {
  value: number | null
  empty: string
  start: number
  onChange: (value: number | null, gesture: string | null) => void
}

let gestures = 0
const newGesture = (): string => `g${++gestures}`

/* Dragging the label sideways changes the value: Shift for tens. */
function useDrag (p: { value: number, step?: number, disabled?: boolean }, set: (v: number, gesture: string | null) => void) {
  const from = useRef<{ x: number, value: number, gesture: string } | null>(null)
  return {
    onPointerDown (ev: PointerEvent) {
      if (p.disabled || ev.button !== 0) return
      (ev.currentTarget as HTMLElement).setPointerCapture(ev.pointerId)
      from.current = { x: ev.clientX, value: p.value, gesture: newGesture() }
    },
    onPointerMove (ev: PointerEvent) {
      const d = from.current
      if (d && Math.abs(ev.clientX - d.x) > 2) set(d.value + Math.round((ev.clientX - d.x) / 2) * (p.step ?? 1) * (ev.shiftKey ? 10 : 1), d.gesture)
    },
    onPointerUp () { from.current = null },
    onPointerCancel () { from.current = null }
  }
}

function NumberBox ({ p, value, empty, start = 0, clear }: {
  p: Omit<NumberProps, 'value'>
  value: number | null
  empty?: string
  start?: number
  clear?: () => void
}) {
  const id = useId()
  const [typed, setTyped] = useState<string | null>(null)
  const step = p.step ?? 1
  const from = value ?? start
  const shown = value === null ? '' : value.toFixed(p.digits ?? 0)
  const set = (v: number, gesture: string | null): void => {
    const rounded = Number(clamp(v, p.min ?? -Infinity, p.max ?? Infinity).toFixed(p.digits ?? 0))
    if (rounded !== value) p.onChange(rounded, gesture)
  }
  const commit = (): void => {
    const v = typed === null ? null : evaluate(typed)
    if (typed !== null && typed.trim() === '') clear?.()
    setTyped(null)
    if (v !== null) set(v, null)
  }
  const drag = useDrag({ value: from, step, disabled: p.disabled }, set)
  return (
    <div class={p.error ? 'field number invalid' : 'field number'}>
      <label for={id} class={p.hideLabel ? 'visually-hidden' : 'drag'} {...drag}>{p.label}</label>
      <span class='box'>
        <input id={id} inputMode='decimal' autocomplete='off' spellcheck={false} disabled={p.disabled}
          role='spinbutton' aria-valuenow={value ?? undefined} aria-valuetext={value === null ? empty : undefined} aria-valuemin={p.min} aria-valuemax={p.max}
          aria-invalid={p.error !== undefined} aria-describedby={p.error ? `${id}-error` : undefined} placeholder={empty}
          value={typed ?? shown}
          onFocus={(ev) => { ev.currentTarget.select() }}
          onInput={(ev) => { setTyped(ev.currentTarget.value) }}
          onBlur={commit}
          onKeyDown={(ev) => {
            if (ev.key === 'Enter') commit()
            else if (ev.key === 'Escape' && typed !== null) { ev.stopPropagation(); setTyped(null) }
            else if (ev.key === 'ArrowUp' || ev.key === 'ArrowDown') {
              ev.preventDefault()
              setTyped(null)
              set(value === null ? start : value + (ev.key === 'ArrowUp' ? 1 : -1) * step * (ev.shiftKey ? 10 : 1), null)
            }
          }} />
        {p.unit && <span class='unit'>{p.unit}</span>}
      </span>
      {p.error && <small id={`${id}-error`} class='field-error'>{p.error}</small>}
    </div>
  )
}

export function NumberField (p: NumberProps) {
  return <NumberBox p={p} value={p.value} />
}

/* Emptied, it is null again; arrows and drags of an empty one begin at `start`. */
export function OptionalNumberField (p: OptionalNumberProps) {
  return <NumberBox p={p} value={p.value} empty={p.empty} start={p.start} clear={() => { p.onChange(null, null) }} />
}

export function TextField ({ label, value, onInput, onCommit, placeholder, hideLabel, type = 'text' }: {
  label: string
  value: string
  onInput?: (v: string) => void
  onCommit?: (v: string) => void
  placeholder?: string
  hideLabel?: boolean
  type?: 'text' | 'search'
}) {
  const id = useId()
  return (
    <div class='field'>
      <label for={id} class={hideLabel ? 'visually-hidden' : ''}>{label}</label>
      <input id={id} type={type as 'text'} value={value} placeholder={placeholder} autocomplete='off'
        onInput={(ev) => onInput?.(ev.currentTarget.value)}
        onChange={(ev) => onCommit?.(ev.currentTarget.value)} />
    </div>
  )
}

export function TextArea ({ label, value, onInput, placeholder, rows = 4, error, autofocus, children }: {
  label: string
  value: string
  onInput: (v: string) => void
  placeholder?: string
  rows?: number
  error?: string | undefined // what is wrong with it
  autofocus?: boolean
  children?: ComponentChildren // beside the label
}) {
  const id = useId()
  return (
    <div class='field tall'>
      <div class='field-head'><label for={id}>{label}</label>{children}</div>
      <textarea id={id} autofocus={autofocus} rows={rows} value={value} placeholder={placeholder} aria-invalid={error !== undefined}
        aria-describedby={error ? `${id}-error` : undefined} onInput={(ev) => { onInput(ev.currentTarget.value) }} />
      {error && <small id={`${id}-error`} class='field-error'>{error}</small>}
    </div>
  )
}

interface Option<T extends string> { value: T, label: string, disabled?: boolean }

export function Select<T extends string> ({ label, value, options, onChange, hideLabel, disabled }: {
  label: string
  value: T
  options: Option<T>[]
  onChange: (v: T) => void
  hideLabel?: boolean
  disabled?: boolean
}) {
  const id = useId()
  return (
    <div class='field'>
      <label for={id} class={hideLabel ? 'visually-hidden' : ''}>{label}</label>
      <select id={id} value={value} disabled={disabled} onChange={(ev) => { onChange(ev.currentTarget.value as T) }}>
        {options.map((o) => <option key={o.value} value={o.value} disabled={o.disabled}>{o.label}</option>)}
      </select>
    </div>
  )
}

export function Slider ({ label, value, min = 0, max = 1, step = 0.01, format, onChange, disabled }: {
  label: string
  value: number
  min?: number
  max?: number
  step?: number
  format?: (v: number) => string
  onChange: (v: number, gesture: string) => void
  disabled?: boolean
}) {
  const id = useId()
  const gesture = useRef(newGesture())
  return (
    <div class='field slider'>
      <label for={id}>{label}</label>
      <input id={id} type='range' min={min} max={max} step={step} value={value} disabled={disabled}
        aria-valuetext={format?.(value)}
        onPointerDown={() => { gesture.current = newGesture() }}
        onKeyDown={() => { gesture.current = newGesture() }}
        onInput={(ev) => { onChange(Number(ev.currentTarget.value), gesture.current) }} />
      <output for={id}>{format ? format(value) : value}</output>
    </div>
  )
}

export function Switch ({ label, value, onChange, disabled }: { label: string, value: boolean, onChange: (v: boolean) => void, disabled?: boolean }) {
  return (
    <label class='switch'>
      <input type='checkbox' checked={value} disabled={disabled} onChange={(ev) => { onChange(ev.currentTarget.checked) }} />
      <span>{label}</span>
    </label>
  )
}
