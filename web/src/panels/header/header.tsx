/* header.tsx - the bar over the editor: the project at the left, the machine at the right. */
import { CircleQuestionMark, Download, Redo2, ShieldCheck, Undo2 } from 'lucide'
import { commands, isEnabled, run } from '../../state/commands.ts'
import { dialog, project } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { Icon } from '../../ui/icon.tsx'
import './commands.ts'
import './header.css'
import { Memory } from './memory.tsx'
import { ModelPicker } from './models.tsx'
import { ProjectMenu } from './project_menu.tsx'
import { QueueButton } from './queue_button.tsx'
import { SaveState } from './status.tsx'
import { ThemeButton } from './theme.tsx'
import { Zoom } from './zoom.tsx'

function Does ({ id, icon, class: cls }: { id: string, icon: typeof Undo2, class?: string }) {
  const c = commands.value.get(id)
  return c && <IconButton class={cls ?? ''} label={c.title} keys={c.keys?.[0]} icon={icon} disabled={!isEnabled(c)} onClick={() => { run(id) }} />
}

export function Header () {
  return (
    <header class='header'>
      <h1 class='visually-hidden'>{project.value?.name || text.product}</h1>
      <ProjectMenu />
      <SaveState />
      <span class='header-line' />
      <Does id='undo' icon={Undo2} />
      <Does id='redo' icon={Redo2} />
      <span class='header-line' />
      <Zoom />
      <span class='header-space' />
      <ModelPicker />
      <Memory />
      <QueueButton />
      <button type='button' class='button quiet airgap-badge' title={text.airgap.title} onClick={() => { dialog.value = 'airgap' }}>
        <Icon of={ShieldCheck} /><span class='fold'>{text.airgap.badge}</span>
      </button>
      <ThemeButton class='in-menu' />
      <Does id='shortcuts' icon={CircleQuestionMark} class='in-menu' />
      <Button kind='primary' icon={Download} onClick={() => { run('export') }}>{text.commands.export}</Button>
    </header>
  )
}
