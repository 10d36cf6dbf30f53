/* settings.tsx - what a person sets once: looks, models, memory, prompts, what is kept. */
import { useState } from 'preact/hooks'
import { prefer } from '../../state/actions/machine.ts'
import { modelsFor, type Use } from '../../state/requests.ts'
import { dialog, models, preferences, view } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Dialog } from '../../ui/dialog.tsx'
import { Select, Switch } from '../../ui/field.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { Tabs } from '../../ui/tabs.tsx'
import { MemoryFacts } from '../header/memory.tsx'
import { modelFacts } from '../header/models.tsx'
import { themes } from '../header/theme.tsx'
import { setView } from '../header/zoom.tsx'
import { Kept } from './kept.tsx'
import { Prompts } from './prompts.tsx'
import './settings.css'

const t = text.settings

function Looks () {
  return (
    <>
      <Segmented label={text.theme.title} value={preferences.value.theme} options={themes} onChange={(theme) => { prefer({ theme }) }} />
      <h3>{t.canvas}</h3>
      <Switch label={text.header.view.rulers} value={view.value.rulers} onChange={(rulers) => { setView({ rulers }) }} />
      <Switch label={text.header.view.grid} value={view.value.grid} onChange={(grid) => { setView({ grid }) }} />
      <Switch label={text.header.view.snap} value={view.value.snap} onChange={(snap) => { setView({ snap }) }} />
      <h3>{t.tour}</h3>
      <Switch label={t.showTour} value={!preferences.value.toured} onChange={(on) => { prefer({ toured: !on }) }} />
    </>
  )
}

function DefaultModel ({ use, label }: { use: Use, label: string }) {
  const able = modelsFor(models.value, use)
  const chosen = able.find((m) => m.id === preferences.value.models[use])
  return (
    <div class='default-model'>
      <Select label={label} value={chosen?.id ?? ''} options={[{ value: '', label: t.automatic }, ...able.map((m) => ({ value: m.id, label: m.id }))]}
        onChange={(id) => {
          const { [use]: _, ...others } = preferences.value.models
          prefer({ models: id ? { ...others, [use]: id } : others })
        }} />
      <p class='secondary'>{chosen ? modelFacts(chosen) : t.automaticHow}</p>
    </div>
  )
}

function Models () {
  return (
    <>
      <DefaultModel use='images' label={t.forImages} />
      <DefaultModel use='layers' label={t.forLayers} />
      <p class='secondary'>{t.moreModels}</p>
    </>
  )
}

const rooms = { looks: Looks, models: Models, memory: MemoryFacts, prompts: Prompts, kept: Kept }
type Room = keyof typeof rooms

export function Settings () {
  const [room, setRoom] = useState<Room>('looks')
  const Open = rooms[room]
  return (
    <Dialog title={text.commands.settings} closeLabel={text.close} onClose={() => { dialog.value = null }} class='wide settings'>
      <div class='settings-tabs'>
        <Tabs label={text.commands.settings} value={room} controls='settings-room' onChange={setRoom}
          tabs={(Object.keys(rooms) as Room[]).map((value) => ({ value, label: t.rooms[value] }))} />
      </div>
      <div id='settings-room' class='settings-room' role='tabpanel' aria-label={t.rooms[room]}><Open /></div>
    </Dialog>
  )
}
