/* status.tsx - whether what was done is with the server. */
import { Check, CloudOff, RefreshCw } from 'lucide'
import { connected, saving } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Icon } from '../../ui/icon.tsx'

const icons = { saved: Check, saving: RefreshCw, offline: CloudOff }

export function SaveState () {
  const state = connected.value ? saving.value : 'offline'
  return (
    <span class={`save-state ${state}`} data-saving={state} role='status' aria-label={text.save[state]} title={text.save[state]}>
      <Icon of={icons[state]} size={14} /><span class='fold'>{state === 'offline' ? text.header.offline : text.save[state]}</span>
    </span>
  )
}
