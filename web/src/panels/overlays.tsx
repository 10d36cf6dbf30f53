/* overlays.tsx - what lies over every page: the dialog that is open, and the toasts. */
import { X } from 'lucide'
import { dismiss } from '../state/actions/toasts.ts'
import { dialog, toasts } from '../state/store.ts'
import { text } from '../text.ts'
import { Button, IconButton } from '../ui/button.tsx'
import { Boundary } from './boundary.tsx'
import { ConnectionBanner } from './connection.tsx'
import { AirGap } from './header/airgap.tsx'
import { Palette } from './header/palette.tsx'
import { Shortcuts } from './header/shortcuts.tsx'
import { ExportDialog } from './export/export.tsx'
import { Drop } from './home/drop.tsx'
import { NewProject } from './home/new.tsx'
import { Settings } from './settings/settings.tsx'

const dialogs = { export: ExportDialog, settings: Settings, shortcuts: Shortcuts, palette: Palette, airgap: AirGap, new: NewProject }

export function Overlays () {
  const Open = dialog.value && dialogs[dialog.value]
  return (
    <>
      {Open && <Boundary key={dialog.value}><Open /></Boundary>}
      <ConnectionBanner />
      <Drop />
      <div class='toasts' role='status' aria-live='polite'>
        {toasts.value.map((t) => (
          <div key={t.id} class={`toast ${t.kind}`}>
            <span>{t.text}</span>
            {t.action && <Button kind='quiet' onClick={() => { dismiss(t.id); t.action?.run() }}>{t.action.label}</Button>}
            <IconButton label={text.close} icon={X} class='small' onClick={() => { dismiss(t.id) }} />
          </div>
        ))}
      </div>
    </>
  )
}
