/* area.tsx - lasso, rectangle and wand: whole areas of the mask at once. A plain drag begins anew, Shift adds, Alt takes
 * away. */
import { signal } from '@preact/signals'
import { Lasso, SquareDashed, WandSparkles } from 'lucide'
import { brush, project } from '../../state/store.ts'
import { text } from '../../text.ts'
import { NumberField, Switch } from '../../ui/field.tsx'
import { pixels } from '../engine.ts'
import { addShape } from '../mask/actions.ts'
import { polygon, rectangle, wand, type Mode } from '../mask/mask.ts'
import type { Point } from '../../state/matrix.ts'
import { toScreen } from '../viewport.ts'
import { dragBox, marquee } from './marquee.ts'
import { forMasks, registerTool, type Gesture, type Pointer } from './tool.ts'

const modeOf = (p: Pointer): Mode => p.alt ? 'subtract' : p.shift ? 'add' : 'replace'

/* ---- lasso --------------------------------------------------------------------------------------------- */

const path = signal<Point[]>([])
const LEAST_STEP = 1.5 // CSS pixels between two points

function lassoing (from: Pointer): Gesture {
  const mode = modeOf(from)
  let last = from.screen
  path.value = [{ x: from.x, y: from.y }]
  return {
    move (p) {
      if (Math.hypot(p.screen.x - last.x, p.screen.y - last.y) < LEAST_STEP) return
      last = p.screen
      path.value = [...path.value, ...p.trail.map((t) => ({ x: t.x, y: t.y }))]
    },
    up () {
      const points = path.value
      const size = project.value
      path.value = []
      if (size && points.length > 2) void addShape(polygon(size.width, size.height, points), mode)
    },
    cancel () { path.value = [] }
  }
}

function LassoPath () {
  if (path.value.length < 2) return null
  const d = path.value.map((p) => { const s = toScreen(p); return `${s.x.toFixed(1)} ${s.y.toFixed(1)}` })
  return <path class='dashes' d={`M${d.join('L')}Z`} />
}

/* ---- rectangle ----------------------------------------------------------------------------------------- */

function framing (from: Pointer): Gesture {
  const mode = modeOf(from)
  return {
    move (p) { marquee.value = dragBox(from, p) },
    up () {
      const b = marquee.value
      const size = project.value
      marquee.value = null
      if (b && size) void addShape(rectangle(size.width, size.height, { left: b.x, top: b.y, right: b.x + b.w, bottom: b.y + b.h }), mode)
    },
    cancel () { marquee.value = null }
  }
}

/* ---- wand ---------------------------------------------------------------------------------------------- */

const contiguous = signal(true)

function picking (from: Pointer): Gesture | null {
  const seen = pixels.value?.read()
  if (seen) void addShape(wand(seen, Math.floor(from.x), Math.floor(from.y), brush.value.tolerance, contiguous.value), modeOf(from))
  return null
}

function WandOptions () {
  return (
    <>
      <NumberField label={text.masks.tolerance} value={brush.value.tolerance} min={0} max={255} onChange={(tolerance) => { brush.value = { ...brush.value, tolerance } }} />
      <Switch label={text.masks.contiguous} value={contiguous.value} onChange={(v) => { contiguous.value = v }} />
      <span class='secondary'>{text.masks.areaHint}</span>
    </>
  )
}

const Hint = () => <span class='secondary'>{text.masks.areaHint}</span>

export function registerAreaTools (): void {
  registerTool({ id: 'lasso', key: 'L', label: text.masks.lasso, icon: Lasso, enter: forMasks, cursor: () => 'crosshair', down: lassoing, Overlay: LassoPath, Options: Hint })
  registerTool({ id: 'rectangle', key: 'M', label: text.masks.rectangle, icon: SquareDashed, enter: forMasks, cursor: () => 'crosshair', down: framing, Options: Hint })
  registerTool({ id: 'wand', key: 'W', label: text.masks.wand, icon: WandSparkles, enter: forMasks, cursor: () => 'crosshair', down: picking, Options: WandOptions })
}
