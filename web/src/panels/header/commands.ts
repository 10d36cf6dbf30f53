/* commands.ts - what concerns the whole editor: for keys, the palette and the menu. */
import { closeModel, prefer } from '../../state/actions/machine.ts'
import { go, redo, undo } from '../../state/actions/projects.ts'
import { register } from '../../state/commands.ts'
import { dialog, models, project, saving, type Preferences } from '../../state/store.ts'
import { text } from '../../text.ts'
import { renamingProject } from './project_menu.tsx'

const t = text.commands
const { edit, app } = text.groups
const inProject = (): boolean => project.value !== null
/* While something is on its way it may still become possible: keys pressed quickly one after the other all count. */
const canStep = (which: 'can_undo' | 'can_redo'): boolean => inProject() && (saving.value === 'saving' || project.value?.[which] === true)

const open = (name: NonNullable<typeof dialog.value>): void => { dialog.value = dialog.value === name ? null : name }
const theme = (theme: Preferences['theme']): void => { prefer({ theme }) }

register(
  { id: 'undo', title: t.undo, keys: ['Ctrl+Z'], group: edit, enabled: () => canStep('can_undo'), run: undo },
  { id: 'redo', title: t.redo, keys: ['Ctrl+Shift+Z', 'Ctrl+Y'], group: edit, enabled: () => canStep('can_redo'), run: redo },
  { id: 'palette', title: t.palette, keys: ['Ctrl+K'], group: app, inFields: true, run: () => { open('palette') } },
  { id: 'export', title: t.export, keys: ['Ctrl+Shift+S'], group: app, enabled: inProject, run: () => { open('export') } },
  { id: 'new', title: text.newProject, keys: ['Alt+N'], group: app, run: () => { open('new') } },
  { id: 'home', title: t.home, group: app, enabled: inProject, run: () => { go({ page: 'home' }) } },
  { id: 'rename', title: text.header.rename, group: app, enabled: inProject, run: () => { renamingProject.value = true } },
  { id: 'settings', title: t.settings, keys: ['Ctrl+,'], group: app, run: () => { open('settings') } },
  { id: 'shortcuts', title: t.shortcuts, keys: ['?'], group: app, run: () => { open('shortcuts') } },
  { id: 'airgap', title: text.airgap.title, group: app, run: () => { open('airgap') } },
  { id: 'theme.system', title: text.theme.command(text.theme.system), group: app, run: () => { theme('system') } },
  { id: 'theme.dark', title: text.theme.command(text.theme.dark), group: app, run: () => { theme('dark') } },
  { id: 'theme.light', title: text.theme.command(text.theme.light), group: app, run: () => { theme('light') } },
  { id: 'model.unload', title: text.header.unload, group: app, enabled: () => models.value.some((m) => m.open), run: closeModel },
  { id: 'docs', title: text.header.docs, group: app, run: () => { window.open('/docs', '_blank', 'noopener') } }
)

