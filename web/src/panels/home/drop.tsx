/* drop.tsx - files over the window: says before the release what will become of them. Panels that take files themselves
 * (references, the canvas) stop the event; what remains comes here. */
import { FilePlus2, ImagePlus, LoaderCircle } from 'lucide'
import { useEffect, useState } from 'preact/hooks'
import { fateOf, named, takeFiles, type Fate } from '../../state/actions/files.ts'
import { isField } from '../../state/commands.ts'
import { dialog, opening, project } from '../../state/store.ts'
import { text } from '../../text.ts'
import { middle } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'

const filesIn = (d: DataTransfer | null): boolean => d?.types.includes('Files') ?? false

function follow (show: (f: Fate | null) => void): () => void {
  let ours = false // an image of the page itself is dragged
  const over = (ev: DragEvent): void => {
    if (ours || ev.defaultPrevented || !filesIn(ev.dataTransfer) || !ev.dataTransfer) return show(null)
    ev.preventDefault()
    ev.dataTransfer.dropEffect = 'copy'
    const items = [...ev.dataTransfer.items].filter((i) => i.kind === 'file')
    show(fateOf(items, project.value !== null))
  }
  const leave = (ev: DragEvent): void => { if (ev.relatedTarget === null) show(null) }
  const drop = (ev: DragEvent): void => {
    show(null)
    if (ours || ev.defaultPrevented || !filesIn(ev.dataTransfer)) return
    ev.preventDefault()
    dialog.value = null
    void takeFiles([...ev.dataTransfer?.files ?? []])
  }
  const paste = (ev: ClipboardEvent): void => {
    const files = [...ev.clipboardData?.files ?? []]
    if (files.length === 0 || ev.defaultPrevented || isField(ev.target)) return
    ev.preventDefault()
    dialog.value = null
    void takeFiles(files.map(named))
  }
  const heard = new AbortController()
  const { signal } = heard
  window.addEventListener('dragover', over, { signal })
  window.addEventListener('dragleave', leave, { signal })
  window.addEventListener('drop', drop, { signal })
  window.addEventListener('paste', paste, { signal })
  window.addEventListener('dragstart', () => { ours = true }, { signal })
  window.addEventListener('dragend', () => { ours = false }, { signal })
  return () => { heard.abort() }
}

export function Drop () {
  const [fate, setFate] = useState<Fate | null>(null)
  useEffect(() => follow(setFate), [])
  return (
    <>
      {fate && (
        <div class='drop' role='status'>
          <div>
            <Icon of={fate.startsWith('layer') ? ImagePlus : FilePlus2} size={24} />
            {text.dropping[fate]}
            <small>{fate.startsWith('layer') ? text.dropping.layerNote : text.creating.formats}</small>
          </div>
        </div>
      )}
      {opening.value !== null && <p class='opening' role='status'><Icon of={LoaderCircle} />{text.dropping.opening(middle(opening.value, 40))}</p>}
    </>
  )
}
