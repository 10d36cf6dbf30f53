/* item.tsx - one image of the history: a thumbnail to drag, with a menu and a card of what made it. */
import { FilePlus, ImagePlus, Shuffle, SlidersHorizontal, Star, StarOff, Terminal, Trash2 } from 'lucide'
import { useState } from 'preact/hooks'
import { assets } from '../../api/client.ts'
import type { Asset } from '../../api/types.ts'
import { copyCommandLine, star, trash, useAgain, varyAsset } from '../../state/actions/history.ts'
import { placeAsset, projectOfAsset } from '../../state/actions/projects.ts'
import { project } from '../../state/store.ts'
import { text } from '../../text.ts'
import { date, middle } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { Menu, type MenuItem } from '../../ui/menu.tsx'
import { carryAsset } from '../../state/drag.ts'

export const PITCH = 80
const CARD_WIDTH = 280

const nameOf = (a: Asset): string => a.prompt?.trim() || a.name || text.history.unnamed

function itemsOf (a: Asset): MenuItem[] {
  const name = middle(nameOf(a), 80)
  return [
    { label: text.history.again, icon: SlidersHorizontal, run: () => { void useAgain(a) } },
    { label: text.history.vary, icon: Shuffle, run: () => { void varyAsset(a) } },
    'line',
    { label: text.history.layer, icon: ImagePlus, disabled: project.value === null, run: () => { placeAsset(a, name) } },
    { label: text.history.project, icon: FilePlus, run: () => { void projectOfAsset(a, name) } },
    { label: text.history.command, icon: Terminal, run: () => { void copyCommandLine(a) } },
    'line',
    { label: a.starred ? text.history.unstar : text.history.star, icon: a.starred ? StarOff : Star, keys: 'S', run: () => { void star(a) } },
    { label: text.history.remove, icon: Trash2, danger: true, keys: 'Delete', run: () => { void trash(a) } }
  ]
}

function Card ({ a, at }: { a: Asset, at: DOMRect }) {
  const left = Math.max(8, Math.min(innerWidth - CARD_WIDTH - 8, at.left + at.width / 2 - CARD_WIDTH / 2))
  return (
    <div class='history-card' role='presentation' style={{ left: `${left}px`, bottom: `${innerHeight - at.top + 8}px`, width: `${CARD_WIDTH}px` }}>
      <p>{middle(nameOf(a), 240)}</p>
      <p class='secondary'>
        {[a.seed !== null && a.seed !== undefined ? text.staging.seed(a.seed) : null, `${a.width} × ${a.height}`, a.model, date(a.created_ms)].filter(Boolean).join(' · ')}
      </p>
    </div>
  )
}

export function HistoryItem ({ a, index, of, focusable, onMove }: {
  a: Asset
  index: number
  of: number
  focusable: boolean
  onMove: (by: number | 'first' | 'last') => void
}) {
  const [menu, setMenu] = useState<{ x: number, y: number } | null>(null)
  const [card, setCard] = useState<DOMRect | null>(null)
  const open = (el: HTMLElement): void => {
    const r = el.getBoundingClientRect()
    setCard(null)
    setMenu({ x: r.left, y: r.top - 260 })
  }
  const keys: Record<string, (el: HTMLElement) => void> = {
    ArrowLeft: () => { onMove(-1) }, ArrowRight: () => { onMove(1) }, Home: () => { onMove('first') }, End: () => { onMove('last') },
    Delete: () => { void trash(a) }, s: () => { void star(a) }, Escape: () => { setCard(null) }
  }
  return (
    <div class='history-item' role='listitem' aria-posinset={index + 1} aria-setsize={of} style={{ left: `${index * PITCH}px` }}>
      <button type='button' data-index={index} tabIndex={focusable ? 0 : -1} draggable aria-haspopup='menu' aria-expanded={menu !== null}
        aria-label={text.history.item(middle(nameOf(a), 120), a.starred)}
        onDragStart={(ev) => {
          setCard(null)
          carryAsset(ev.dataTransfer, { id: a.id, width: a.width, height: a.height, name: middle(nameOf(a), 80) })
        }}
        onMouseEnter={(ev) => { setCard(ev.currentTarget.getBoundingClientRect()) }}
        onMouseLeave={() => { setCard(null) }}
        onFocus={(ev) => { if (ev.currentTarget.matches(':focus-visible')) setCard(ev.currentTarget.getBoundingClientRect()) }}
        onBlur={() => { setCard(null) }}
        onClick={(ev) => { open(ev.currentTarget) }}
        onContextMenu={(ev) => {
          ev.preventDefault()
          open(ev.currentTarget)
        }}
        onKeyDown={(ev) => {
          const act = ev.ctrlKey || ev.metaKey ? undefined : keys[ev.key]
          if (!act || (ev.key === 'Escape' && !card)) return
          ev.preventDefault()
          ev.stopPropagation()
          act(ev.currentTarget)
        }}>
        <img src={assets.thumb(a.id, 128)} alt='' loading='lazy' decoding='async' draggable={false} class='checker' />
        {a.starred && <span class='history-star'><Icon of={Star} size={12} /></span>}
      </button>
      {card && !menu && <Card a={a} at={card} />}
      {menu && <Menu items={itemsOf(a)} at={menu} label={nameOf(a)} onClose={() => { setMenu(null) }} />}
    </div>
  )
}
