/* tabs.tsx - a row of tabs; left and right move between them. */
export function Tabs<T extends string> ({ label, value, tabs, onChange, controls }: {
  label: string
  value: T
  tabs: { value: T, label: string }[]
  onChange: (v: T) => void
  controls: string // id of the panel
}) {
  const move = (by: number, list: HTMLElement): void => {
    const at = tabs.findIndex((t) => t.value === value)
    const next = tabs[(at + by + tabs.length) % tabs.length]
    if (!next) return
    onChange(next.value)
    list.querySelector<HTMLElement>(`[data-tab='${next.value}']`)?.focus()
  }
  return (
    <div class='tabs' role='tablist' aria-label={label}
      onKeyDown={(ev) => {
        const by = ev.key === 'ArrowRight' ? 1 : ev.key === 'ArrowLeft' ? -1 : 0
        if (by === 0) return
        ev.preventDefault()
        move(by, ev.currentTarget)
      }}>
      {tabs.map((t) => (
        <button key={t.value} type='button' role='tab' data-tab={t.value} aria-selected={t.value === value} aria-controls={controls}
          tabIndex={t.value === value ? 0 : -1} onClick={() => { onChange(t.value) }}>{t.label}</button>
      ))}
    </div>
  )
}
