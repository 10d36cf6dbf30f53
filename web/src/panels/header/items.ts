/* items.ts - commands as rows of a menu. */
import type { IconNode } from 'lucide'
import { commands, isEnabled, run } from '../../state/commands.ts'
import type { MenuItem } from '../../ui/menu.tsx'

/* Those that are registered, in the order named; 'line' between groups. */
export function menuOf (...ids: (string | [string, IconNode])[]): MenuItem[] {
  return ids.flatMap((entry): MenuItem[] => {
    if (entry === 'line') return ['line']
    const [id, icon] = typeof entry === 'string' ? [entry, undefined] : entry
    const c = commands.value.get(id)
    return c ? [{ label: c.title, keys: c.keys?.[0], disabled: !isEnabled(c), run: () => { run(id) }, ...(icon ? { icon } : {}) }] : []
  })
}
