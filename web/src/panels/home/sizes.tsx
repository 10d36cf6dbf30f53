/* sizes.tsx - the size of a new project: by its use, or as typed. */
import { ArrowLeftRight } from 'lucide'
import { useId } from 'preact/hooks'
import type { Model } from '../../api/types.ts'
import { RATIOS, shaped, sideFor, type Size } from '../../state/requests.ts'
import { text } from '../../text.ts'
import { IconButton } from '../../ui/button.tsx'
import { NumberField } from '../../ui/field.tsx'

interface SizePreset extends Size { label: string }

const t = text.creating

/* As large as the model likes it, in every shape. */
export const modelSizes = (m: Model | undefined): SizePreset[] => RATIOS.map((label) => ({ label, ...shaped(label, sideFor(m)) }))

export const CANVAS_SIZES: SizePreset[] = [
  { label: t.icon, width: 512, height: 512 }, { label: t.square, width: 1080, height: 1080 }, { label: t.story, width: 1080, height: 1920 },
  { label: t.screen, width: 1920, height: 1080 }, { label: t.screen4k, width: 3840, height: 2160 }, { label: t.texture, width: 2048, height: 2048 },
  { label: t.a4, width: 1754, height: 2480 }, { label: t.poster, width: 3508, height: 4961 }
]

const SHAPE = 30

function Shape ({ width, height }: Size) {
  const k = SHAPE / Math.max(width, height)
  return <span class='size-shape'><i style={{ width: `${Math.max(6, width * k)}px`, height: `${Math.max(6, height * k)}px` }} /></span>
}

export function SizePicker ({ presets, value, most, step, onChange }: {
  presets: SizePreset[]
  value: Size
  most: number
  step: number // a model makes multiples of this
  onChange: (s: Size) => void
}) {
  const name = useId()
  const fit = (v: number): number => Math.min(most, Math.max(step, Math.round(v / step) * step))
  return (
    <>
      <fieldset class={`sizes ${presets.length > 5 ? 'many' : ''}`}>
        <legend>{t.size}</legend>
        {presets.map((p) => (
          <label key={p.label} class='size'>
            <input type='radio' name={name} checked={p.width === value.width && p.height === value.height} onChange={() => { onChange({ width: p.width, height: p.height }) }} />
            <Shape {...p} />
            <span>{p.label}</span>
            <small>{p.width} × {p.height}</small>
          </label>
        ))}
      </fieldset>
      <div class='size-free'>
        <NumberField label={t.width} value={value.width} min={step} max={most} step={step} unit='px' onChange={(v) => { onChange({ ...value, width: fit(v) }) }} />
        <IconButton label={t.swap} icon={ArrowLeftRight} onClick={() => { onChange({ width: value.height, height: value.width }) }} />
        <NumberField label={t.height} value={value.height} min={step} max={most} step={step} unit='px' onChange={(v) => { onChange({ ...value, height: fit(v) }) }} />
      </div>
    </>
  )
}
