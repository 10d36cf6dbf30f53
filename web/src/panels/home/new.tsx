/* new.tsx - a new project: from a prompt, an empty canvas, or a file. */
import { ClipboardPaste, FileUp, Plus, Sparkles } from 'lucide'
import { useState } from 'preact/hooks'
import type { Model } from '../../api/types.ts'
import { openClipboard } from '../../state/actions/files.ts'
import { submit } from '../../state/actions/jobs.ts'
import { prefer } from '../../state/actions/machine.ts'
import { createProject } from '../../state/actions/projects.ts'
import { modelFor, modelsFor, shaped, SIDE_MAX, sideFor, UNIT, type Size } from '../../state/requests.ts'
import { dialog, models, preferences, taskPanel, wish } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Select, TextArea, TextField } from '../../ui/field.tsx'
import { Icon } from '../../ui/icon.tsx'
import { Tabs } from '../../ui/tabs.tsx'
import { ChooseFiles } from './choose.tsx'
import { CANVAS_SIZES, modelSizes, SizePicker } from './sizes.tsx'

type Tab = 'prompt' | 'empty' | 'file'

const t = text.creating
const CANVAS_SIDE = 30000
const NAME_LETTERS = 60

const close = (): void => { dialog.value = null }

/* ---- from a prompt --------------------------------------------------------------------------------------- */

async function begin (prompt: string, size: Size, model: Model | undefined): Promise<void> {
  const made = await createProject({ name: prompt.slice(0, NAME_LETTERS), ...size })
  if (!made) return
  close()
  const request = { prompt, ...size, ...(model ? { model: model.id } : {}) }
  taskPanel.value = 'make'
  wish.value = { task: 'make', request }
  await submit('generate', request, { project: made.id })
}

function FromPrompt () {
  const able = modelsFor(models.value, 'images')
  const [model, setModel] = useState(() => modelFor(models.value, 'images', preferences.value.models.images))
  const [prompt, setPrompt] = useState('')
  const [size, setSize] = useState<Size>(() => shaped('1:1', sideFor(model)))
  const [busy, setBusy] = useState(false)
  const choose = (id: string): void => {
    const next = able.find((m) => m.id === id)
    if (sideFor(next) !== sideFor(model)) setSize(shaped('1:1', sideFor(next)))
    setModel(next)
    prefer({ models: { ...preferences.value.models, images: id } })
  }
  const start = (): void => {
    if (!prompt.trim() || busy) return
    setBusy(true)
    void begin(prompt.trim(), size, model).finally(() => { setBusy(false) })
  }
  return (
    <form class='new-body' onSubmit={(ev) => { ev.preventDefault(); start() }}
      onKeyDown={(ev) => { if (ev.key === 'Enter' && (ev.ctrlKey || ev.metaKey)) { ev.stopPropagation(); start() } }}>
      <TextArea label={t.prompt} value={prompt} onInput={setPrompt} placeholder={t.promptHint} rows={3} autofocus />
      <SizePicker presets={modelSizes(model)} value={size} most={SIDE_MAX} step={UNIT} onChange={setSize} />
      {able.length === 0
        ? <p class='notice warning'>{t.noModel}</p>
        : <Select label={t.model} value={model?.id ?? ''} options={able.map((m) => ({ value: m.id, label: m.id }))} onChange={choose} />}
      <div class='row end'><Button kind='primary' icon={Sparkles} busy={busy} disabled={!prompt.trim() || busy || !model} onClick={start}>{t.generate}</Button></div>
    </form>
  )
}

/* ---- an empty canvas --------------------------------------------------------------------------------------- */

function Empty () {
  const [name, setName] = useState('')
  const [size, setSize] = useState<Size>({ width: 1920, height: 1080 })
  const [busy, setBusy] = useState(false)
  const start = (): void => {
    setBusy(true)
    void createProject({ name: name.trim() || text.untitled, ...size }).then((made) => { setBusy(false); if (made) close() })
  }
  return (
    <form class='new-body' onSubmit={(ev) => { ev.preventDefault(); start() }}>
      <TextField label={t.name} value={name} placeholder={text.untitled} onInput={setName} />
      <SizePicker presets={CANVAS_SIZES} value={size} most={CANVAS_SIDE} step={1} onChange={setSize} />
      <div class='row end'><Button kind='primary' icon={Plus} busy={busy} disabled={busy} onClick={start}>{t.create}</Button></div>
    </form>
  )
}

/* ---- from a file ------------------------------------------------------------------------------------------- */

function FromFile () {
  const canPaste = typeof navigator.clipboard?.read === 'function'
  return (
    <div class='new-body'>
      <div class='pick-file'>
        <Icon of={FileUp} />
        <p>{t.fileHint}</p>
        <div class='row'>
          <ChooseFiles kind='primary' onChosen={close} />
          {canPaste && <Button icon={ClipboardPaste} onClick={() => { void openClipboard().then((did) => { if (did) close() }) }}>{t.paste}</Button>}
        </div>
        <small>{t.formats}</small>
      </div>
    </div>
  )
}

const bodies = { prompt: FromPrompt, empty: Empty, file: FromFile }

export function NewProject () {
  const [tab, setTab] = useState<Tab>('prompt')
  const Body = bodies[tab]
  return (
    <Dialog title={text.newProject} closeLabel={text.close} onClose={close} class='wide'>
      <div class='new-tabs'>
        <Tabs label={t.from} value={tab} controls='new-panel' onChange={setTab}
          tabs={[{ value: 'prompt', label: t.fromPrompt }, { value: 'empty', label: t.empty }, { value: 'file', label: t.fromFile }]} />
      </div>
      <div id='new-panel' role='tabpanel' aria-label={{ prompt: t.fromPrompt, empty: t.empty, file: t.fromFile }[tab]}><Body /></div>
    </Dialog>
  )
}
