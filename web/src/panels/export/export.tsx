/* export.tsx - the project as a file: which, of what, how large; with a look at it before. */
import { ClipboardCopy, Download } from 'lucide'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Failure } from '../../api/client.ts'
import { canCopy, chosenLayers, copyExport, lastChoice, saveExport } from '../../state/actions/exporting.ts'
import { toast } from '../../state/actions/toasts.ts'
import { FORMATS, hasQuality, isFlat, SCALE_MAX, SCALE_MIN, USUAL, type ExportChoice, type Format } from '../../state/exporting.ts'
import { dialog, project } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { NumberField, Slider, Switch } from '../../ui/field.tsx'
import { bytes, percent } from '../../ui/format.ts'
import './export.css'
import { Preview } from './preview.tsx'

const t = text.exporting
const SCALES = [0.25, 0.5, 1, 2, 4]

type Put = (part: Partial<ExportChoice>) => void

function Formats ({ value, put }: { value: Format, put: Put }) {
  return (
    <fieldset class='formats'>
      <legend>{t.format}</legend>
      {FORMATS.map((f) => (
        <label key={f} class='format' title={t.about[f]}>
          <input type='radio' name='format' checked={f === value} onChange={() => { put({ format: f }) }} />
          <span>{t.formats[f]}</span>
        </label>
      ))}
    </fieldset>
  )
}

function Which ({ selected, put }: { selected: boolean, put: Put }) {
  const n = chosenLayers().length
  return (
    <fieldset class='which'>
      <legend>{t.what}</legend>
      <label class='radio'><input type='radio' name='which' checked={!selected} onChange={() => { put({ selected: false }) }} /><span>{t.all}</span></label>
      <label class='radio'><input type='radio' name='which' checked={selected} disabled={n === 0} onChange={() => { put({ selected: true }) }} /><span>{t.selected(n)}</span></label>
    </fieldset>
  )
}

function FlatFields ({ c, put }: { c: ExportChoice, put: Put }) {
  return (
    <>
      <div class='scale'>
        <NumberField label={t.scale} value={100 * c.scale} min={100 * SCALE_MIN} max={100 * SCALE_MAX} step={5} digits={c.scale < 0.1 ? 1 : 0} unit='%' onChange={(v) => { put({ scale: v / 100 }) }} />
        <div class='row' role='group' aria-label={t.scale}>
          {SCALES.map((s) => <button key={s} type='button' class='chip' aria-pressed={c.scale === s} onClick={() => { put({ scale: s }) }}>{s}×</button>)}
        </div>
      </div>
      <Switch label={t.trim} value={c.trim} onChange={(trim) => { put({ trim }) }} />
      {c.format === 'webp' && <Switch label={t.lossless} value={c.lossless} onChange={(lossless) => { put({ lossless }) }} />}
      {hasQuality(c) && <Slider label={t.quality} value={c.quality} min={1} max={100} step={1} onChange={(quality) => { put({ quality }) }} />}
      {c.format === 'jpeg' && (
        <label class='radio'><input type='color' value={c.background} onInput={(ev) => { put({ background: ev.currentTarget.value }) }} /><span>{t.background}</span></label>
      )}
    </>
  )
}

interface Work { received: number, total: number | null }

/* Runs one download or copy at a time; closing the dialog ends it. */
function useWork () {
  const [work, setWork] = useState<Work | null>(null)
  const [failed, setFailed] = useState<string | null>(null)
  const stop = useRef<AbortController | null>(null)
  useEffect(() => () => { stop.current?.abort() }, [])
  const start = async (job: (follow: { signal: AbortSignal, onProgress: (received: number, total: number | null) => void }) => Promise<void>): Promise<void> => {
    const mine = new AbortController()
    stop.current = mine
    setFailed(null)
    setWork({ received: 0, total: null })
    try {
      await job({ signal: mine.signal, onProgress: (received, total) => { setWork({ received, total }) } })
    } catch (e) {
      if (!mine.signal.aborted) setFailed(e instanceof Failure ? e.problem.detail : e instanceof Error ? e.message : text.failed)
    }
    setWork(null)
  }
  return { work, failed, start, cancel: () => { stop.current?.abort() }, forget: () => { setFailed(null) } }
}

function Progress ({ work }: { work: Work }) {
  const share = work.total ? work.received / work.total : 0
  return (
    <div class='grow' role='status'>
      <span class='secondary'>{work.received === 0 ? t.making : work.total ? t.receivedOf(percent(share), bytes(work.total)) : bytes(work.received)}</span>
      <div class={`progress ${work.received === 0 ? 'waiting' : ''}`}><i style={{ transform: `scaleX(${share})` }} /></div>
    </div>
  )
}

export function ExportDialog () {
  const [c, setC] = useState<ExportChoice>(() => lastChoice(USUAL))
  const { work, failed, start, cancel, forget } = useWork()
  const close = (): void => { dialog.value = null }
  const put: Put = (part) => { setC((old) => ({ ...old, ...part })); forget() }
  const save = (): void => {
    void start(async (follow) => {
      const f = await saveExport(c, follow)
      toast({ kind: 'good', text: t.saved(f.name, bytes(f.blob.size)) })
      close()
    })
  }
  const copy = (): void => {
    void start(async (follow) => {
      await copyExport(c, follow)
      toast({ kind: 'good', text: t.copied })
      close()
    })
  }
  if (!project.value) return null
  const actions = (
    <>
      {work ? <Progress work={work} /> : <span class='grow' />}
      {work && <Button onClick={cancel}>{text.cancel}</Button>}
      {c.format === 'png' && canCopy() && <Button icon={ClipboardCopy} disabled={work !== null} onClick={copy}>{t.copy}</Button>}
      <Button kind='primary' icon={Download} busy={work !== null} disabled={work !== null} onClick={save}>{t.download}</Button>
    </>
  )
  return (
    <Dialog title={text.commands.export} closeLabel={text.close} onClose={close} class='wide export' actions={actions}>
      <div class='export-body'>
        <div class='column'>
          <Formats value={c.format} put={put} />
          <p class='secondary about-format'>{t.about[c.format]}</p>
          <Which selected={c.selected} put={put} />
          {isFlat(c.format) && <FlatFields c={c} put={put} />}
          <Switch label={t.metadata} value={c.metadata} onChange={(metadata) => { put({ metadata }) }} />
        </div>
        <Preview c={c} />
      </div>
      {failed !== null && <p class='notice error' role='alert'>{failed}</p>}
    </Dialog>
  )
}
