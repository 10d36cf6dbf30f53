/* overlays.tsx - what lies over every page: the dialog that is open, a lost connection, files over the window. */
import { dialog } from '../state/store.ts'
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
    </>
  )
}
