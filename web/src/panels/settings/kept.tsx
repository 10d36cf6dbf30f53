/* kept.tsx - how much the store holds, how long it keeps what nobody needs, and where the files are. */
import { useEffect, useState } from 'preact/hooks'
import { store, version } from '../../api/client.ts'
import type { StoreFacts, StoreLimits } from '../../api/types.ts'
import { prefer } from '../../state/actions/machine.ts'
import { attempt, toast } from '../../state/actions/toasts.ts'
import { preferences } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'
import { NumberField, Switch } from '../../ui/field.tsx'
import { bytes, date } from '../../ui/format.ts'

const t = text.settings
const GB = 1e9

function Limits ({ l, onChange }: { l: StoreLimits, onChange: (part: Partial<StoreLimits>) => void }) {
  return (
    <div class='limits'>
      <NumberField label={t.jobDays} value={l.job_days} min={0} max={36500} unit={t.days} onChange={(job_days) => { onChange({ job_days }) }} />
      <NumberField label={t.jobsKept} value={l.jobs} min={0} max={100000000} step={100} onChange={(jobs) => { onChange({ jobs }) }} />
      <NumberField label={t.assetDays} value={l.asset_days} min={0} max={36500} unit={t.days} onChange={(asset_days) => { onChange({ asset_days }) }} />
      <NumberField label={t.bytesKept} value={l.bytes / GB} min={0} max={9e6} step={1} digits={l.bytes % GB === 0 ? 0 : 1} unit='GB' onChange={(v) => { onChange({ bytes: Math.round(v * GB) }) }} />
      <p class='secondary'>{t.limitsHow}</p>
    </div>
  )
}

export function Kept () {
  const [facts, setFacts] = useState<StoreFacts | null>(null)
  const [name, setName] = useState('')
  const read = async (): Promise<void> => { setFacts(await attempt(store.get)) }
  useEffect(() => {
    void read()
    void version().then((v) => { setName(`${v.name} ${v.version}`) }, () => {})
  }, [])
  if (!facts) return <p class='secondary'>{text.memory.unknown}</p>
  const limit = (part: Partial<StoreLimits>): void => { void attempt(async () => await store.setLimits(part)).then(read) }
  const tidy = async (): Promise<void> => {
    const gone = await attempt(store.tidy)
    if (gone) toast({ kind: 'good', text: t.tidied(gone.assets, gone.jobs, bytes(gone.bytes)) })
    await read()
  }
  return (
    <>
      <dl class='facts'>
        <dt>{t.projects}</dt><dd>{facts.projects}</dd>
        <dt>{t.images}</dt><dd>{t.imagesOf(facts.assets, bytes(facts.asset_bytes))}</dd>
        <dt>{t.jobs}</dt><dd>{facts.jobs}</dd>
        <dt>{t.database}</dt><dd>{bytes(facts.database_bytes)}</dd>
        <dt>{t.tidiedLast}</dt><dd>{facts.tidied_ms === null ? t.notYet : date(facts.tidied_ms)}</dd>
      </dl>
      <h3>{t.limits}</h3>
      <Limits l={facts.limits} onChange={limit} />
      <div class='row'><Button onClick={() => { void tidy() }}>{t.tidy}</Button></div>
      <h3>{t.files}</h3>
      <Switch label={t.saysHow} value={!preferences.value.noMetadata} onChange={(on) => { prefer({ noMetadata: !on }) }} />
      <p class='secondary'>{t.saysHowHow}</p>
      <h3>{t.folders}</h3>
      <p class='secondary'>{t.foldersHow}</p>
      <p class='secondary'>{name}</p>
    </>
  )
}
