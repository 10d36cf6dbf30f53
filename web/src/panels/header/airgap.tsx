/* airgap.tsx - what keeps the program off the network: what this page can see itself, and how anyone checks the rest. */
import { CircleAlert, Copy, ShieldCheck } from 'lucide'
import { useEffect, useState } from 'preact/hooks'
import { pagePolicy, version } from '../../api/client.ts'
import { toast } from '../../state/actions/toasts.ts'
import { dialog } from '../../state/store.ts'
import { text } from '../../text.ts'
import { IconButton } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Icon } from '../../ui/icon.tsx'
import './palette.css'

const t = text.airgap
const COMMANDS = ['veetance doctor --air-gap', 'readelf -d $(command -v veetance) | grep NEEDED', 'strace -f -e trace=network veetance generate -m micro-klein -p star']

interface Seen { good: boolean, says: string }

/* Each file that this page has asked for since it was opened. */
function asked (): Seen {
  const all = performance.getEntriesByType('resource').map((e) => e.name).filter((n) => /^https?:/.test(n))
  const others = all.filter((n) => new URL(n).origin !== location.origin)
  return { good: others.length === 0, says: others.length === 0 ? t.allHere(all.length, location.host) : t.elsewhere(others.length) }
}

function policy (header: string | null): Seen {
  const closed = header !== null && /default-src ('self'|'none')/.test(header) && !/https?:|\*/.test(header)
  return { good: closed, says: closed ? t.policy : t.noPolicy }
}

function listens (): Seen {
  const local = /^(localhost|127\.|\[::1\])/.test(location.host)
  return { good: local, says: local ? t.loopback(location.host) : t.reachable(location.host) }
}

function Line ({ good, says }: Seen) {
  return <p class={`proof-line ${good ? '' : 'bad'}`}><Icon of={good ? ShieldCheck : CircleAlert} /><span>{says}</span></p>
}

function CommandLine ({ line }: { line: string }) {
  const copy = (): void => { void navigator.clipboard.writeText(line).then(() => { toast({ kind: 'good', text: t.copied }) }) }
  return (
    <div class='command'>
      <code>{line}</code>
      {'clipboard' in navigator && <IconButton label={t.copy} icon={Copy} class='small' onClick={copy} />}
    </div>
  )
}

export function AirGap () {
  const [csp, setCsp] = useState<string | null>(null)
  const [name, setName] = useState('')
  useEffect(() => {
    void pagePolicy().then(setCsp, () => {})
    void version().then((v) => { setName(`${v.name} ${v.version}`) }, () => {})
  }, [])
  return (
    <Dialog title={t.title} closeLabel={text.close} onClose={() => { dialog.value = null }} class='wide'>
      <div class='proof'>
        <p>{t.intro}</p>
        <h3>{t.page}</h3>
        <Line {...asked()} />
        {csp !== null && <Line {...policy(csp)} />}
        <Line {...listens()} />
        <h3>{t.program(name)}</h3>
        <ul>{t.given.map((g) => <li key={g}>{g}</li>)}</ul>
        <p class='secondary'>{t.exceptions}</p>
        <h3>{t.check}</h3>
        <p>{t.checkHow}</p>
        {COMMANDS.map((c) => <CommandLine key={c} line={c} />)}
      </div>
    </Dialog>
  )
}
