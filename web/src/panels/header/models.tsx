/* models.tsx - which model is open, which there are, and which of them this machine holds. */
import { Box, ChevronDown, Power } from 'lucide'
import type { Model } from '../../api/types.ts'
import { closeModel, openModel, prefer } from '../../state/actions/machine.ts'
import { modelOrder, models, preferences, telemetry } from '../../state/store.ts'
import { text } from '../../text.ts'
import { bytes, middle } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { MenuButton, type MenuItem } from '../../ui/menu.tsx'

const t = text.header

/* What may be held: the budget, or before a device is open what the machine has. */
const room = (): number => telemetry.value?.device.budget_bytes || telemetry.value?.host.total_bytes || 0

export function modelFacts (m: Model): string {
  const what = m.tasks.map((k) => t.tasks[k]).join(', ')
  if (m.state !== 'ready') return t.notReady(what, m.state)
  if (m.embedded) return t.embedded(what)
  if (!m.bytes) return what
  if (!room()) return `${bytes(m.bytes)}, ${what}`
  return m.bytes <= room() ? t.fits(what, bytes(m.bytes)) : t.streams(what, bytes(m.bytes), bytes(room()))
}

/* It is opened now, and asked from now on. */
function choose (m: Model): void {
  const kind = m.tasks.includes('layers') ? 'layers' : 'images'
  prefer({ models: { ...preferences.value.models, [kind]: m.id } })
  void openModel(m.id)
}

function items (): MenuItem[] {
  const all: MenuItem[] = models.value.map((m) => ({
    label: m.id, note: modelFacts(m), checked: m.open, disabled: m.state !== 'ready', run: () => { choose(m) }
  }))
  const open = models.value.find((m) => m.open)
  return open ? [...all, 'line', { label: t.unload, icon: Power, run: () => { void closeModel() } }] : all
}

export function ModelPicker () {
  const order = modelOrder.value
  const open = models.value.find((m) => m.open)
  const says = order ? (order.id === null ? t.unloading : t.loading(order.id)) : open?.id ?? t.noModel
  return (
    <MenuButton class={`button quiet model-picker ${order ? 'busy' : ''}`} label={t.model(says)} title={says} items={items}>
      <Icon of={Box} /><span class='fold-late'>{middle(says, 22)}</span><Icon of={ChevronDown} size={12} />
    </MenuButton>
  )
}
