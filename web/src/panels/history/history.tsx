/* history.tsx - everything that was made, newest at the left. Only what is in sight is drawn. */
import './history.css'
import { ChevronDown, ChevronUp, Star } from 'lucide'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { filterHistory, moreHistory } from '../../state/actions/history.ts'
import { register } from '../../state/commands.ts'
import { rangeOf } from '../../state/pages.ts'
import { historyFilter, historyItems, historyOpen, project } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { TextField } from '../../ui/field.tsx'
import { Icon } from '../../ui/icon.tsx'
import { ToMake } from '../tasks/parts.tsx'
import { HistoryItem, PITCH } from './item.tsx'

register({ id: 'history.toggle', title: text.history.toggle, group: text.groups.view, enabled: () => project.value !== null, run: () => { historyOpen.value = !historyOpen.value } })

const SEARCH_MS = 250
let searching = 0
function search (q: string): void {
  window.clearTimeout(searching)
  historyFilter.value = { ...historyFilter.value, q }
  searching = window.setTimeout(() => { filterHistory({ q }) }, SEARCH_MS)
}

function Tools () {
  const { q, starred } = historyFilter.value
  return (
    <div class='history-tools'>
      <div class='row'>
        <h2>{text.history.label}</h2>
        <IconButton class='small' label={text.history.starred} icon={Star} pressed={starred} onClick={() => { filterHistory({ starred: !starred }) }} />
        <IconButton class='small' label={text.history.fold} icon={ChevronDown} onClick={() => { historyOpen.value = false }} />
      </div>
      <TextField type='search' label={text.history.search} hideLabel placeholder={text.history.search} value={q} onInput={search} />
    </div>
  )
}

function Nothing () {
  const { q, starred } = historyFilter.value
  if (historyItems.value === null) return null
  const found = q.trim() !== '' || starred
  return (
    <div class='history-empty'>
      <p>{found ? text.history.nothingFound : text.history.empty}</p>
      {found
        ? <Button onClick={() => { filterHistory({ q: '', starred: false }) }}>{text.history.all}</Button>
        : <ToMake />}
    </div>
  )
}

function List () {
  const box = useRef<HTMLDivElement>(null)
  const [seen, setSeen] = useState({ scroll: 0, width: 1200 })
  const [focus, setFocus] = useState(0)
  const items = historyItems.value ?? []
  const { from, to } = rangeOf(seen.scroll, seen.width, PITCH, items.length)
  const look = (): void => {
    const el = box.current
    if (!el) return
    setSeen({ scroll: el.scrollLeft, width: el.clientWidth })
    if (el.scrollLeft + el.clientWidth * 2 > items.length * PITCH) void moreHistory()
  }
  useLayoutEffect(() => {
    look()
    const watch = new ResizeObserver(look)
    if (box.current) watch.observe(box.current)
    return () => { watch.disconnect() }
  }, [items.length])
  const moveTo = (index: number): void => {
    const el = box.current
    if (!el || index < 0 || index >= items.length) return
    setFocus(index)
    if (index * PITCH < el.scrollLeft) el.scrollLeft = index * PITCH
    if ((index + 1) * PITCH > el.scrollLeft + el.clientWidth) el.scrollLeft = (index + 1) * PITCH - el.clientWidth
    requestAnimationFrame(() => { el.querySelector<HTMLElement>(`[data-index='${index}']`)?.focus() })
  }
  const reachable = focus >= from && focus < to ? focus : from
  return (
    <div ref={box} class='history-scroll' onScroll={look} onWheel={(ev) => { if (ev.deltaX === 0 && box.current) box.current.scrollLeft += ev.deltaY }}>
      <div class='history-list' role='list' aria-label={text.history.label} style={{ width: `${items.length * PITCH}px` }}>
        {items.slice(from, to).map((a, i) => (
          <HistoryItem key={a.id} a={a} index={from + i} of={items.length} focusable={from + i === reachable}
            onMove={(by) => { moveTo(by === 'first' ? 0 : by === 'last' ? items.length - 1 : from + i + by) }} />
        ))}
      </div>
      {items.length === 0 && <Nothing />}
    </div>
  )
}

export function History () {
  if (!historyOpen.value) {
    return (
      <footer class='history folded'>
        <button type='button' class='history-unfold' onClick={() => { historyOpen.value = true }}><Icon of={ChevronUp} />{text.history.label}</button>
      </footer>
    )
  }
  return (
    <footer class='history'>
      <Tools />
      <List />
    </footer>
  )
}
