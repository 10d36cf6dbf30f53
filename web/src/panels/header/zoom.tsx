/* zoom.tsx - how large the canvas is shown, and what can be shown beside it. */
import { ChevronDown } from 'lucide'
import { prefer } from '../../state/actions/machine.ts'
import { view, zoom, type ViewOptions } from '../../state/store.ts'
import { text } from '../../text.ts'
import { percent } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { MenuButton, type MenuItem } from '../../ui/menu.tsx'
import { menuOf } from './items.ts'

export function setView (part: Partial<ViewOptions>): void {
  view.value = { ...view.value, ...part }
  prefer(part)
}

function option (name: keyof ViewOptions): MenuItem {
  const on = view.value[name]
  return { label: text.header.view[name], checked: on, toggle: true, run: () => { setView({ [name]: !on }) } }
}

export function Zoom () {
  return (
    <MenuButton class='button quiet zoom' label={text.header.zoom(percent(zoom.value))}
      items={() => [...menuOf('view.fit', 'view.actual', 'view.double', 'line', 'view.in', 'view.out', 'line'), option('rulers'), option('grid'), option('snap')]}>
      <span>{percent(zoom.value)}</span><Icon of={ChevronDown} size={12} />
    </MenuButton>
  )
}
