/* shortcuts.tsx - every key, by what it is for; made from what is registered. */
import { commands, type Command } from '../../state/commands.ts'
import { dialog } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Dialog } from '../../ui/dialog.tsx'
import { keyLabel } from '../../ui/format.ts'
import './palette.css'

interface Row { title: string, keys: readonly string[] }

function byGroup (all: Iterable<Command>): Map<string, Row[]> {
  const groups = new Map<string, Row[]>()
  for (const c of all) if (c.keys?.length) groups.set(c.group, [...groups.get(c.group) ?? [], { title: c.title, keys: c.keys.slice(0, 2) }])
  return groups
}

function Group ({ title, rows }: { title: string, rows: readonly Row[] }) {
  return (
    <section>
      <h3>{title}</h3>
      <dl>{rows.map((r) => <div key={r.title}><dt>{r.title}</dt><dd>{r.keys.map((k) => <kbd key={k} class='key'>{keyLabel(k)}</kbd>)}</dd></div>)}</dl>
    </section>
  )
}

export function Shortcuts () {
  return (
    <Dialog title={text.commands.shortcuts} closeLabel={text.close} onClose={() => { dialog.value = null }} class='wide'>
      <div class='shortcuts' tabIndex={0}>
        {[...byGroup(commands.value.values())].map(([title, rows]) => <Group key={title} title={title} rows={rows} />)}
        <Group title={text.pointer.title} rows={text.pointer.rows} />
      </div>
    </Dialog>
  )
}
