/* segmented.tsx - one of a few, side by side: radio buttons in a row. */
interface Segment<T extends string> { value: T, label: string, title?: string, disabled?: boolean }

export function Segmented<T extends string> ({ label, value, options, onChange, hideLabel }: {
  label: string
  value: T | null // null: none of them
  options: Segment<T>[]
  onChange: (v: T) => void
  hideLabel?: boolean
}) {
  const able = options.filter((o) => !o.disabled)
  const focused = able.some((o) => o.value === value) ? value : able[0]?.value
  const move = (by: number, row: HTMLElement): void => {
    const next = able[(able.findIndex((o) => o.value === focused) + by + able.length) % able.length]
    if (!next) return
    onChange(next.value)
    row.querySelector<HTMLElement>(`[data-value='${next.value}']`)?.focus()
  }
  return (
    <div class='field-group'>
      <span class={hideLabel ? 'visually-hidden' : 'field-group-label'} aria-hidden='true'>{label}</span>
      <div class='segmented' role='radiogroup' aria-label={label}
        onKeyDown={(ev) => {
          const by = ['ArrowRight', 'ArrowDown'].includes(ev.key) ? 1 : ['ArrowLeft', 'ArrowUp'].includes(ev.key) ? -1 : 0
          if (by === 0) return
          ev.preventDefault()
          move(by, ev.currentTarget)
        }}>
        {options.map((o) => (
          <button key={o.value} type='button' role='radio' data-value={o.value} aria-checked={o.value === value} disabled={o.disabled}
            tabIndex={o.value === focused ? 0 : -1} title={o.title} onClick={() => { onChange(o.value) }}>{o.label}</button>
        ))}
      </div>
    </div>
  )
}
