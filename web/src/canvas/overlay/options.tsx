/* options.tsx - the fields of the tool that is in use, in a bar over the canvas. */
import { text } from '../../text.ts'
import { activeTool } from '../tools/tool.ts'

export function ToolOptions () {
  const Options = activeTool()?.Options
  if (!Options) return null
  return (
    <div class='tool-options' role='toolbar' aria-label={text.canvas.options}>
      <Options />
    </div>
  )
}
