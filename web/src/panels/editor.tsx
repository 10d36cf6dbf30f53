/* editor.tsx - the rooms of the window around the canvas. */
import { Canvas } from '../canvas/canvas.tsx'
import { project } from '../state/store.ts'
import { Boundary } from './boundary.tsx'
import { Header } from './header/header.tsx'
import { History } from './history/history.tsx'
import { Layers } from './layers/layers.tsx'
import { Queue } from './queue/queue.tsx'
import { Rail } from './header/rail.tsx'
import { Splitter } from './splitter.tsx'
import { Staging } from './staging/staging.tsx'
import { Tasks } from './tasks.tsx'
import { Toasts } from './toasts.tsx'

export function Editor () {
  const open = project.value !== null
  return (
    <div class='editor'>
      <Boundary><Header /></Boundary>
      <main class='work'>
        <Boundary><Rail /></Boundary>
        <div class='canvas-area'>
          <Boundary>{open && <Canvas />}</Boundary>
          <div class='canvas-foot'>
            <Toasts />
            <Boundary>{open && <Staging />}</Boundary>
          </div>
        </div>
      </main>
      <aside class='column-right'>
        <Splitter top={<Boundary><Tasks /></Boundary>} bottom={<Boundary><Layers /></Boundary>} />
        <Boundary><Queue /></Boundary>
      </aside>
      <Boundary><History /></Boundary>
    </div>
  )
}
