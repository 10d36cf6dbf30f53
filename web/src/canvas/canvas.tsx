/* canvas.tsx - the canvas of the open project: role "application", name "Canvas".
 *
 * `data-revision` grows with each drawn change of the composed image; `aria-busy` is true until all its images are drawn.
 * For tests, the element has two functions more:
 *     element.readPixels()       {width, height, data}: the composed canvas as RGBA with straight alpha, without candidates;
 *                                equal to GET /v1/projects/ID/export?format=png to within a level where no layer is scaled
 *                                or turned
 *     element.measurePan(n)      pans n frames and answers with their times: {frames, mean, p95, longest} in milliseconds
 *
 * How it is made: engine.ts follows the store; a scene (scene.ts) composes layers with a backend (gl/ or cpu/) into a surface of
 * the canvas' size; a screen draws that surface, however it is panned and zoomed. Lines over it are SVG (overlay/). Pointers become
 * gestures of tools (pointers.ts, tools/). */
import { useEffect, useRef } from 'preact/hooks'
import { isField } from '../state/commands.ts'
import { project, view } from '../state/store.ts'
import { text } from '../text.ts'
import { loading } from './assets.ts'
import './canvas.css'
import { followRulers, registerCanvasCommands } from './commands.ts'
import { CPUBackend } from './cpu/backend.ts'
import { CPUScreen } from './cpu/screen.ts'
import { arriving, drawnBy, Engine, pixels, revision } from './engine.ts'
import { GLBackend } from './gl/backend.ts'
import { GLScreen } from './gl/screen.ts'
import { measurePan, type PanTimes } from './measure.ts'
import { Comparison } from './overlay/comparison.tsx'
import { followDrops } from './overlay/drop.tsx'
import { ToolOptions } from './overlay/options.tsx'
import { Over } from './overlay/over.tsx'
import { Status } from './overlay/status.tsx'
import { gesture, hovering, Pointers, spaceHeld } from './pointers.ts'
import { registerMaskCommands } from './mask/actions.ts'
import { registerAreaTools } from './tools/area.tsx'
import { registerCropTool } from './tools/crop.tsx'
import { registerMoveTool } from './tools/move.ts'
import { registerPaintTools } from './tools/paint.tsx'
import { activeTool } from './tools/tool.ts'
import { registerViewTools } from './tools/view.ts'
import { followColour } from './under.ts'
import { fit, resized } from './viewport.ts'

declare global {
  interface HTMLElement {
    readPixels?: () => { width: number, height: number, data: Uint8ClampedArray } | null
    measurePan?: (frames?: number) => Promise<PanTimes>
  }
}

registerMoveTool()
registerCropTool()
registerViewTools()
registerPaintTools()
registerAreaTools()
registerMaskCommands()
registerCanvasCommands()

/* Draws onto the element until the returned function is called. A lost context is made anew. */
function run (canvas: HTMLCanvasElement): () => void {
  let engine: { close: () => void } | null = null
  const begin = (): void => {
    const gl = canvas.getContext('webgl2', { alpha: true, antialias: false, depth: false, stencil: false, powerPreference: 'high-performance' })
    const context = gl ? null : canvas.getContext('2d')
    if (gl) engine = new Engine(canvas, new GLBackend(gl), new GLScreen(gl))
    else if (context) engine = new Engine(canvas, new CPUBackend(), new CPUScreen(context))
    drawnBy.value = gl ? 'card' : 'processor'
  }
  const lost = (ev: Event): void => {
    ev.preventDefault()
    engine?.close()
    engine = null
  }
  canvas.addEventListener('webglcontextlost', lost)
  canvas.addEventListener('webglcontextrestored', begin)
  begin()
  return () => {
    canvas.removeEventListener('webglcontextlost', lost)
    canvas.removeEventListener('webglcontextrestored', begin)
    engine?.close()
  }
}

/* Tells viewport.ts the size in CSS pixels and how many device pixels one has. */
function followSize (host: HTMLElement): () => void {
  const read = (): void => { resized(host.clientWidth, host.clientHeight, devicePixelRatio) }
  const observer = new ResizeObserver(read)
  observer.observe(host)
  window.addEventListener('resize', read)
  read()
  return () => { observer.disconnect(); window.removeEventListener('resize', read) }
}

/* Space held anywhere but in fields and on controls moves the canvas. */
function followSpace (): () => void {
  const set = (held: boolean) => (ev: KeyboardEvent): void => {
    const control = isField(ev.target) || (ev.target instanceof Element && ev.target.closest('button, a, input, [role=treeitem], [role=tab], dialog'))
    if (ev.key !== ' ' || (held && control)) return
    if (held) ev.preventDefault()
    spaceHeld.value = held
  }
  const down = set(true)
  const up = set(false)
  const blur = (): void => { spaceHeld.value = false }
  window.addEventListener('keydown', down)
  window.addEventListener('keyup', up)
  window.addEventListener('blur', blur)
  return () => {
    window.removeEventListener('keydown', down)
    window.removeEventListener('keyup', up)
    window.removeEventListener('blur', blur)
  }
}

function cursor (): string {
  if (spaceHeld.value) return gesture.value ? 'grabbing' : 'grab'
  return activeTool()?.cursor(hovering.value) ?? 'default'
}

/* Escape takes back what is under way, before it means anything else. */
function pressed (ev: KeyboardEvent, pointers: Pointers): void {
  if (ev.key !== 'Escape' || !pointers.cancel()) return
  ev.preventDefault()
  ev.stopPropagation()
}

export function Canvas () {
  const host = useRef<HTMLDivElement>(null)
  const canvas = useRef<HTMLCanvasElement>(null)
  const pointers = useRef<Pointers | null>(null)
  const id = project.value?.id
  useEffect(() => {
    const element = host.current
    if (!element || !canvas.current) return
    const p = new Pointers(element)
    const wheel = (ev: WheelEvent): void => { p.wheel(ev) }
    pointers.current = p
    element.readPixels = () => pixels.value?.read() ?? null
    element.measurePan = measurePan
    element.addEventListener('wheel', wheel, { passive: false })
    const stops = [followSize(element), followSpace(), followColour(), followRulers(), followDrops(element), run(canvas.current)]
    return () => { for (const stop of stops) stop() }
  }, [])
  useEffect(fit, [id, project.value?.width, project.value?.height])
  return (
    <>
      <div ref={host} class='canvas' role='application' aria-label={text.canvas.name} tabIndex={0}
        data-revision={revision.value} aria-busy={loading.value > 0 || arriving.value} data-rulers={view.value.rulers}
        style={{ cursor: cursor() }}
        onPointerDown={(ev) => { pointers.current?.down(ev) }}
        onPointerMove={(ev) => { pointers.current?.move(ev) }}
        onPointerUp={(ev) => { pointers.current?.up(ev) }}
        onPointerCancel={(ev) => { pointers.current?.up(ev) }}
        onPointerLeave={() => { pointers.current?.leave() }}
        onKeyDown={(ev) => { if (pointers.current) pressed(ev, pointers.current) }}>
        <canvas ref={canvas} />
        <Over />
      </div>
      <Status />
      <Comparison />
      <ToolOptions />
    </>
  )
}
