/* theme.tsx - dark, light, or as the system has it. */
import { Monitor, Moon, Sun } from 'lucide'
import { prefer } from '../../state/actions/machine.ts'
import { preferences, type Preferences } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Icon } from '../../ui/icon.tsx'
import { MenuButton } from '../../ui/menu.tsx'

const t = text.theme
export const themes: { value: Preferences['theme'], label: string, icon: typeof Sun }[] = [
  { value: 'system', label: t.system, icon: Monitor }, { value: 'dark', label: t.dark, icon: Moon }, { value: 'light', label: t.light, icon: Sun }
]

export function ThemeButton ({ class: cls = '' }: { class?: string }) {
  const now = preferences.value.theme
  const icon = themes.find((x) => x.value === now)?.icon ?? Monitor
  return (
    <MenuButton class={`icon-button ${cls}`} label={t.title}
      items={() => themes.map((x) => ({ label: x.label, icon: x.icon, checked: x.value === now, run: () => { prefer({ theme: x.value }) } }))}>
      <Icon of={icon} />
    </MenuButton>
  )
}
