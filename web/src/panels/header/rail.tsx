/* rail.tsx - the tools, a button each, left of the canvas. */
import { IconButton } from '../../ui/button.tsx'
import { chooseTool, ORDER, tools } from '../../canvas/tools/tool.ts'
import { project, tool } from '../../state/store.ts'
import { text } from '../../text.ts'
import './rail.css'

export function Rail () {
  const list = ORDER.flatMap((id) => tools.value.get(id) ?? [])
  return (
    <div class='rail' role='toolbar' aria-label={text.canvas.rail} aria-orientation='vertical'>
      {project.value && list.map((t) => (
        <IconButton key={t.id} label={t.label} icon={t.icon} keys={t.key} pressed={tool.value === t.id} onClick={() => { chooseTool(t.id) }} />
      ))}
    </div>
  )
}
