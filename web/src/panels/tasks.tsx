/* tasks.tsx - the three things that the engine is asked for, a tab each. */
import './tasks/tasks.css'
import { runApart, runChange, runMake } from '../state/actions/ask.ts'
import { register } from '../state/commands.ts'
import { dialog, project, taskPanel, type TaskPanel } from '../state/store.ts'
import { text } from '../text.ts'
import { Tabs } from '../ui/tabs.tsx'
import { Apart } from './apart/apart.tsx'
import { Change } from './change/change.tsx'
import { Make } from './make/make.tsx'
import { JobFoot } from './queue/foot.tsx'

const panels = { make: Make, change: Change, apart: Apart }
const runs: Record<TaskPanel, () => Promise<unknown>> = { make: runMake, change: runChange, apart: runApart }

register({
  id: 'task.run', title: text.commands.run, keys: ['Ctrl+Enter'], group: text.groups.app, inFields: true,
  enabled: () => project.value !== null && dialog.value === null, run: async () => await runs[taskPanel.value]()
})

export function Tasks () {
  const Panel = panels[taskPanel.value]
  return (
    <>
      <Tabs label={text.tasks.label} value={taskPanel.value} controls='task-panel'
        tabs={[{ value: 'make', label: text.tasks.make }, { value: 'change', label: text.tasks.change }, { value: 'apart', label: text.tasks.apart }]}
        onChange={(v) => { taskPanel.value = v }} />
      <div id='task-panel' role='tabpanel' aria-label={text.tasks[taskPanel.value]} class='task-panel'><Panel /></div>
      <JobFoot />
    </>
  )
}
