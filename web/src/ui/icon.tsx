/* icon.tsx - Lucide's icons, 16 px, one weight. Decoration: what a control is called is said beside it. */
import type { IconNode } from 'lucide'
import { h } from 'preact'

export function Icon ({ of, size = 16 }: { of: IconNode, size?: number }) {
  return (
    <svg class='icon' width={size} height={size} viewBox='0 0 24 24' fill='none' stroke='currentColor' stroke-width='1.75'
      stroke-linecap='round' stroke-linejoin='round' aria-hidden='true'>
      {of.map(([tag, attributes], i) => h(tag, { ...attributes, key: i }))}
    </svg>
  )
}
